package sched

import (
	"context"
	"testing"
	"time"
)

// echoWire answers each question so many times before Publish returns, as many nodes at once.
type echoWire struct {
	Wire
	times int
	reply []byte
	fn    func(Msg)
}

func (*echoWire) Inbox() string { return "inbox" }

func (w *echoWire) Subscribe(_ string, fn func(Msg)) (func(), error) {
	w.fn = fn
	return func() {}, nil
}

func (w *echoWire) Publish(m Msg) error {
	for range w.times {
		w.fn(Msg{Subject: m.Reply, Data: w.reply})
	}
	return nil
}

// No reply is lost because many come before the first is read; what is more than memory should hold is.
func TestManyReplies(t *testing.T) {
	t.Parallel()
	const large = repliesMost / 4
	for _, tt := range []struct{ times, size, want int }{{5000, 1, 5000}, {6, large, 4}} {
		w := &echoWire{times: tt.times, reply: make([]byte, tt.size)}
		a := newAsker(w)
		stop, err := a.start()
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		got := 0
		err = a.gather(ctx, "q", nil, func(m *Msg) bool {
			if m != nil {
				got++
			}
			return m == nil && got > 0 // all that came are read at once
		})
		if err != nil || got != tt.want {
			t.Errorf("%d replies of %d bytes: %d are read, %v, want %d", tt.times, tt.size, got, err, tt.want)
		}
		if len(a.open) != 0 {
			t.Error("a question is not released")
		}
	}
}

// Behind a reply that was lost none is taken: whoever has the last one of a node takes it to have all.
func TestRepliesBehindALostOne(t *testing.T) {
	t.Parallel()
	r := &replies{come: make(chan struct{}, 1)}
	for range 3 {
		r.put(Msg{Data: make([]byte, repliesMost/2)})
	}
	if n := len(r.take()); n != 2 {
		t.Errorf("%d replies, want 2", n)
	}
	r.put(Msg{Data: []byte("last")})
	if n := len(r.take()); n != 0 {
		t.Errorf("%d replies more, want none", n)
	}
}
