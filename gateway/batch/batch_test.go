package batch_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/gateway/batch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const endpoint = "/v1/chat/completions"

// asked is what answers requests, and counts them by what they say.
type asked struct {
	mu     sync.Mutex
	times  map[string]int
	answer func(ctx context.Context, said string, time int) batch.Answer
}

func (a *asked) ask(ctx context.Context, _ string, body []byte) batch.Answer {
	var req struct{ Said string }
	if err := json.Unmarshal(body, &req); err != nil {
		return batch.Answer{Status: 400}
	}
	a.mu.Lock()
	if a.times == nil {
		a.times = map[string]int{}
	}
	a.times[req.Said]++
	n := a.times[req.Said]
	a.mu.Unlock()
	if a.answer != nil {
		return a.answer(ctx, req.Said, n)
	}
	return well(req.Said)
}

// well is the answer to what was said.
func well(said string) batch.Answer {
	return batch.Answer{Status: 200, ID: "task-" + said, Body: fmt.Appendf(nil, `{"to":%q}`, said)}
}

// free enters anyone.
func free(ctx context.Context, _ string) (context.Context, func(), error) { return ctx, func() {}, nil }

func open(t *testing.T, dir string, a *asked, change ...func(*batch.Config)) *batch.Store {
	t.Helper()
	cfg := batch.Config{Dir: dir, Room: func() error { return nil }, Enter: free, Ask: a.ask, Knows: func(_, model string) bool { return model == "m" }, Holds: func(string) bool { return true }}
	for _, c := range change {
		c(&cfg)
	}
	s, err := batch.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// runs has s answer until the returned function is called.
func runs(t *testing.T, s *batch.Store) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func send(t *testing.T, s *batch.Store, user, content string) batch.File {
	t.Helper()
	f, err := s.Create(user, func(w io.Writer) (batch.File, error) {
		_, err := io.WriteString(w, content)
		return batch.File{Name: "in.jsonl", Purpose: "batch"}, err
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func begin(t *testing.T, s *batch.Store, user, content string) batch.Batch {
	t.Helper()
	b, err := s.Begin(batch.Batch{User: user, Endpoint: endpoint, Input: send(t, s, user, content).ID})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// requests are n of them, each on a line.
func requests(n int) string {
	var out strings.Builder
	for i := range n {
		fmt.Fprintf(&out, `{"custom_id":"c%d","method":"POST","url":%q,"body":{"model":"m","said":"s%d"}}`+"\n", i, endpoint, i)
	}
	return out.String()
}

// await waits until a batch is what it should be.
func await(t *testing.T, s *batch.Store, b batch.Batch, is func(batch.Batch) bool) batch.Batch {
	t.Helper()
	for limit := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		now, err := s.Batch(b.User, b.ID)
		if err != nil {
			t.Fatal(err)
		}
		if is(now) {
			return now
		}
		if time.Now().After(limit) {
			t.Fatalf("after a minute the batch is %+v", now)
		}
	}
}

func over(b batch.Batch) bool { return b.Status.Over() }

type outcome struct {
	ID       string
	CustomID string `json:"custom_id"`
	Response *struct {
		StatusCode int    `json:"status_code"`
		RequestID  string `json:"request_id"`
		Body       json.RawMessage
	}
	Error *struct{ Code, Message string }
}

// outcomes reads a file of what a batch came to, by custom_id.
func outcomes(t *testing.T, s *batch.Store, user, id string) map[string]outcome {
	t.Helper()
	out := map[string]outcome{}
	if id == "" {
		return out
	}
	in, f, err := s.Content(user, id)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	data, err := io.ReadAll(in)
	if err != nil || int64(len(data)) != f.Bytes {
		t.Fatalf("%d bytes of %d, %v", len(data), f.Bytes, err)
	}
	for l := range bytes.Lines(data) {
		var o outcome
		if err := json.Unmarshal(l, &o); err != nil {
			t.Fatalf("%q: %v", l, err)
		}
		if _, twice := out[o.CustomID]; twice {
			t.Errorf("%s is there twice", o.CustomID)
		}
		out[o.CustomID] = o
	}
	return out
}

func TestBatch(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), &asked{answer: func(_ context.Context, said string, _ int) batch.Answer {
		if said == "s3" {
			return batch.Answer{Status: 400, Body: []byte(`{"error":"no"}`)}
		}
		return well(said)
	}})
	runs(t, s)
	b := begin(t, s, "u", requests(200)+"\n\n")
	if b.Status != batch.Validating || b.Expires.Sub(b.At[batch.Validating]) != batch.Window {
		t.Errorf("begun: %+v", b)
	}
	b = await(t, s, b, over)
	if b.Status != batch.Completed || b.Total != 200 || b.Done != 199 || b.Erred != 1 || b.Faults != nil {
		t.Errorf("ended: %+v", b)
	}
	for _, status := range []batch.Status{batch.Validating, batch.InProgress, batch.Finalizing, batch.Completed} {
		if b.At[status].IsZero() {
			t.Errorf("it is not told when it was %s", status)
		}
	}
	answers, errs := outcomes(t, s, "u", b.Output), outcomes(t, s, "u", b.Errors)
	if len(answers) != 199 || len(errs) != 1 {
		t.Fatalf("%d answers and %d errors", len(answers), len(errs))
	}
	if o := answers["c7"]; o.Response.StatusCode != 200 || o.Response.RequestID != "task-s7" || string(o.Response.Body) != `{"to":"s7"}` || o.Error != nil {
		t.Errorf("an answer: %+v", o)
	}
	if o := errs["c3"]; o.Response.StatusCode != 400 || string(o.Response.Body) != `{"error":"no"}` {
		t.Errorf("an error: %+v", o)
	}
	if list := s.Batches("u"); len(list) != 1 || len(s.Batches("")) != 0 {
		t.Errorf("listed: %+v", list)
	}
}

// What is under way when the program ends is asked again by the next, and what has an answer is not.
func TestBatchGoesOnAfterARestart(t *testing.T) {
	t.Parallel()
	const n, before = 300, 100
	dir := t.TempDir()
	enough := make(chan struct{})
	first := &asked{}
	first.answer = func(ctx context.Context, said string, _ int) batch.Answer {
		first.mu.Lock()
		begun := len(first.times)
		first.mu.Unlock()
		if begun > before {
			<-ctx.Done() // it is never answered
			return batch.Answer{}
		}
		if begun == before {
			defer close(enough)
		}
		return well(said)
	}
	s := open(t, dir, first)
	stop := runs(t, s)
	b := begin(t, s, "", requests(n))
	<-enough
	got := await(t, s, b, func(b batch.Batch) bool { return b.Done == before })
	stop()
	if got.Status != batch.InProgress {
		t.Fatalf("it is %s", got.Status)
	}
	// The power goes while a line is written.
	part, err := os.OpenFile(filepath.Join(dir, "file-"+strings.TrimPrefix(b.ID, "batch_")+"output"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = part.WriteString(`{"id":"batch_req_`)
	if err := errors.Join(err, part.Close()); err != nil {
		t.Fatal(err)
	}
	second := &asked{}
	s = open(t, dir, second)
	runs(t, s)
	b = await(t, s, b, over)
	if answers := outcomes(t, s, "", b.Output); b.Status != batch.Completed || b.Done != n || len(answers) != n || b.Errors != "" {
		t.Errorf("%d answers of %+v", len(answers), b)
	}
	if len(second.times) != n-before {
		t.Errorf("%d were asked again, want the %d without an answer", len(second.times), n-before)
	}
}

// A restart at each moment of the end makes the same files, whatever the end is.
func TestBatchEndsAfterARestart(t *testing.T) {
	t.Parallel()
	for _, status := range []batch.Status{batch.Finalizing, batch.Cancelling} {
		for recorded := range 3 {
			dir := t.TempDir()
			s := open(t, dir, &asked{answer: func(_ context.Context, said string, _ int) batch.Answer {
				a := well(said)
				if said == "s1" {
					a.Status = 500
				}
				return a
			}})
			stop := runs(t, s)
			b := await(t, s, begin(t, s, "", requests(3)), over)
			stop()
			for _, id := range []string{b.Output, b.Errors}[recorded:] {
				if err := os.Remove(filepath.Join(dir, id+".json")); err != nil {
					t.Fatal(err)
				}
			}
			b.Status, b.Output, b.Errors = status, "", ""
			record, err := json.Marshal(b)
			if err = errors.Join(err, os.WriteFile(filepath.Join(dir, b.ID+".json"), record, 0o600)); err != nil {
				t.Fatal(err)
			}
			s = open(t, dir, &asked{})
			runs(t, s)
			b = await(t, s, b, over)
			answers, errs := outcomes(t, s, "", b.Output), outcomes(t, s, "", b.Errors)
			if len(answers) != 2 || len(errs) != 1 || b.Done != 2 || b.Erred != 1 || len(s.Files("")) != 3 {
				t.Errorf("%s, %d recorded: %d answers and %d errors of %+v", status, recorded, len(answers), len(errs), b)
			}
		}
	}
}

// A request that may be answered later is asked until it is.
func TestBatchWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &asked{answer: func(_ context.Context, said string, n int) batch.Answer {
			if said == "s2" && n < 30 {
				return batch.Answer{Status: 503, Later: true, Body: []byte("{}")}
			}
			return well(said)
		}}
		s := open(t, t.TempDir(), a)
		runs(t, s)
		b := begin(t, s, "", requests(4))
		time.Sleep(10 * time.Minute)
		if b, _ = s.Batch("", b.ID); b.Status != batch.InProgress || b.Done != 3 {
			t.Errorf("after ten minutes: %+v", b)
		}
		time.Sleep(10 * time.Minute)
		if b, _ = s.Batch("", b.ID); b.Status != batch.Completed || b.Done != 4 || a.times["s2"] != 30 || a.times["s1"] != 1 {
			t.Errorf("in the end: %+v, asked %v", b, a.times)
		}
	})
}

// After a day what has no answer is told as such.
func TestBatchExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.TempDir(), &asked{answer: func(ctx context.Context, said string, _ int) batch.Answer {
			if said == "s2" {
				<-ctx.Done()
				return batch.Answer{}
			}
			return well(said)
		}})
		runs(t, s)
		b := begin(t, s, "", requests(4))
		time.Sleep(batch.Window + time.Minute)
		b, _ = s.Batch("", b.ID)
		errs := outcomes(t, s, "", b.Errors)
		if b.Status != batch.Expired || b.Done != 3 || b.Erred != 1 || len(outcomes(t, s, "", b.Output)) != 3 || errs["c2"].Error == nil || errs["c2"].Error.Code != "batch_expired" {
			t.Errorf("%+v: %+v", b, errs)
		}
		// And in a month all of it is gone.
		time.Sleep(batch.Term + 2*time.Hour)
		if files, batches := s.Files(""), s.Batches(""); len(files) != 0 || len(batches) != 0 {
			t.Errorf("there are %v and %v", files, batches)
		}
	})
}

