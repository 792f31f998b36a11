package batch_test

import (
	"cmp"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/gateway/batch"
)

func TestFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	full := error(nil)
	s := open(t, dir, &asked{}, func(c *batch.Config) { c.Room = func() error { return full } })
	f := send(t, s, "u", "hello")
	if _, err := s.File("", f.ID); !errors.Is(err, &bus.Error{Code: bus.CodeNotFound}) {
		t.Errorf("the file of another: %v", err)
	}
	if err := s.Remove("", f.ID); !errors.Is(err, &bus.Error{Code: bus.CodeNotFound}) {
		t.Errorf("deleted by another: %v", err)
	}
	if _, _, err := s.Content("u", "../"+f.ID); !errors.Is(err, &bus.Error{Code: bus.CodeNotFound}) {
		t.Errorf("by a path: %v", err)
	}
	broken := errors.New("it breaks off")
	for want, content := range map[error]func(io.Writer) (batch.File, error){
		broken: func(w io.Writer) (batch.File, error) {
			_, err := io.WriteString(w, "half")
			return batch.File{}, cmp.Or(err, broken)
		},
		&bus.Error{Code: bus.CodeTooLarge}: func(w io.Writer) (batch.File, error) {
			_, err := io.CopyN(w, zeros{}, batch.FileMost+1)
			return batch.File{}, err
		},
	} {
		if _, err := s.Create("u", content); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	full = bus.Errorf(bus.CodeNoSpace, "full")
	if _, err := s.Create("", func(io.Writer) (batch.File, error) { return batch.File{}, nil }); !errors.Is(err, full) {
		t.Errorf("a file on a full disk: %v", err)
	}
	if _, err := s.Begin(batch.Batch{User: "u", Input: f.ID}); !errors.Is(err, full) {
		t.Errorf("a batch on a full disk: %v", err)
	}
	// What is not whole is gone at the next start, and a record that cannot be read keeps nobody from it.
	for name, content := range map[string]string{"file-cut": "half", ".file-x.json.1": "{", "file-bad.json": "{", "file-bad": "kept"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s = open(t, dir, &asked{})
	if files := s.Files("u"); len(files) != 1 || files[0].ID != f.ID || files[0].Bytes != 5 {
		t.Errorf("files: %+v", files)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 4 {
		t.Errorf("left are %v, %v", left, err)
	}
	if err := s.Remove("u", f.ID); err != nil || len(s.Files("u")) != 0 {
		t.Errorf("deleted: %v", err)
	}
}

// A file that a batch reads is not deleted.
func TestFileInUse(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), &asked{})
	b := begin(t, s, "", requests(1))
	if err := s.Remove("", b.Input); !errors.Is(err, &bus.Error{Code: bus.CodeConflict}) {
		t.Errorf("deleted before it was read: %v", err)
	}
	runs(t, s)
	await(t, s, b, over)
	if err := s.Remove("", b.Input); err != nil {
		t.Error(err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
