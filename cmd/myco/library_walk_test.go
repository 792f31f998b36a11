package main

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A person who names a link to a folder means the folder; a link within one may lead anywhere.
func TestLibraryOfALinkToAFolder(t *testing.T) {
	t.Parallel()
	d := setup(t)
	l := d.librarian()
	dir := folder(t, d)
	link := filepath.Join(d.dir, "link")
	must(t, os.Symlink(dir, link))
	must(t, os.Symlink(filepath.Join(d.dir, "outside"), filepath.Join(dir, "way-out")))
	must(t, os.Symlink("..", filepath.Join(dir, "sub", "loop")))
	d.myco("library", "add", "papers", link).want(t, 0, "3 documents")
	if read, want := l.took(), []string{"bad.txt", "bees.md", "boiler.txt", "pages.txt"}; !slices.Equal(read, want) {
		t.Errorf("read %q, want %q", read, want)
	}
	if o := d.myco("library", "search", "papers", "boiler").want(t, 0); !strings.HasPrefix(o.out, "==> "+filepath.Join(link, "boiler.txt")+" <==\n") {
		t.Errorf("found %q", o.out)
	}
}

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

func TestLibraryRefusesWhatIsNoFile(t *testing.T) {
	t.Parallel()
	d := setup(t)
	socket := filepath.Join(d.dir, "s")
	s, err := net.Listen("unix", socket)
	must(t, err)
	defer s.Close()
	d.myco("library", "add", "papers", socket).want(t, 2, "is neither a file nor a folder")
}
