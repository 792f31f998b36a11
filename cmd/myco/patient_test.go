package main

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Whoever waits for an answer is told when it pauses; what comes, and how the loop ends, stays as it is.
func TestPatient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		left := false
		chunks := func(yield func(bus.Chunk, error) bool) {
			defer func() { left = true }()
			for seq, pause := range []time.Duration{time.Second, 7 * time.Second, 0, time.Second} {
				if <-time.After(pause); !yield(bus.Chunk{Seq: seq}, nil) {
					return
				}
			}
		}
		var got []int
		for c, err := range patient(chunks, 3*time.Second, func() { got = append(got, -1) }) {
			if err != nil {
				t.Error(err)
			}
			if got = append(got, c.Seq); c.Seq == 2 {
				break
			}
		}
		if want := []int{0, -1, -1, 1, 2}; !slices.Equal(got, want) || !left {
			t.Errorf("got %v, and the loop was left: %t; want %v, looks as -1, and true", got, left, want)
		}
		got = nil
		for c, err := range patient(chunks, time.Hour, nil) {
			if err != nil {
				t.Error(err)
			}
			got = append(got, c.Seq)
		}
		if want := []int{0, 1, 2, 3}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

// pausesFor makes d answer a question only after it was asked twice what that waits for.
func (d *daemon) pausesFor(why string) {
	d.pauses(2, bus.TaskInfo{Type: bus.TypeInference, State: bus.StateQueued, Warning: why})
}

// pauses makes d answer a question only after so many looks at the task, which is info meanwhile.
func (d *daemon) pauses(looks int, info bus.TaskInfo) {
	inbox, asked := make(chan string, 1), make(chan struct{}, 8)
	on(d, payload(bus.VerbSubmit), func(r bus.SubmitRequest) any {
		inbox <- r.Inbox
		return bus.SubmitReply{ID: r.Task.ID}
	})
	on(d, payload(bus.VerbTask), func(r bus.TaskRequest) any {
		asked <- struct{}{}
		info.ID = r.ID
		return info
	})
	go func() {
		ctx, cancel := context.WithTimeout(d.t.Context(), limit)
		defer cancel()
		to := <-inbox
		for range looks {
			select {
			case <-asked:
			case <-ctx.Done():
			}
		}
		d.send(to, piece(1, 0, "Paris it is."), done(1, paris))
	}()
}

// A question that waits says what for, once.
func TestAskTellsWhatItWaitsFor(t *testing.T) {
	t.Parallel()
	d := setup(t)
	d.pausesFor("waits: node tower is draining")
	o := d.myco("ask", "Which city?").want(t, 0, "[waits: node tower is draining]\n-- tower")
	if o.out != "Paris it is.\n" {
		t.Errorf("printed %q", o.out)
	}
}

// One that a node has, and that says nothing for long, says who has it. One that waits again is nowhere, wherever it ran before.
func TestAskTellsWhoIsSilent(t *testing.T) {
	t.Parallel()
	for state, times := range map[bus.TaskState]int{bus.StateRunning: 1, bus.StateQueued: 0} {
		t.Run(string(state), func(t *testing.T) {
			t.Parallel()
			d := setup(t)
			d.pauses(silences+1, bus.TaskInfo{Type: bus.TypeInference, State: state, NodeID: other})
			if o := d.myco("ask", "Which city?").want(t, 0); strings.Count(o.err, "[tower is at it, and has said nothing yet]\n") != times {
				t.Error(o.err)
			}
		})
	}
}

// However long a task waited, its node is silent from when it has it.
func TestSilenceBeginsWithTheRun(t *testing.T) {
	t.Parallel()
	var s silence
	var got []bool
	for _, at := range []bus.NodeID{"", "", "", self, self, self, other, other, "", other, other, other, other} {
		got = append(got, s.long(at))
	}
	if want := []bool{false, false, false, false, false, true, false, false, false, false, false, true, true}; !slices.Equal(got, want) {
		t.Errorf("long: %v, want %v", got, want)
	}
}

// So does one in a conversation.
func TestChatTellsWhatItWaitsFor(t *testing.T) {
	t.Parallel()
	d := setup(t)
	d.pausesFor("waits: node tower is draining")
	o := d.chatOf("Which city?", "--no-save").want(t, 0, "[waits: node tower is draining]\n-- tower")
	if o.out != "Paris it is.\n" {
		t.Errorf("printed %q", o.out)
	}
}

// On a terminal it is told in the line that goes away when the answer begins, and below what there is of one.
func TestChatWaitsOnTheScreen(t *testing.T) {
	t.Parallel()
	s := newScreen(40, 12)
	size := func() (int, int) { return 40, 12 }
	ch := &chat{app: &app{view: &view{out: s}, now: time.Now}, notes: s}
	r := &reply{ch: ch, screen: &answerScreen{out: s, size: size}, asked: "gemma3:1b", nodes: []bus.NodeInfo{{ID: "myco-1", Name: "tower"}}}
	data := func(attempt, seq int, p bus.InferenceChunk) bus.Chunk {
		b, err := json.Marshal(p)
		must(t, err)
		return bus.Chunk{Attempt: attempt, Seq: seq, Node: "myco-1", Data: b}
	}
	shows := func(want string) {
		t.Helper()
		if got := s.lines(); got != want {
			t.Errorf("the screen shows\n%swant\n%s", got, want)
		}
	}
	r.wait("asking gemma3:1b …")
	r.waits("waits: 3 in the queue, for about 20s")
	shows("asking gemma3:1b … waits: 3 in the que…\n")
	r.waits("waits: next in the queue")
	shows("asking gemma3:1b … waits: next in the …\n")
	r.waits("")
	shows("asking gemma3:1b …\n")
	r.chunk(data(1, 0, bus.InferenceChunk{Loading: true}))
	shows("tower loads the model …\n")
	r.chunk(data(1, 1, bus.InferenceChunk{Text: "Paris"}))
	shows("Paris\n")
	r.waits("waits: next in the queue")
	r.waits("waits: next in the queue")
	shows("Paris\n[waits: next in the queue]\n")
	r.chunk(data(1, 2, bus.InferenceChunk{Text: "it is."}))
	r.endLine()
	shows("Paris\n[waits: next in the queue]\nit is.\n")
}
