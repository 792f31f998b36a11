package main

import (
	"io"
	"os"

	"github.com/charmbracelet/x/term"
)

// outFile is a file that standard output goes to. What was printed there, and turns out to be void, can be taken back.
type outFile struct {
	f     *os.File
	base  int64 // its size at the start
	wrote int64
	null  bool // it is a device, as /dev/null: nobody reads it
}

// output is f, as an outFile where it is a regular file, or a device that is no terminal. In a file that is appended to others
// may write at any moment: what is the end of it now may be theirs when it is cut off.
func output(f *os.File) io.Writer {
	info, err := f.Stat()
	switch {
	case err != nil:
	case info.Mode().IsRegular() && !appends(f):
		return &outFile{f: f, base: info.Size()}
	case info.Mode()&os.ModeCharDevice != 0 && !term.IsTerminal(f.Fd()):
		return &outFile{f: f, null: true}
	}
	return f
}

func (o *outFile) Write(b []byte) (int, error) {
	n, err := o.f.Write(b)
	o.wrote += int64(n)
	return n, err
}

// back takes back what was written after mark bytes. It does not where that is not the end of the file: others write there too.
func (o *outFile) back(mark int64) bool {
	if o.null {
		return true
	}
	info, err := o.f.Stat()
	if err != nil || info.Size() != o.base+o.wrote {
		return false
	}
	if at, err := o.f.Seek(0, io.SeekCurrent); err != nil || at != info.Size() || o.f.Truncate(o.base+mark) != nil {
		return false
	}
	if _, err := o.f.Seek(o.base+mark, io.SeekStart); err != nil {
		return false
	}
	o.wrote = mark
	return true
}

// written is how much was printed to a file.
func (s *streams) written() int64 {
	if f, ok := s.out.(*outFile); ok {
		return f.wrote
	}
	return 0
}

// backTo takes back what was printed after mark, as written told it; false where that cannot be.
func (s *streams) backTo(mark int64) bool {
	f, ok := s.out.(*outFile)
	return ok && f.back(mark)
}
