package sched

import (
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// What changes in what a node tells of others is told of, and what changes all the time is not.
func TestNewsOfNodes(t *testing.T) {
	t.Parallel()
	const other = bus.NodeID("myco-0000000000b0")
	now := time.Unix(1_700_000_000, 0)
	wire := &routesNow{to: map[bus.NodeID]bool{other: true}}
	m := newMembers("myco-0000000000b1", wire, slog.New(slog.DiscardHandler))
	m.now = func() time.Time { return now }
	b := bus.Heartbeat{Node: other, Boot: "first", Wire: bus.ThisWire()}
	info := bus.NodeInfo{ID: other, Name: "other", Slots: 2}
	hear := func(change func()) func() {
		return func() {
			change()
			b.Seq++
			m.hear(b)
		}
	}
	ticks := func(n int) func() {
		return func() {
			for range n {
				now = now.Add(pollEvery)
				m.tick()
			}
		}
	}
	for _, step := range []struct {
		what string
		do   func()
		news bool
	}{
		{"it is heard", hear(func() { b.Info = &info }), true},
		{"the same again", hear(func() {}), false},
		{"it tells how busy its CPU is", hear(func() { i := info; i.Use, b.Info = &bus.NodeUse{CPUPercent: 50}, &i }), false},
		{"nothing but time passes", ticks(4), false},
		{"it has a task", hear(func() { i := info; i.Busy, b.Info = 1, &i }), true},
		{"it tells nothing of itself", hear(func() { b.Info = nil }), false},
		{"it drains", hear(func() { b.Draining = true }), true},
		{"it hosts", hear(func() { b.Host, b.Term = other, 1 }), true},
		{"it is silent", ticks(24), true},
		{"it goes on", hear(func() {}), true},
		{"its route breaks", func() { wire.to[other] = false; ticks(2)() }, true},
		{"it is back", hear(func() { b.Draining, wire.to[other] = false, true }), true},
		{"it leaves", func() { b.Seq++; m.bye(b) }, true},
		{"it stays away", ticks(4), false},
		{"it is forgotten", func() { now = now.Add(forgetAfter); ticks(1)() }, true},
	} {
		before := m.newsCount()
		step.do()
		if news := m.newsCount() > before; news != step.news {
			t.Errorf("%s: news %t, want %t", step.what, news, step.news)
		}
	}
}

// Who left in good order is not taken for one that is lost once it is away for so long that it is forgotten otherwise.
func TestWhoLeftStaysLeft(t *testing.T) {
	t.Parallel()
	const left, lost = bus.NodeID("myco-0000000000b0"), bus.NodeID("myco-0000000000b2")
	now := time.Unix(1_700_000_000, 0)
	m := newMembers("myco-0000000000b1", &routesNow{}, slog.New(slog.DiscardHandler))
	m.now = func() time.Time { return now }
	beat := func(n bus.NodeID, seq uint64) bus.Heartbeat {
		return bus.Heartbeat{Node: n, Boot: "first", Seq: seq, Wire: bus.ThisWire()}
	}
	m.hear(beat(left, 1))
	m.hear(beat(lost, 1))
	m.bye(beat(left, 2))
	for _, away := range []time.Duration{pollEvery, lostAfter + pollEvery, forgetAfter, forgetAfter} {
		now = now.Add(away)
		m.tick()
		if v := m.view(); !v.Left(left) || v.Left(lost) {
			t.Errorf("after %v more: left %t and %t, want true of the one that said goodbye", away, v.Left(left), v.Left(lost))
		}
	}
	if v := m.view(); len(v.Peers) > 1 {
		t.Errorf("%d peers, want that both are forgotten", len(v.Peers))
	}
	if got := m.whoLeft(); !slices.Equal(got, []bus.NodeID{left}) {
		t.Errorf("left %v, want %s", got, left)
	}
	if m.hear(beat(left, 3)); m.view().Left(left) || len(m.whoLeft()) > 0 {
		t.Error("it is back")
	}
	m.bye(beat(left, 4))
	if got := m.whoLeft(); !slices.Equal(got, []bus.NodeID{left}) {
		t.Errorf("left %v once more, want %s", got, left)
	}
}
