package sched

import (
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
	final := &Final{Task: "t1", State: bus.StateDone, Attempt: 1, Nonce: "x", Chunks: 2}
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