func TestBatchIsCancelled(t *testing.T) {
	t.Parallel()
	asking := atomic.Bool{} // the first that is asked, which may be any of those that are asked at one time
	asks := &asked{answer: func(ctx context.Context, said string, _ int) batch.Answer {
		if asking.CompareAndSwap(false, true) {
			return well(said)
		}
		<-ctx.Done()
		return batch.Answer{}
	}}
	s := open(t, t.TempDir(), asks)
	runs(t, s)
	b := await(t, s, begin(t, s, "", requests(500)), func(b batch.Batch) bool { return b.Done == 1 })
	if _, err := s.Cancel("another", b.ID); !errors.Is(err, &bus.Error{Code: bus.CodeNotFound}) {
		t.Errorf("cancelled by another: %v", err)
	}
	if b, err := s.Cancel("", b.ID); err != nil || b.Status != batch.Cancelling {
		t.Errorf("cancelled: %+v, %v", b, err)
	}
	b = await(t, s, b, over)
	answers, errs := outcomes(t, s, "", b.Output), outcomes(t, s, "", b.Errors)
	if b.Status != batch.Cancelled || len(answers) != 1 || len(errs) != 499 || b.Done != 1 || b.Erred != 499 || errs["c499"].Error.Code != "batch_cancelled" {
		t.Errorf("%+v, %d errors, %v", b, len(errs), slices.Collect(maps.Keys(answers)))
	}
	if again, err := s.Cancel("", b.ID); err != nil || again.Status != batch.Cancelled {
		t.Errorf("cancelled again: %+v, %v", again, err)
	}
	asking.Store(false)
	done := await(t, s, begin(t, s, "", requests(1)), over)
	if _, err := s.Cancel("", done.ID); !errors.Is(err, &bus.Error{Code: bus.CodeConflict}) {
		t.Errorf("cancelled when it was over: %v", err)
	}
}

