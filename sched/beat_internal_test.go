package sched

import (
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// earWire hears the heartbeats of one node.
type earWire struct {
	Wire
	seqs []uint64
}

func (*earWire) Inbox() string { return "inbox" }

func (w *earWire) Publish(m Msg) error {
	var b bus.Heartbeat
	err := bus.Unmarshal(m.Data, &b)
	w.seqs = append(w.seqs, b.Seq)
	return err
}

// Two heartbeats are made in one moment, as by the clock and for a question. They are sent in the order of their numbers, for
// to others one that was overtaken is old, and they do not look at its news.
func TestHeartbeatsAreNotOvertaken(t *testing.T) {
	t.Parallel()
	w := &earWire{}
	n := New(Config{ID: "myco-00000000000a"}, Effects{Wire: w})
	between := true
	n.members.now = func() time.Time { // the first is made, and not sent
		if between {
			between = false
			if n.speaks.TryLock() {
				n.speaks.Unlock()
				n.beat()
			}
		}
		return n.now()
	}
	n.beat()
	n.beat()
	if between {
		t.Fatal("nothing was between a heartbeat and its way")
	}
	for i, seq := range w.seqs {
		if seq != uint64(i)+1 {
			t.Fatalf("heartbeats are sent in the order %v", w.seqs)
		}
	}
}
