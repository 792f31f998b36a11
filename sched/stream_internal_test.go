package sched

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// An end that comes before its output ends the stream with the last chunk, and is told as the end.
func TestEndBeforeItsOutput(t *testing.T) {
	t.Parallel()
	s := newStream(true, false)
	now := time.Unix(0, 0)
	chunk := func(seq int) outMsg { return outMsg{Nonce: "x", Attempt: 1, Seq: seq, Data: []byte("1")} }
	final := &Final{Task: "t1", State: bus.StateDone, Attempt: 1, Nonce: "x", Node: "x", Chunks: 2}
	for i, step := range []struct {
		m     outMsg
		gap   int
		ended bool
	}{
		{chunk(0), -1, false},
		{endMsg(*final), 1, false},
		{chunk(1), -1, true},
		{chunk(1), -1, false}, // again
		{endMsg(*final), -1, false},
	} {
		gap, ended := s.take(step.m, now)
		if gap != step.gap || (ended != nil) != step.ended {
			t.Errorf("step %d: gap %d, end %+v", i, gap, ended)
		}
	}
}

// said plays messages, and returns what a reader who keeps up reads, and the gap that is asked for at last.
func said(t *testing.T, s *stream, out *Output, ms ...outMsg) (read []bus.Chunk, gap int) {
	t.Helper()
	soon, cancel := context.WithCancel(t.Context())
	cancel()
	for _, m := range ms {
		gap, _ = s.take(m, time.Unix(0, 0))
		for {
			c, err := out.Next(soon)
			if err != nil {
				break
			}
			read = append(read, c)
		}
	}
	return read, gap
}

func piece(attempt, seq int, a *after) outMsg {
	nonces := []string{"", "x", "y", "z"}
	return outMsg{Nonce: nonces[attempt], Attempt: attempt, Seq: seq, Node: bus.NodeID(nonces[attempt]), Data: []byte(`{}`), After: a}
}

// places are the numbers of chunks; a "+" marks one where another node goes on, an "e" the end.
func places(cs []bus.Chunk) (out string) {
	for _, c := range cs {
		switch {
		case c.End != nil:
			out += "e"
		case c.Continues != nil:
			out += "+" + string(c.Continues.Lost)
		}
		out += fmt.Sprintf("%d.%d ", c.Attempt, c.Seq)
	}
	return out
}

// What continues goes on with the numbers of what it continues; what comes too late is left out, and
// what is missing is asked for by the numbers of its own run.
func TestContinues(t *testing.T) {
	t.Parallel()
	on := &after{Attempt: 1, Chunks: 2}
	ends := func(attempt, chunks int, a *after) outMsg {
		m := piece(attempt, 0, a)
		return endMsg(Final{Task: "t1", State: bus.StateDone, Attempt: attempt, Nonce: m.Nonce, Node: m.Node, Chunks: chunks, After: a})
	}
	for name, c := range map[string]struct {
		told int // the attempt that asks once two chunks are there
		then []outMsg
		want string
		gap  int // of the last
	}{
		"seamless":        {2, []outMsg{piece(2, 0, on), piece(2, 1, on), ends(2, 2, on)}, "1.0 1.1 +x1.2 1.3 e1.4 ", -1},
		"too late":        {2, []outMsg{piece(1, 2, nil), piece(2, 0, on), piece(1, 3, nil)}, "1.0 1.1 +x1.2 ", -1},
		"lost on the way": {2, []outMsg{piece(2, 1, on), piece(2, 0, on), piece(2, 3, on)}, "1.0 1.1 +x1.2 1.3 ", 2},
		"begins anew":     {2, []outMsg{piece(2, 0, nil), piece(2, 1, nil), ends(2, 2, nil)}, "1.0 1.1 2.0 2.1 e2.2 ", -1},
		"twice":           {3, []outMsg{piece(3, 0, on), piece(3, 1, on), ends(3, 2, on)}, "1.0 1.1 +x1.2 1.3 e1.4 ", -1},
		"not as told":     {0, []outMsg{piece(1, 2, nil), piece(2, 0, on)}, "1.0 1.1 1.2 2.2 ", -1},
		"it lives":        {2, []outMsg{piece(1, 2, nil), ends(1, 4, nil), piece(1, 2, nil), piece(1, 3, nil)}, "1.0 1.1 1.2 1.3 e1.4 ", -1},
		"it has ended":    {2, []outMsg{ends(1, 3, nil), piece(2, 0, on), piece(2, 1, on), piece(1, 2, nil)}, "1.0 1.1 1.2 e1.3 ", -1},
		"the other ends":  {2, []outMsg{piece(2, 0, on), ends(1, 3, nil)}, "1.0 1.1 +x1.2 e2.0 ", -1},
	} {
		s := newStream(true, false)
		out := newOutput(s, time.Now)
		before, _ := said(t, s, out, piece(1, 0, nil), piece(1, 1, nil))
		if got, ok := s.shown(c.told, true); c.told > 0 && (!ok || len(got) != 2) {
			t.Errorf("%s: told %v %v", name, got, ok)
		}
		after, gap := said(t, s, out, c.then...)
		if got := places(append(before, after...)); got != c.want || gap != c.gap {
			t.Errorf("%s: reads %q and asks for %d, want %q and %d", name, got, gap, c.want, c.gap)
		}
	}
}

