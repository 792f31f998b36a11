package batch

import (
	"errors"
	"io"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Files that come at one time take no more together than one after the other.
func TestRoomOfFilesThatCome(t *testing.T) {
	t.Parallel()
	s, err := Open(Config{Dir: t.TempDir(), Room: func() error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	s.files["large"] = &File{Bytes: filesMost - 5*roomStep}
	sends := func(during func()) error {
		_, err := s.Create(func(w io.Writer) (File, error) {
			_, err := w.Write(make([]byte, 2*roomStep))
			during()
			return File{}, err
		})
		return err
	}
	err = sends(func() {
		if err := sends(func() {}); !errors.Is(err, &bus.Error{Code: bus.CodeNoSpace}) {
			t.Errorf("the second: %v", err)
		}
	})
	if err != nil || s.coming != 0 {
		t.Errorf("the first: %v; %d bytes are still to come", err, s.coming)
	}
	if err := sends(func() {}); err != nil {
		t.Errorf("one after the other: %v", err)
	}
	if err := sends(func() {}); !errors.Is(err, &bus.Error{Code: bus.CodeNoSpace}) {
		t.Errorf("one too many: %v", err)
	}
}
