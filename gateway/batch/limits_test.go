package batch_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/gateway/batch"
)

// So many requests of all batches are asked at a time, fewer of long ones, and no more than that again wait their turn.
func TestBatchAsksSomeAtATime(t *testing.T) {
	t.Parallel()
	for padding, want := range map[int]int32{0: 64, 1 << 20: 32} {
		n := 150
		if padding > 0 {
			n = 20
		}
		synctest.Test(t, func(t *testing.T) {
			var asking, entered atomic.Int32
			hold := make(chan struct{})
			s := open(t, t.TempDir(), &asked{answer: func(_ context.Context, said string, _ int) batch.Answer {
				asking.Add(1)
				<-hold
				return well(said)
			}}, func(c *batch.Config) {
				c.Enter = func(ctx context.Context, user string) (context.Context, func(), error) {
					entered.Add(1)
					return free(ctx, user)
				}
			})
			stop := runs(t, s)
			defer stop()
			defer close(hold)
			for range 2 {
				begin(t, s, "", strings.ReplaceAll(requests(n), `"m"`, `"m","pad":"`+strings.Repeat("x", padding)+`"`))
			}
			synctest.Wait()
			if asking.Load() != want || entered.Load() > 256 {
				t.Errorf("with %d bytes more %d are asked, %d have entered", padding, asking.Load(), entered.Load())
			}
		})
	}
}

// While the disk takes no more, nothing is asked, and the batch waits.
func TestBatchWaitsForRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var full atomic.Bool
		a := &asked{}
		s := open(t, t.TempDir(), a, func(c *batch.Config) {
			c.Room = func() error {
				if full.Load() {
					return bus.Errorf(bus.CodeNoSpace, "full")
				}
				return nil
			}
		})
		b := begin(t, s, "", requests(3))
		full.Store(true)
		stop := runs(t, s)
		defer stop()
		time.Sleep(time.Hour)
		if now, err := s.Batch("", b.ID); now.Status != batch.InProgress || len(a.times) > 0 || err != nil {
			t.Errorf("while it is full: %+v, asked %v, %v", now, a.times, err)
		}
		full.Store(false)
		time.Sleep(6 * time.Minute)
		if now, err := s.Batch("", b.ID); now.Status != batch.Completed || err != nil {
			t.Errorf("then: %+v, %v", now, err)
		}
	})
}

// There are so many batches under way, and nobody has more of them than there may be besides.
func TestBatchesUnderWay(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), &asked{})
	input := send(t, s, "", requests(1)).ID
	for range 50 {
		if _, err := s.Begin(batch.Batch{Endpoint: endpoint, Input: input}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Begin(batch.Batch{Endpoint: endpoint, Input: input}); !errors.Is(err, &bus.Error{Code: bus.CodeBusy}) {
		t.Errorf("one too many: %v", err)
	}
	if _, err := s.Begin(batch.Batch{User: "u", Endpoint: endpoint, Input: send(t, s, "u", requests(1)).ID}); err != nil {
		t.Errorf("of another: %v", err)
	}
}

// Requests whose node is away do not keep those behind them from being asked.
func TestBatchPassesOverWhatWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var back atomic.Bool
		s := open(t, t.TempDir(), &asked{answer: func(_ context.Context, said string, _ int) batch.Answer {
			var n int
			if _, err := fmt.Sscanf(said, "s%d", &n); err != nil || n < 200 && !back.Load() {
				return batch.Answer{Later: true}
			}
			return well(said)
		}})
		stop := runs(t, s)
		defer stop()
		b := begin(t, s, "", requests(400))
		time.Sleep(5 * time.Minute)
		if b, _ = s.Batch("", b.ID); b.Status != batch.InProgress || b.Done != 200 {
			t.Errorf("while the node is away: %+v", b)
		}
		back.Store(true)
		time.Sleep(5 * time.Minute)
		if b, _ = s.Batch("", b.ID); b.Status != batch.Completed || b.Done != 400 {
			t.Errorf("in the end: %+v", b)
		}
	})
}