// A submitter that has started again, and has nothing of what goes on, shows the rest under its numbers.
func TestContinuesAfterTheSubmittersStart(t *testing.T) {
	t.Parallel()
	s, on := newStream(true, true), &after{Attempt: 1, Chunks: 7}
	read, _ := said(t, s, newOutput(s, time.Now), piece(3, 0, on), piece(3, 1, on))
	if got := places(read); got != "+1.7 1.8 " {
		t.Errorf("reads %q", got)
	}
	if _, ok := s.shown(4, true); ok {
		t.Error("what has no beginning is told to be continued")
	}
}

// A long output is told in pieces, and whole; one whose beginning is gone is not.
func TestShownIsBounded(t *testing.T) {
	t.Parallel()
	s := newStream(true, false)
	long := func(seq int) outMsg {
		m := piece(1, seq, nil)
		m.Data = []byte(`"` + strings.Repeat("x", streamBytes/4) + `"`)
		return m
	}
	for i := range 3 {
		s.take(long(i), time.Unix(0, 0))
	}
	if got, ok := s.shown(2, false); !ok || len(got) != 3 {
		t.Errorf("%d chunks, %v", len(got), ok)
	}
	for i := range 3 {
		s.take(long(3+i), time.Unix(0, 0))
	}
	if got, ok := s.shown(2, true); ok {
		t.Errorf("%d chunks from %d on are told, although the first are gone", len(got), got[0].Seq)
	}
}

// A task that is ended from outside in a later attempt than the one that was shown keeps its text.
func TestEndFromOutsideKeepsWhatWasShown(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*stream, Final) []outMsg{
		"by a message": func(_ *stream, f Final) []outMsg { return []outMsg{endMsg(f)} },
		"here":         func(s *stream, f Final) []outMsg { s.close(f, time.Now()); return []outMsg{piece(1, 9, nil)} },
	} {
		s := newStream(true, false)
		out := newOutput(s, time.Now)
		first, _ := said(t, s, out, piece(1, 0, nil))
		last, _ := said(t, s, out, end(s, Final{Task: "t1", State: bus.StateCancelled, Attempt: 2, Nonce: "other"})...)
		if len(first) != 1 || len(last) != 1 || last[0].End == nil || last[0].Attempt != 1 || last[0].End.Attempts != 2 {
			t.Errorf("%s: %+v, then %+v, want the end of what was shown", name, first, last)
		}
	}
}

// A task whose end is on the disk has no other, though output that came before it is waited for.
func TestEndWaitsForOutputAndStays(t *testing.T) {
	t.Parallel()
	for name, other := range map[string]Final{
		"of a later attempt": {Task: "t1", State: bus.StateFailed, Attempt: 2, Nonce: "other", Node: "other"},
		"of another run":     {Task: "t1", State: bus.StateFailed, Attempt: 1, Nonce: "other", Node: "other"},
		"from outside":       {Task: "t1", State: bus.StateCancelled, Attempt: 1},
	} {
		s := newStream(true, true)
		out := newOutput(s, time.Now)
		s.take(piece(1, 0, nil), time.Now())
		if gap := s.close(Final{Task: "t1", State: bus.StateDone, Attempt: 1, Nonce: "x", Node: "x", Chunks: 2}, time.Now()); gap != 1 {
			t.Errorf("%s: waits for %d", name, gap)
		}
		read, _ := said(t, s, out, endMsg(other), piece(1, 1, nil))
		if end := read[len(read)-1]; len(read) != 3 || end.End == nil || end.End.State != bus.StateDone || end.Attempt != 1 {
			t.Errorf("%s: reads %+v", name, read)
		}
	}
}

// What was claimed to end a task, and not to run it, is no attempt of it, and no other text than the one shown.
func TestEndWithoutARun(t *testing.T) {
	t.Parallel()
	const by, last = bus.NodeID("myco-0000000000c0"), bus.NodeID("myco-0000000000c1")
	for attempt, ran := range map[int]bus.NodeID{1: "", 3: last} {
		s := newStream(true, false)
		s.take(piece(1, 0, nil), time.Now())
		f := Final{Task: "t1", State: bus.StateExpired, Attempt: attempt, Unrun: true, Ran: ran, Nonce: "other", Node: by}
		s.close(f, time.Now())
		kept := (&Job{Task: bus.Task{ID: "t1"}}).info(f.State, &f)
		for _, got := range []bus.TaskInfo{*s.end.End, kept} {
			if got.Attempts != attempt-1 || got.NodeID != ran || s.end.Attempt != 1 {
				t.Errorf("ended as attempt %d: %d attempts, the last at %q, told as attempt %d", attempt, got.Attempts, got.NodeID, s.end.Attempt)
			}
		}
	}
}

// What comes before its turn takes no more memory than its worker keeps of it, and sends again.
func TestOutputBeforeItsTurnIsBounded(t *testing.T) {
	t.Parallel()
	s := newStream(true, false)
	const fat, pieces = 100 << 10, 100
	chunk := func(seq int) outMsg { return outMsg{Nonce: "x", Attempt: 1, Seq: seq, Data: make([]byte, fat)} }
	for seq := range pieces {
		s.take(chunk(1+seq), time.Unix(0, 0))
	}
	if len(s.early)*fat > streamBytes {
		t.Errorf("%d pieces of %d bytes wait for the one before", len(s.early), fat)
	}
	for seq := range 1 + pieces { // they come again
		s.take(chunk(seq), time.Unix(0, 0))
	}
	if s.next != 1+pieces || s.ahead != 0 || len(s.early) > 0 {
		t.Errorf("%d pieces were moved on, and %d bytes in %d wait", s.next, s.ahead, len(s.early))
	}
}
