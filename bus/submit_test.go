package bus_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mycoswarm/mycoswarm/bus"
)

func text(attempt, seq int, s string) bus.Chunk {
	return bus.Chunk{Attempt: attempt, Seq: seq, Data: json.RawMessage(`"` + s + `"`)}
}

func end(state bus.TaskState, e *bus.Error) bus.Chunk {
	return bus.Chunk{Attempt: 1, End: &bus.TaskInfo{ID: "t1", State: state, Result: json.RawMessage(`{"n":1}`), Error: e}}
}

// submits makes the daemon answer a submit with these chunks.
func submits(d *daemon, chunks ...bus.Chunk) {
	on(d, payload(bus.VerbSubmit), func(r bus.SubmitRequest) any {
		for _, c := range chunks {
			d.send(r.Inbox, c)
		}
		return bus.SubmitReply{ID: r.Task.ID, Model: "m"}
	})
}

func TestSubmitStreamsInOrder(t *testing.T) {
	t.Parallel()
	d, c := setup(t)
	want := []bus.Chunk{text(1, 0, "a"), text(1, 1, "b"), text(2, 0, "c"), end(bus.StateDone, nil)}
	submits(d, want[0], want[1], want[1], want[2], text(1, 2, "void"), want[3])
	var got []bus.Chunk
	for chunk, err := range c.Submit(t.Context(), bus.Task{Type: "ping"}) {
		must(t, err)
		got = append(got, chunk)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	type result struct{ N int }
	r, err := bus.Result[result](*got[3].End)
	must(t, err)
	if r.N != 1 {
		t.Errorf("result %+v, want N 1", r)
	}
}

// A stream that has ended leaves its inbox to the next one: the whole swarm hears of every subscription that
// comes or goes.
func TestStreamsShareAnInboxInTurn(t *testing.T) {
	t.Parallel()
	d, c := setup(t)
	var mu sync.Mutex
	inboxes := map[string]int{}
	on(d, payload(bus.VerbSubmit), func(r bus.SubmitRequest) any {
		mu.Lock()
		inboxes[r.Inbox]++
		mu.Unlock()
		d.send(r.Inbox, end(bus.StateDone, nil))
		return bus.SubmitReply{ID: r.Task.ID}
	})
	for range 3 {
		for _, err := range c.Submit(t.Context(), bus.Task{Type: "ping"}) {
			must(t, err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(inboxes) != 1 {
		t.Errorf("three streams, one after the other, had the inboxes %v, want one", inboxes)
	}
}

func TestStartTellsWhatTheDaemonDecided(t *testing.T) {
	t.Parallel()
	d, c := setup(t)
	submits(d, end(bus.StateDone, nil))
	s, err := c.Start(t.Context(), bus.Task{ID: "mine", Type: "ping"})
	must(t, err)
	defer s.Close()
	if s.Reply.ID != "mine" || s.Reply.Model != "m" {
		t.Errorf("reply %+v, want task mine on model m", s.Reply)
	}
}

func TestSubmitFillsInTheDefaults(t *testing.T) {
	t.Parallel()
	d, c := setup(t)
	got := make(chan bus.Task, 1)
	on(d, payload(bus.VerbSubmit), func(r bus.SubmitRequest) any {
		got <- r.Task
		return bus.Errorf(bus.CodeNoWorker, "nobody").WithHint("myco swarm")
	})
	for _, err := range c.Submit(t.Context(), bus.Task{Type: "ping"}) {
		wantCode(t, err, bus.CodeNoWorker)
		if h := bus.AsError(err).Hint; h != "myco swarm" {
			t.Errorf("hint %q, want that of the daemon", h)
		}
	}
	task := receive(t, got, "the task")
	if task.ID.Validate() != nil || task.Lane != bus.Interactive || task.Priority != bus.DefaultPriority {
		t.Errorf("task %+v, want an id, the interactive lane and the default priority", task)
	}
}

func TestSubmitEndsWithWhatBecameOfTheTask(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		end  bus.Chunk
		code bus.Code
	}{
		"own error": {end(bus.StateFailed, bus.Errorf(bus.CodeTooLarge, "too long")), bus.CodeTooLarge},
		"failed":    {end(bus.StateFailed, nil), bus.CodeFailed},
		"cancelled": {end(bus.StateCancelled, nil), bus.CodeCancelled},
		"expired":   {end(bus.StateExpired, nil), bus.CodeExpired},
		"dead":      {end(bus.StateDead, nil), bus.CodeDead},
		"unknown":   {end("weird", nil), bus.CodeInternal},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, c := setup(t)
			submits(d, test.end)
			n := 0
			for chunk, err := range c.Submit(t.Context(), bus.Task{Type: "ping"}) {
				n++
				wantCode(t, err, test.code)
				if chunk.End == nil {
					t.Error("the last chunk is missing")
				}
			}
			if n != 1 {
				t.Errorf("%d pairs, want 1", n)
			}
		})
	}
}

func TestSubmitRefusesAGap(t *testing.T) {
	t.Parallel()
	d, c := setup(t)
	cancelled := cancels(d)
	submits(d, text(1, 0, "a"), text(1, 2, "c"))
	var last error
	for _, err := range c.Submit(t.Context(), bus.Task{ID: "t1", Type: "ping"}) {
		last = err
	}
	wantCode(t, last, bus.CodeInternal)
	if !strings.Contains(last.Error(), "output is missing") {
		t.Errorf("error %v, want that output is missing", last)
	}
	if id := receive(t, cancelled, "the cancel"); id != "t1" {
		t.Errorf("cancelled %s, want t1", id)
	}
}

// cancels returns the ids that the client cancels.
func cancels(d *daemon) <-chan bus.TaskID {
	ch := make(chan bus.TaskID, 10)
	on(d, payload(bus.VerbCancel), func(r bus.TaskRequest) any {
		ch <- r.ID
		return bus.TaskInfo{ID: r.ID, State: bus.StateCancelled}
	})
	return ch
}

func TestBreakCancels(t *testing.T) {
	t.Parallel()
	d, c := setup(t)
	cancelled := cancels(d)
	submits(d, text(1, 0, "a"), text(1, 1, "b"))
	for _, err := range c.Submit(t.Context(), bus.Task{ID: "t1", Type: "ping"}) {
		must(t, err)
		break
	}
	if id := receive(t, cancelled, "the cancel"); id != "t1" {
		t.Errorf("cancelled %s, want t1", id)
	}
}

func TestEndOfContextCancels(t *testing.T) {
	t.Parallel()
	d, c := setup(t)
	cancelled := cancels(d)
	submits(d, text(1, 0, "a"))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last error
	for _, err := range c.Submit(ctx, bus.Task{ID: "t1", Type: "ping"}) {
		last = err
		cancel()
	}
	wantCode(t, last, bus.CodeCancelled)
	receive(t, cancelled, "the cancel")
}

func TestEndOfContextCancelsWhatIsBeingHandedOver(t *testing.T) {
	t.Parallel()
	d, c := setup(t)
	cancelled := cancels(d)
	ctx, cancel := context.WithCancel(t.Context())
	on(d, payload(bus.VerbSubmit), func(bus.SubmitRequest) any { cancel(); return nil })
	for _, err := range c.Submit(ctx, bus.Task{ID: "t1", Type: "ping"}) {
		wantCode(t, err, bus.CodeCancelled)
	}
	receive(t, cancelled, "the cancel")
}

func TestALostDaemonEndsTheStreamAndIsFoundAgain(t *testing.T) {
	t.Parallel()
	d, c := setup(t)
	submits(d, text(1, 0, "a"))
	var last error
	for _, err := range c.Submit(t.Context(), bus.Task{Type: "ping"}) {
		if last = err; err == nil {
			d.stop()
		}
	}
	wantCode(t, last, bus.CodeUnavailable)
	d.opts.Port = -1 // it listens elsewhere from now on
	d.run()
	on(d, bus.SubjectRPC(self, bus.VerbPing), func(struct{}) any { return bus.PingReply{NodeID: self} })
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for ctx.Err() == nil {
		if r, err := c.Ping(ctx); err == nil {
			if r.NodeID != self {
				t.Errorf("%+v answers, want %s", r, self)
			}
			return
		}
	}
	t.Fatal("the daemon was not found again")
}

func TestAttach(t *testing.T) {
	t.Parallel()
	d, c := setup(t)
	want := []bus.Chunk{text(2, 5, "f"), text(2, 6, "g"), end(bus.StateDone, nil)}
	asked := make(chan bus.AttachRequest, 1)
	on(d, payload(bus.VerbAttach), func(r bus.AttachRequest) any {
		asked <- r
		for _, c := range want {
			d.send(r.Inbox, c)
		}
		return bus.SubmitReply{ID: r.ID}
	})
	var got []bus.Chunk
	for chunk, err := range c.Attach(t.Context(), "t1", 5) {
		must(t, err)
		got = append(got, chunk)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if r := receive(t, asked, "the request"); r.ID != "t1" || r.From != 5 {
		t.Errorf("asked for %+v, want t1 from 5", r)
	}
}

// Who attaches has no other way to what is missing: the rest comes, and the end tells of it.
func TestAttachTellsOfAGap(t *testing.T) {
	t.Parallel()
	d, c := setup(t)
	last := end(bus.StateDone, nil)
	last.Seq = 6
	on(d, payload(bus.VerbAttach), func(r bus.AttachRequest) any {
		for _, chunk := range []bus.Chunk{text(1, 2, "a"), text(1, 4, "c"), text(1, 4, "c"), last} {
			d.send(r.Inbox, chunk)
		}
		return bus.SubmitReply{ID: r.ID}
	})
	var read []int
	warned := ""
	for chunk, err := range c.Attach(t.Context(), "t1", 0) {
		must(t, err)
		if read = append(read, chunk.Seq); chunk.End != nil {
			warned = chunk.End.Warning
		}
	}
	if !slices.Equal(read, []int{2, 4, 6}) || warned != "2 of 6 pieces of the output are missing" {
		t.Errorf("read %v, warned %q", read, warned)
	}
}

func TestEnqueue(t *testing.T) {
	t.Parallel()
	d, c := setup(t)
	asked := make(chan bus.EnqueueRequest, 1)
	on(d, payload(bus.VerbEnqueue), func(r bus.EnqueueRequest) any {
		asked <- r
		return bus.Receipt{ID: r.Task.ID, Accepted: true, Copies: 1}
	})
	got, err := c.Enqueue(t.Context(), bus.Task{Type: "ping"}, bus.WithCopies(1))
	must(t, err)
	req := receive(t, asked, "the request")
	if req.Copies != 1 || req.Task.Lane != bus.Batch || got.ID != req.Task.ID || !got.Accepted {
		t.Errorf("request %+v, receipt %+v: want one copy in the batch lane, accepted", req, got)
	}
}

// A task whose stores are slow is handed over again, as the same task. One that was taken in meanwhile is accepted where
// nobody else can have its id.
func TestEnqueueAgain(t *testing.T) {
	t.Parallel()
	slow, taken := bus.Errorf(bus.CodeUnavailable, "no store answered"), bus.Errorf(bus.CodeConflict, "task exists already")
	for _, c := range []struct {
		name    string
		id      bus.TaskID
		answers []*bus.Error // nil: it is accepted
		want    bus.Code     // of the error; empty: it is accepted
	}{
		{"at the second try", "", []*bus.Error{slow, nil}, ""},
		{"at the third", "own", []*bus.Error{slow, slow, nil}, ""},
		{"never", "", []*bus.Error{slow, slow, slow}, bus.CodeUnavailable},
		{"taken in before", "", []*bus.Error{slow, taken}, ""},
		{"taken in before, or by another", "own", []*bus.Error{slow, taken}, bus.CodeUnavailable},
		{"the id of another", "own", []*bus.Error{taken}, bus.CodeConflict},
		{"the id of another at once", "", []*bus.Error{taken}, bus.CodeConflict},
		{"a full disk", "", []*bus.Error{bus.Errorf(bus.CodeNoSpace, "full")}, bus.CodeNoSpace},
	} {
		d, conn := setup(t)
		var mu sync.Mutex
		var asked []bus.EnqueueRequest
		on(d, payload(bus.VerbEnqueue), func(r bus.EnqueueRequest) any {
			mu.Lock()
			defer mu.Unlock()
			if asked = append(asked, r); len(asked) <= len(c.answers) && c.answers[len(asked)-1] != nil {
				return c.answers[len(asked)-1]
			}
			return bus.Receipt{ID: r.Task.ID, Accepted: true, Copies: 2}
		})
		r, err := conn.Enqueue(t.Context(), bus.Task{ID: c.id, Type: "ping"})
		mu.Lock()
		if codeOf(err) != c.want || (err == nil) != r.Accepted || r.ID != asked[0].Task.ID || len(asked) != len(c.answers) {
			t.Errorf("%s: %+v, %v, after %d tries", c.name, r, err, len(asked))
		}
		for i, a := range asked {
			if a.Task.ID != asked[0].Task.ID || a.Fresh != (i == 0 && c.id == "") {
				t.Errorf("%s: try %d is %+v", c.name, i, a)
			}
		}
		mu.Unlock()
	}
}

func TestTaskCalls(t *testing.T) {
	t.Parallel()
	d, c := setup(t)
	on(d, payload(bus.VerbTask), func(r bus.TaskRequest) any {
		if r.ID != "t1" {
			return bus.Errorf(bus.CodeNotFound, "no task %s", r.ID)
		}
		return bus.TaskInfo{ID: r.ID, State: bus.StateRunning}
	})
	on(d, payload(bus.VerbTasks), func(struct{}) any { return []bus.TaskInfo{{ID: "t1"}, {ID: "t2"}} })
	info, err := c.Task(t.Context(), "t1")
	must(t, err)
	if info.State != bus.StateRunning {
		t.Errorf("task %+v, want it running", info)
	}
	_, err = c.Task(t.Context(), "t9")
	wantCode(t, err, bus.CodeNotFound)
	_, err = c.Task(t.Context(), "no id")
	wantCode(t, err, bus.CodeInvalid)
	all, err := c.Tasks(t.Context())
	must(t, err)
	if ids := slices.Collect(func(yield func(bus.TaskID) bool) {
		for _, i := range all {
			yield(i.ID)
		}
	}); !slices.Equal(ids, []bus.TaskID{"t1", "t2"}) {
		t.Errorf("tasks %v, want t1 and t2", ids)
	}
}

func TestBadArgumentsDoNotReachTheDaemon(t *testing.T) {
	t.Parallel()
	_, c := setup(t)
	for _, err := range c.Submit(t.Context(), bus.Task{Type: "No Type"}) {
		wantCode(t, err, bus.CodeInvalid)
	}
	for _, err := range c.Attach(t.Context(), "", 0) {
		wantCode(t, err, bus.CodeInvalid)
	}
	for _, err := range c.Attach(t.Context(), "t1", -1) {
		wantCode(t, err, bus.CodeInvalid)
	}
	_, err := c.Enqueue(t.Context(), bus.Task{Type: "ping", Priority: 11})
	wantCode(t, err, bus.CodeInvalid)
	_, err = c.Cancel(t.Context(), "a b")
	wantCode(t, err, bus.CodeInvalid)
}