// A batch whose user may ask no more ends, and says so to its requests under way too.
func TestBatchOfNobody(t *testing.T) {
	t.Parallel()
	revoked := bus.Errorf(bus.CodeForbidden, "the key was revoked")
	asking := make(chan struct{})
	entered := atomic.Int32{}
	s := open(t, t.TempDir(), &asked{answer: func(ctx context.Context, said string, _ int) batch.Answer {
		close(asking)
		<-ctx.Done()
		if err := context.Cause(ctx); !errors.Is(err, revoked) {
			t.Errorf("%s ends with %v", said, err)
		}
		return well(said)
	}}, func(c *batch.Config) {
		c.Enter = func(ctx context.Context, user string) (context.Context, func(), error) {
			if entered.Add(1) == 1 {
				return free(ctx, user)
			}
			<-asking
			return nil, nil, revoked
		}
	})
	runs(t, s)
	b := await(t, s, begin(t, s, "u", requests(5)), over)
	if b.Status != batch.Failed || len(b.Faults) != 1 || b.Faults[0].Message != "the key was revoked" || b.Done != 0 {
		t.Errorf("%+v", b)
	}
}

// A program that has just begun knows few nodes: a batch of the one before is not refused for its model.
func TestBatchIsValidatedAfterARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := begin(t, open(t, dir, &asked{}), "", requests(2))
	s := open(t, dir, &asked{}, func(c *batch.Config) { c.Knows = func(string, string) bool { return false } })
	runs(t, s)
	if b = await(t, s, b, over); b.Status != batch.Completed || b.Done != 2 {
		t.Errorf("%+v", b)
	}
	if b = await(t, s, begin(t, s, "", requests(2)), over); b.Status != batch.Failed {
		t.Errorf("one of its own: %+v", b)
	}
}