// A file that expires stays as long as a batch reads it.
func TestFileExpiresBehindItsBatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.TempDir(), &asked{answer: func(_ context.Context, said string, n int) batch.Answer {
			if n < 200 {
				return batch.Answer{Later: true}
			}
			return well(said)
		}})
		stop := runs(t, s)
		defer stop()
		f, err := s.Create("", func(w io.Writer) (batch.File, error) {
			_, err := io.WriteString(w, requests(1))
			return batch.File{Expires: time.Now().Add(time.Hour)}, err
		})
		if err != nil {
			t.Fatal(err)
		}
		b, err := s.Begin(batch.Batch{Endpoint: endpoint, Input: f.ID, Keep: 10 * time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2*time.Hour + time.Minute)
		if _, err := s.File("", f.ID); err != nil {
			t.Errorf("while it is read: %v", err)
		}
		time.Sleep(4 * time.Hour)
		if _, err := s.File("", f.ID); !errors.Is(err, &bus.Error{Code: bus.CodeNotFound}) {
			t.Errorf("then: %v", err)
		}
		b, err = s.Batch("", b.ID)
		out, failed := s.File("", b.Output)
		if err != nil || failed != nil || b.Status != batch.Completed || out.Expires.Sub(out.Created) != 10*time.Hour {
			t.Errorf("%+v, %+v: %v, %v", b, out, err, failed)
		}
	})
}

// A batch whose file somebody has deleted from the disk ends.
func TestBatchWhoseFileIsGone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, &asked{})
	b := begin(t, s, "", requests(1))
	if err := os.Remove(filepath.Join(dir, b.Input)); err != nil {
		t.Fatal(err)
	}
	runs(t, s)
	if b = await(t, s, b, over); b.Status != batch.Failed || len(b.Faults) != 1 || !strings.Contains(fmt.Sprint(b.Faults), "is gone") {
		t.Errorf("%+v", b)
	}
}

// The record of one file or batch under the name of another is passed over.
func TestRecordsOfOthers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, &asked{})
	b := begin(t, s, "", requests(1))
	for of, as := range map[string]string{b.ID: "batch_other", b.Input: "file-other"} {
		data, err := os.ReadFile(filepath.Join(dir, of+".json"))
		if err = errors.Join(err, os.WriteFile(filepath.Join(dir, as+".json"), data, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	s = open(t, dir, &asked{})
	if files, batches := s.Files(""), s.Batches(""); len(files) != 1 || len(batches) != 1 {
		t.Errorf("%v, %v", files, batches)
	}
}

// What a user had whose key is gone goes, too.
func TestUserWhoIsGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.TempDir(), &asked{}, func(c *batch.Config) { c.Holds = func(user string) bool { return user != "gone" } })
		stop := runs(t, s)
		defer stop()
		for _, user := range []string{"here", "gone"} {
			begin(t, s, user, requests(1))
		}
		time.Sleep(time.Hour + time.Minute)
		if here, gone := len(s.Files("here")), len(s.Files("gone")); here != 2 || gone != 0 || len(s.Batches("here")) != 1 || len(s.Batches("gone")) != 0 {
			t.Errorf("%d files of who is here, %d of who is gone, and %v", here, gone, s.Batches("gone"))
		}
	})
}

// What is wrong is told in few words, however much it is.
func TestFaultsAreShort(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), &asked{})
	runs(t, s)
	long := strings.Repeat("x", 1<<20)
	for _, change := range []string{`"c0"=>"` + long + `"`, "POST=>" + long, "chat=>" + long, `"m"=>"` + long + `"`, `"m"=>"` + long[:500] + `"`} {
		b := await(t, s, begin(t, s, "", strings.NewReplacer(strings.Split(change, "=>")...).Replace(requests(1))), over)
		if b.Status != batch.Failed || len(b.Faults) != 1 || len(b.Faults[0].Message) > 300 {
			t.Errorf("%.20s: %.500s", change, fmt.Sprint(b))
		}
	}
}

// A file is kept for as long as was said, however slow the disk is on which it is written.
func TestFileIsKeptFromItsCreation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.TempDir(), &asked{})
		f, err := s.Create("", func(io.Writer) (batch.File, error) {
			f := batch.File{Created: time.Now()}
			f.Expires = f.Created.Add(time.Hour)
			time.Sleep(time.Second)
			return f, nil
		})
		if err != nil || f.Expires.Sub(f.Created) != time.Hour {
			t.Errorf("kept for %v: %v", f.Expires.Sub(f.Created), err)
		}
	})
}
