package batch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Files that come at one time take no more together than one after the other.
func TestRoomOfFilesThatCome(t *testing.T) {
	t.Parallel()
	s, err := Open(Config{Dir: t.TempDir(), Room: func() error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	s.files["large"] = &File{User: "another", Bytes: filesMost - 8*roomStep}
	sends := func(during func()) error {
		_, err := s.Create("", func(w io.Writer) (File, error) {
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
	if err != nil || len(s.coming) != 0 {
		t.Errorf("the first: %v; %v bytes are still to come", err, s.coming)
	}
	if err := sends(func() {}); err != nil {
		t.Errorf("one after the other: %v", err)
	}
	if err := sends(func() {}); !errors.Is(err, &bus.Error{Code: bus.CodeNoSpace}) {
		t.Errorf("one too many: %v", err)
	}
}

// Of batches that are over the oldest of who has most gives way.
func TestOldBatchesGiveWay(t *testing.T) {
	t.Parallel()
	s, err := Open(Config{Dir: t.TempDir(), Room: func() error { return nil }, Holds: func(string) bool { return true }})
	if err != nil {
		t.Fatal(err)
	}
	s.files["in"] = &File{ID: "in", User: "u"}
	begun := time.Now().Add(-time.Hour)
	for i := range keptMost {
		w := &work{id: fmt.Sprint(i), Batch: Batch{User: "most", Status: Completed, At: map[Status]time.Time{Validating: begun.Add(time.Duration(i))}}}
		if i < keptMost/3 {
			w.User = "u"
		}
		s.batches[w.id] = w
	}
	if _, err := s.Begin(Batch{User: "u", Input: "in"}); err != nil {
		t.Fatal(err)
	}
	if first := fmt.Sprint(keptMost / 3); len(s.batches) != keptMost || s.batches[first] != nil {
		t.Errorf("there are %d batches, with the oldest of who has most: %v", len(s.batches), s.batches[first])
	}
}

// failing is a slog.Handler that is told of failures of the disk.
type failing func()

func (failing) Enabled(context.Context, slog.Level) bool    { return true }
func (f failing) Handle(context.Context, slog.Record) error { f(); return nil }
func (f failing) WithAttrs([]slog.Attr) slog.Handler        { return f }
func (f failing) WithGroup(string) slog.Handler             { return f }

// While the disk works lists are told, and an old batch gives way once the new one is on disk. Cancelling needs no disk.
func TestDiskThatFails(t *testing.T) {
	t.Parallel()
	s, w := begun(t, nil)
	failures := 0
	s.cfg.Logger = slog.New(failing(func() {
		if failures++; !s.mu.TryLock() {
			t.Error("lists wait for the disk")
			return
		}
		s.mu.Unlock()
	}))
	for i := range keptMost {
		old := &work{id: fmt.Sprint(i), Batch: Batch{Status: Completed, At: map[Status]time.Time{Validating: time.Now()}}}
		s.batches[old.id] = old
	}
	if err := os.RemoveAll(s.cfg.Dir); err != nil {
		t.Fatal(err)
	}
	if b, err := s.Begin(Batch{Input: w.Input}); err == nil || len(s.batches) != keptMost+1 {
		t.Errorf("there are %d batches, with %+v, %v", len(s.batches), b, err)
	}
	if err := s.add(File{ID: "f"}); err == nil || s.files["f"] != nil {
		t.Errorf("a file is added: %v", err)
	}
	if b, err := s.Cancel("", w.id); err != nil || b.Status != Cancelling {
		t.Errorf("cancelled: %+v, %v", b, err)
	}
	if err := s.end(w, nil); err == nil || w.Status != Cancelling || failures != 4 {
		t.Errorf("the end is %s, %v, and %d failures", w.Status, err, failures)
	}
	if err := os.Mkdir(s.cfg.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := s.end(w, nil); err != nil || w.Status != Cancelled || failures != 4 {
		t.Errorf("once there is a disk: %s, %v, and %d failures", w.Status, err, failures)
	}
}

// Where a batch that was cancelled waits for the disk its file may be deleted, which makes room: the batch ends with what it has come
// to, without what was cut off.
func TestFileOfABatchThatWaitsForTheDisk(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, w := begun(t, nil)
		part := s.path(partID(w.id, errorPart))
		if err := os.Mkdir(part, 0o700); err != nil { // which nothing can be written to
			t.Fatal(err)
		}
		go s.work(t.Context(), w)
		synctest.Wait()
		if err := s.Remove("", w.Input); !errors.Is(err, &bus.Error{Code: bus.CodeConflict}) {
			t.Errorf("deleted under a batch that is to go on: %v", err)
		}
		if _, err := s.Cancel("", w.id); err != nil {
			t.Fatal(err)
		}
		if err := s.Remove("", w.Input); err != nil {
			t.Errorf("the file is not deleted: %v", err)
		}
		line := `{"id":"` + outcomePrefix(w.id) + `1"}` + "\n"
		if err := errors.Join(os.Remove(part), os.WriteFile(part, []byte(line+`{"id":"`), 0o600)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * againMost) // of the bubble
		b, _ := s.Batch("", w.id)
		if said, err := os.ReadFile(part); b.Status != Cancelled || b.Erred != 1 || string(said) != line || err != nil {
			t.Errorf("%+v, with %q, %v", b, said, err)
		}
	})
}

// The answers of a batch under way count as files do.
func TestAnswersTakeRoom(t *testing.T) {
	t.Parallel()
	s, w := begun(t, func(_ context.Context, s *Store, body string) Answer {
		if strings.Contains(body, `"b"`) {
			s.mu.Lock()
			defer s.mu.Unlock()
			for limit := time.Now().Add(time.Minute); s.coming[""] < 1<<20; { // until the other is written
				if time.Now().After(limit) {
					t.Error("the answer that is written does not count")
					break
				}
				s.mu.Unlock()
				time.Sleep(time.Millisecond)
				s.mu.Lock()
			}
		}
		return Answer{Status: 200, Body: []byte(`"` + strings.Repeat("x", 1<<20) + `"`)}
	})
	if err := s.finish(t.Context(), w); err != nil || w.Status != Completed || len(s.coming) != 0 {
		t.Errorf("%+v, %v; %v to come", w.Batch, err, s.coming)
	}
}