func TestBatchThatIsNone(t *testing.T) {
	t.Parallel()
	line := func(change string) string {
		return strings.NewReplacer(strings.Split(change, "=>")...).Replace(strings.TrimSuffix(requests(1), "\n"))
	}
	s := open(t, t.TempDir(), &asked{})
	runs(t, s)
	for want, content := range map[string]string{
		"0 empty_file":                 "\n \n",
		"1 invalid_json_line":          "no",
		"2 duplicate_custom_id":        requests(1) + requests(1),
		"1 missing_required_parameter": line(`"c0"=>""`),
		"1 invalid_method":             line("POST=>GET"),
		"1 mismatched_endpoint":        line("chat=>chats"),
		"3 invalid_request":            "\n\n" + line(`"model"=>"stream":true,"model"`),
		"1 model_not_found":            line(`"m"=>"other"`),
		"1 line_too_long":              `{"custom_id":"` + strings.Repeat("x", 17<<20),
		"50001 too_many_requests":      requests(50_001),
	} {
		b := await(t, s, begin(t, s, "", content), over)
		if b.Status != batch.Failed || len(b.Faults) != 1 || fmt.Sprint(b.Faults[0].Line, " ", b.Faults[0].Code) != want || b.Output != "" {
			t.Errorf("want %s: %.400s", want, fmt.Sprint(b))
		}
	}
	if b := await(t, s, begin(t, s, "", strings.Repeat("no\n", 100)), over); len(b.Faults) != 20 {
		t.Errorf("%d faults are told", len(b.Faults))
	}
}
