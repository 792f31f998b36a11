package sched

import (
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// posted is a quiet node's wire that remembers what is published.
type posted struct {
	quiet
	all []Msg
}

func (p *posted) Publish(m Msg) error {
	p.all = append(p.all, m)
	return nil
}

func (p *posted) node(id bus.NodeID) *Node {
	return New(Config{ID: id}, Effects{Wire: p, Queues: p})
}

// The end of a durable task is on the submitter's disk before the last of its output has come: that is asked for, at a worker
// that has ended, and waited for. What does not come is told at the end.
func TestEndOvertakesItsOutput(t *testing.T) {
	for name, c := range map[string]struct {
		has   int // chunks that the submitter has when the end comes; -1: none, but for one that came early
		comes bool
		want  string
		warns string
	}{
		"it comes":        {1, true, "1.0 1.1 1.2 1.3 e1.4 ", ""},
		"all but one":     {-1, true, "1.0 1.1 1.2 1.3 e1.4 ", ""},
		"all of it":       {0, true, "1.0 1.1 1.2 1.3 e1.4 ", ""},
		"none ever comes": {0, false, "e1.4 ", ""},
		"it never comes":  {1, false, "1.0 e1.4 ", "3 of 4 pieces of the output are missing"},
		"none is late":    {4, false, "1.0 1.1 1.2 1.3 e1.4 ", ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const self, worker bus.NodeID = "myco-aaaaaaaaaaaa", "myco-bbbbbbbbbbbb"
				here, there := &posted{}, &posted{}
				n, w := here.node(self), there.node(worker)
				j := Job{Task: bus.Task{ID: "t1", Type: "work"}, Submitter: self, Custodian: worker}
				n.outbox.mu.Lock()
				n.outbox.open(&entry{job: j, key: j.key(), out: n.outbox.newStream(true)})
				n.outbox.mu.Unlock()
				out, err := n.AttachAt("t1", 0, 0)
				if err != nil {
					t.Fatal(err)
				}
				a := &attempt{w: w.worker, job: &j, rec: Record{Attempt: 1, Nonce: "x"}}
				for range 4 {
					if err := a.emit(t.Context(), json.RawMessage(`{}`)); err != nil {
						t.Fatal(err)
					}
				}
				for _, m := range there.all[:max(c.has, 0)] {
					n.outbox.onOut(m)
				}
				if c.has < 0 {
					n.outbox.onOut(there.all[2])
				}
				w.worker.keepSaid(a)
				there.all, here.all = nil, nil
				n.outbox.complete("t1", Final{Task: "t1", State: bus.StateDone, Node: worker, Attempt: 1, Nonce: "x", Chunks: 4})
				for _, m := range here.all {
					w.worker.onResend(m)
				}
				for _, m := range there.all {
					if c.comes {
						n.outbox.onOut(m)
					}
				}
				late := time.AfterFunc(gapWait+time.Millisecond, func() { n.outbox.closeOverdue(time.Now()) })
				defer late.Stop()
				var read []bus.Chunk
				for len(read) == 0 || read[len(read)-1].End == nil {
					chunk, err := out.Next(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					read = append(read, chunk)
				}
				if got, end := places(read), read[len(read)-1].End; got != c.want || end.Warning != c.warns {
					t.Errorf("reads %q, warned %q, want %q, %q", got, end.Warning, c.want, c.warns)
				}
			})
		})
	}
}

// What is kept of attempts that have ended is counted with what each piece takes beside its words, and one very long output,
// of which the end is kept, leaves room for those of others.
func TestKeptOutputIsCounted(t *testing.T) {
	t.Parallel()
	w := (&posted{}).node("myco-bbbbbbbbbbbb").worker
	says := func(id bus.TaskID, pieces int) {
		a := &attempt{w: w, job: &Job{Task: bus.Task{ID: id}}}
		for i := range pieces {
			a.kept = append(a.kept, outMsg{Seq: i, Data: json.RawMessage("1")})
		}
		w.keepSaid(a)
	}
	const long = saidBytes / pieceBytes
	says("short", 3)
	says("long", long)
	if a, has := w.said.get("short"); !has || len(a.kept) != 3 {
		t.Error("the output of another task is not kept any more")
	}
	a, has := w.said.get("long")
	if !has || len(a.kept) != saidEach/(pieceBytes+1) || a.kept[len(a.kept)-1].Seq != long-1 {
		t.Fatalf("kept is %v, of a very long output, and not its end", has)
	}
	if want := (len(a.kept) + 3) * (pieceBytes + 1); w.said.bytes != want {
		t.Errorf("%d bytes are counted, want %d", w.said.bytes, want)
	}
	for i := range saidMost {
		says(bus.TaskID(fmt.Sprint(i)), long)
	}
	if _, has := w.said.get("short"); has || w.said.bytes > saidBytes {
		t.Errorf("%d bytes are kept of others", w.said.bytes)
	}
}

// An end that nobody waits for any more, since other tasks have ended meanwhile, is told all the same.
func TestTailThatIsDroppedEnds(t *testing.T) {
	t.Parallel()
	n := (&posted{}).node("myco-aaaaaaaaaaaa")
	o := n.outbox
	e := &entry{job: Job{Task: bus.Task{ID: "t1"}}, out: o.newStream(true)}
	e.out.take(piece(1, 0, nil), time.Now())
	e.out.close(Final{Task: "t1", State: bus.StateDone, Attempt: 1, Nonce: "x", Node: "x", Chunks: 3}, time.Now())
	o.mu.Lock()
	o.keepTail("t1", e)
	waited := o.tailWaits()
	o.dropTails(time.Now(), 0)
	o.mu.Unlock()
	if !waited || e.out.end == nil {
		t.Errorf("waited %v, ended with %+v", waited, e.out.end)
	}
}

// Who comes back to a task that ended long ago is told what of its output is gone.
func TestEndTellsWhatIsGone(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		final         Final
		attempt, from int
		warns         string
	}{
		"all was read":       {Final{Chunks: 4}, 1, 4, ""},
		"a part was read":    {Final{Chunks: 4}, 1, 3, "1 of 4 pieces of the output are missing"},
		"nothing was":        {Final{Chunks: 4}, 1, 0, ""},
		"of another attempt": {Final{Chunks: 4, Attempt: 2}, 1, 3, ""}, // what was read is void
		"it was continued":   {Final{Chunks: 4, Attempt: 2, After: &after{1, 3}}, 1, 6, "1 of 7 pieces of the output are missing"},
		"whichever":          {Final{Chunks: 4}, 0, 3, "1 of 4 pieces of the output are missing"},
	} {
		n := (&posted{}).node("myco-aaaaaaaaaaaa")
		f := c.final
		f.Task, f.State, f.Attempt = "t1", bus.StateDone, max(f.Attempt, 1)
		n.outbox.ended.put("t1", ended{Job{Task: bus.Task{ID: "t1"}}, f}, 1)
		out, err := n.AttachAt("t1", c.attempt, c.from)
		if err != nil {
			t.Fatal(err)
		}
		end, err := out.Next(t.Context())
		if err != nil || end.End == nil || end.End.Warning != c.warns {
			t.Errorf("%s: %+v, error %v, want the warning %q", name, end.End, err, c.warns)
		}
	}
}
