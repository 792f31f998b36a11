package main

import (
	"os"
	"path/filepath"
	"testing"
)

// What a disk is mounted on is an empty folder while it is unplugged, and to read it all anew takes long.
func TestLibraryOfADiskThatIsUnplugged(t *testing.T) {
	t.Parallel()
	d := setup(t)
	d.librarian()
	dir := folder(t, d)
	d.myco("library", "add", "papers", dir).want(t, 0)
	must(t, os.Rename(dir, dir+" elsewhere"))
	must(t, os.Mkdir(dir, 0o700))
	d.myco("library", "update", "papers").want(t, 3, "there is nothing to read in "+dir+" at present", "3 documents, 4 passages; 0 read now, 0 gone")
	d.myco("library", "add", "empty", dir).want(t, 0, "0 documents")
	writeFile(t, filepath.Join(dir, "new.txt"), "new")
	d.myco("library", "update", "papers").want(t, 0, "1 document, 1 passage; 1 read now, 4 gone")
}
