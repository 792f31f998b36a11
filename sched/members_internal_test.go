package sched

import (
	"log/slog"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// routesNow is a wire whose routes a test sets.
type routesNow struct {
	Wire
	to map[bus.NodeID]bool
}

func (r *routesNow) Routes() map[bus.NodeID]bool { return r.to }

// A process that was stopped hears what lies in its buffers, and only then sees that the others have closed
// its routes meanwhile. Nobody is lost for that.
func TestRoutesThatBrokeWhileAsleep(t *testing.T) {
	t.Parallel()
	const other = bus.NodeID("myco-0000000000b0")
	for name, c := range map[string]struct {
		back time.Duration // a route is there again so long after the wake; 0 for never
		cut  time.Duration // and breaks again then, for good
		lost time.Duration // the other is lost so long after the wake; 0 for never
	}{
		"the route is made again":          {back: time.Second},
		"it is not":                        {lost: lostAfter},
		"it is, and the other dies":        {back: 300 * time.Millisecond, cut: time.Second, lost: time.Second + pollEvery},
		"it is for a moment":               {back: 100 * time.Millisecond, cut: 200 * time.Millisecond, lost: suspectAfter},
		"it is, and breaks after a minute": {back: time.Second, cut: time.Minute, lost: time.Minute + pollEvery},
	} {
		now, seq := time.Unix(1_700_000_000, 0), uint64(0)
		wire := &routesNow{to: map[bus.NodeID]bool{other: true}}
		m := newMembers("myco-0000000000b1", wire, slog.New(slog.DiscardHandler))
		m.now = func() time.Time { return now }
		hear := func() {
			seq++
			m.hear(bus.Heartbeat{Node: other, Boot: "first", Seq: seq, Wire: bus.ThisWire()})
		}
		for range 40 {
			hear()
			m.tick()
			now = now.Add(pollEvery)
		}
		now = now.Add(6 * time.Second)
		woke, lost := now, time.Duration(0)
		m.tick()
		hear() // out of a buffer
		for now.Sub(woke) < 2*time.Minute && lost == 0 {
			now = now.Add(pollEvery)
			after := now.Sub(woke)
			wire.to[other] = c.back > 0 && after >= c.back && (c.cut == 0 || after < c.cut)
			if wire.to[other] {
				hear()
			}
			if len(m.tick()) > 0 {
				lost = after
			}
		}
		if lost < c.lost || lost > c.lost+2*pollEvery {
			t.Errorf("%s: lost after %v, want %v", name, lost, c.lost)
		}
	}
}

// A node that is lost is at nothing: what it ran goes on elsewhere.
func TestLostNodeIsNotBusy(t *testing.T) {
	t.Parallel()
	const other = bus.NodeID("myco-0000000000b0")
	m := newMembers("myco-0000000000b1", &routesNow{}, slog.New(slog.DiscardHandler))
	m.hear(bus.Heartbeat{Node: other, Boot: "first", Seq: 1, Wire: bus.ThisWire()})
	m.peers[other].Info = bus.NodeInfo{ID: other, Slots: 4, Busy: 3}
	for state, want := range map[bus.NodeState]int{bus.NodeReady: 3, bus.NodeLost: 0} {
		m.peers[other].State = state
		for _, i := range m.infos() {
			if i.ID == other && (i.Busy != want || i.Slots != 4) {
				t.Errorf("%s: %d of %d slots are busy, want %d of 4", state, i.Busy, i.Slots, want)
			}
		}
	}
}
