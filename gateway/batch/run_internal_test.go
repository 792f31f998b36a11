package batch

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// begun is a Store with a batch whose requests are to be asked, in order.
func begun(t *testing.T, ask func(ctx context.Context, s *Store, body string) Answer) (*Store, *work) {
	t.Helper()
	var s *Store
	s, err := Open(Config{
		Dir: t.TempDir(), Room: func() error { return nil }, Knows: func(string, string) bool { return true }, Holds: func(string) bool { return true },
		Enter: func(ctx context.Context, _ string) (context.Context, func(), error) { return ctx, func() {}, nil },
		Ask:   func(ctx context.Context, _ string, body []byte) Answer { return ask(ctx, s, string(body)) },
	})
	if err != nil {
		t.Fatal(err)
	}
	f, err := s.Create("", func(w io.Writer) (File, error) {
		for _, id := range []string{"a", "b"} {
			if _, err := io.WriteString(w, `{"custom_id":"`+id+`","method":"POST","url":"/v1/completions","body":{"model":"`+id+`"}}`+"\n"); err != nil {
				return File{}, err
			}
		}
		return File{}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.Begin(Batch{Endpoint: "/v1/completions", Input: f.ID})
	if err != nil {
		t.Fatal(err)
	}
	return s, s.batches[b.ID]
}

// validatedRun is the work on the requests of a batch, once it is validated.
func validatedRun(t *testing.T, s *Store, w *work) *run {
	t.Helper()
	in, err := os.Open(s.path(w.Input))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close() })
	b, err := s.validated(t.Context(), w, w.Batch, in)
	if err != nil {
		t.Fatal(err)
	}
	return newRun(s, w, b, in)
}

// An answer that the disk takes in part is a matter of the disk, though the batch is cancelled then: its file is not whole.
func TestBrokenOutcomeOfACancelledBatch(t *testing.T) {
	t.Parallel()
	s, w := begun(t, func(ctx context.Context, s *Store, body string) Answer {
		if strings.Contains(body, `"a"`) {
			return Answer{Status: 200}
		}
		<-ctx.Done() // for the other could not be written
		if e := bus.AsError(context.Cause(ctx)); e.Code != bus.CodeUnavailable {
			t.Errorf("requests under way end with %v, as if it were a fault of theirs", e)
		}
		for id := range s.batches {
			if _, err := s.Cancel("", id); err != nil {
				t.Error(err)
			}
		}
		return Answer{}
	})
	r := validatedRun(t, s, w)
	if err := r.open(); err != nil {
		t.Fatal(err)
	}
	defer r.close() //nolint:errcheck // it is closed already
	r.out.Close()
	if refused, err := r.all(t.Context()); !errors.Is(err, os.ErrClosed) || refused != nil {
		t.Errorf("the end is %v, %v", refused, err)
	}
	if err := r.tell(line{number: 2}, outcome{}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("something was written behind it: %v", err)
	}
}

// A batch that is cancelled between its validation and its first request asks none.
func TestCancelledBeforeTheFirst(t *testing.T) {
	t.Parallel()
	s, w := begun(t, func(_ context.Context, _ *Store, body string) Answer {
		t.Errorf("asked %s", body)
		return Answer{}
	})
	r := validatedRun(t, s, w)
	if _, err := s.Cancel("", w.id); err != nil {
		t.Fatal(err)
	}
	if err := r.open(); err != nil {
		t.Fatal(err)
	}
	if refused, err := r.all(t.Context()); refused != nil || err != nil || w.Erred != 2 {
		t.Errorf("%v, %v, %d have an error", refused, err, w.Erred)
	}
	if err := r.close(); err != nil {
		t.Error(err)
	}
}

// What a cancelled batch has not asked is told after a restart, too; of lines that nobody has looked at nothing is.
func TestCancelledBeforeARestart(t *testing.T) {
	t.Parallel()
	for validated, erred := range map[bool]int{true: 2, false: 0} {
		s, w := begun(t, nil)
		if validated {
			validatedRun(t, s, w)
		}
		if _, err := s.Cancel("", w.id); err != nil {
			t.Fatal(err)
		}
		if err := s.finish(t.Context(), w); err != nil || w.Status != Cancelled || w.Erred != erred || (w.Errors != "") != validated {
			t.Errorf("%+v, %v", w.Batch, err)
		}
	}
}

// A batch whose requests all have an answer is not late, whenever it comes to its end.
func TestAnsweredInTime(t *testing.T) {
	t.Parallel()
	s, w := begun(t, nil)
	r := validatedRun(t, s, w)
	if err := r.open(); err != nil {
		t.Fatal(err)
	}
	for n := range 2 {
		if err := r.tell(line{number: n + 1}, outcome{Response: &response{StatusCode: 200}}); err != nil {
			t.Fatal(err)
		}
	}
	r.b.Expires = time.Now()
	if refused, err := r.all(t.Context()); refused != nil || err != nil || w.Late {
		t.Errorf("late: %v, %v, %v", w.Late, refused, err)
	}
	if err := r.close(); err != nil {
		t.Error(err)
	}
}

// A batch is late after a restart, too, which came when all that has no answer was told of and the end was not on disk.
func TestLateBeforeARestart(t *testing.T) {
	t.Parallel()
	s, w := begun(t, nil)
	r := validatedRun(t, s, w)
	if err := r.open(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(r.late(), r.close()); err != nil {
		t.Fatal(err)
	}
	s, err := Open(s.cfg)
	if err != nil {
		t.Fatal(err)
	}
	w = s.batches[w.id]
	if err := s.finish(t.Context(), w); err != nil || w.Status != Expired || w.Erred != 2 {
		t.Errorf("%+v, %v", w.Batch, err)
	}
}

// A validation ends with the program.
func TestValidationEnds(t *testing.T) {
	t.Parallel()
	s, w := begun(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.finish(ctx, w); !errors.Is(err, context.Canceled) || w.Status != Validating {
		t.Errorf("it is %s, %v", w.Status, err)
	}
}

// What cannot be read now is not taken for the end: it would be cut off.
func TestOutcomesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	broken := errors.New("the disk")
	first := `{"id":"batch_req_x_1"}` + "\n"
	done := map[int]bool{}
	if _, err := whole(io.MultiReader(strings.NewReader(first), iotest.ErrReader(broken)), "batch_x", done); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	for _, cut := range []string{"", `{"id":"batch_req_x_2"}`, `{"id":"batch_req_y_2"}` + "\n", `{"id":"batch_req_x_0"}` + "\n", "\x00\x00\n"} {
		if come, err := whole(strings.NewReader(first+cut), "batch_x", done); come != (sofar{n: 1, size: int64(len(first))}) || err != nil || !done[1] || len(done) != 1 {
			t.Errorf("%q: %+v, %v, %v", cut, come, done, err)
		}
	}
}
