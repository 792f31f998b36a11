package sched

import (
	"cmp"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Who asks why a node did not get a task reads what was so, and the names of nodes.
func TestWhyNot(t *testing.T) {
	t.Parallel()
	const alpha, beta = bus.NodeID("myco-0000000000a0"), bus.NodeID("myco-0000000000a1")
	seat := func(id bus.NodeID, name string, s Seat) Seat {
		s.Node, s.State, s.Class = id, bus.NodeReady, "work"
		if name != "" {
			s.Info = &bus.NodeInfo{ID: id, Name: name, Types: []string{"work"}}
		}
		return s
	}
	for name, tt := range map[string]struct {
		key  bus.Key
		seat Seat // of beta
		not  string
	}{
		"all are busy":      {bus.Key{}, seat(beta, "beta", Seat{Slots: 2, Busy: 2}), "no slot is free"},
		"one ends soon":     {bus.Key{}, seat(beta, "beta", Seat{Slots: 2, Busy: 2, Soon: 40 * time.Millisecond}), "no slot is free, one in about 40ms"},
		"none asks":         {bus.Key{}, seat(beta, "beta", Seat{Slots: 4, Busy: 1}), "none of its slots asked for work just then: 1 of 4 have a task of this queue"},
		"one has just done": {bus.Key{}, seat(beta, "beta", Seat{Slots: 2, Busy: 1, Soon: time.Millisecond}), "none of its slots asked for work just then: 1 of 2 have a task of this queue"},
		"it never asked":    {bus.Key{}, seat(beta, "beta", Seat{}), "none of its slots asked for work"},
		"pinned":            {bus.Key{Pin: alpha}, seat(beta, "beta", Seat{Slots: 2, Free: 2}), "the task is pinned to alpha"},
		"pinned to one that is not known": {
			bus.Key{Pin: "myco-0000000000a2"}, seat(beta, "beta", Seat{Slots: 2, Free: 2}), "the task is pinned to myco-0000000000a2",
		},
		"pinned, and it is silent": {bus.Key{Pin: alpha}, seat(beta, "", Seat{}), "the task is pinned to alpha"},
	} {
		tt.key.Class = "work"
		x := chosen{task: "t1", key: tt.key, seats: []Seat{seat(alpha, "alpha", Seat{Slots: 1, Free: 1}), tt.seat}}
		for _, b := range x.why(alpha).Bids {
			if b.NodeID == beta && b.Not != tt.not {
				t.Errorf("%s: %q, want %q", name, b.Not, tt.not)
			}
		}
	}
}

// Where bids are the same, who asks why reads what decided between them.
func TestWhyNotWithTheSameBid(t *testing.T) {
	t.Parallel()
	const low, middle, high = bus.NodeID("myco-0000000000a0"), bus.NodeID("myco-0000000000a1"), bus.NodeID("myco-0000000000a2")
	for name, tt := range map[string]struct {
		won     bus.NodeID
		free    map[bus.NodeID]int
		cpu     map[bus.NodeID]int
		avoid   []bus.NodeID
		not     map[bus.NodeID]string
		chooses bool // Match would choose so, too
	}{
		"all alike": {won: low, chooses: true, not: map[bus.NodeID]string{
			middle: "its bid is the same, and of such nodes the lower id comes first", high: "its bid is the same, and of such nodes the lower id comes first",
		}},
		"more is free": {won: high, free: map[bus.NodeID]int{low: 1, middle: 1}, chooses: true, not: map[bus.NodeID]string{
			low: "its bid is the same, and fewer of its slots are free", middle: "its bid is the same, and fewer of its slots are free",
		}},
		"another task went before": {won: middle, not: map[bus.NodeID]string{
			low: "a task before this one went there", high: "its bid is the same, and of such nodes the lower id comes first",
		}},
		"it gave the task back": {won: middle, avoid: []bus.NodeID{low}, chooses: true, not: map[bus.NodeID]string{
			low: "it failed at this task, or gave it back, a moment ago",
		}},
		"busier": {won: low, cpu: map[bus.NodeID]int{middle: 80}, chooses: true, not: map[bus.NodeID]string{middle: "its bid is higher"}},
		"it goes to the busier one": {won: middle, cpu: map[bus.NodeID]int{middle: 80}, not: map[bus.NodeID]string{
			low: "a task before this one went there", high: "a task before this one went there",
		}},
	} {
		x := chosen{task: "t1", key: bus.Key{Class: "work"}, node: tt.won, avoid: tt.avoid}
		for _, id := range []bus.NodeID{high, low, middle} {
			x.seats = append(x.seats, Seat{
				Node: id, State: bus.NodeReady, Class: "work", Info: &bus.NodeInfo{ID: id, Types: []string{"work"}},
				Slots: 2, Free: cmp.Or(tt.free[id], 2), CPU: tt.cpu[id],
			})
		}
		for _, b := range x.why(low).Bids {
			if want := tt.not[b.NodeID]; b.Chosen != (b.NodeID == tt.won) || want != "" && b.Not != want || b.Chosen && b.Not != "" {
				t.Errorf("%s: %s: %v %q, want %q", name, b.NodeID, b.Chosen, b.Not, want)
			}
		}
		heads := []QueueHead{{Key: x.key, Open: 1, Items: []HeadItem{{Task: "t1", Avoid: tt.avoid}}}}
		out, _ := Match(heads, slices.Clone(x.seats), Rules{}, time.Time{})
		if len(out) != 1 || tt.chooses && x.seats[out[0].Seat].Node != tt.won {
			t.Errorf("%s: Match gives %v", name, out)
		}
	}
}

// A worker may claim again what it was handed. Why it was chosen stays what it was, whoever reads it meanwhile.
func TestWhyStaysWhenItIsClaimedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, q := hostOfOne(t)
		if !h.offer(oneKey, Need{Affinity: 7}, oneJob(), func() []byte { return []byte(`{}`) }) {
			t.Fatal("a slot waits, and the task does not go there")
		}
		told := h.n.choices.of("t1")
		q.write(Claim{Task: "t1", State: bus.StateRunning, Worker: oneWorker, Attempt: 1, Key: oneKey}, []byte(`{}`))
		if now := h.n.choices.of("t1"); len(told) != 1 || len(now) != 1 || now[0] != told[0] || told[0].warm != "" {
			t.Errorf("%d decisions, then %d: the last by %q, which had the conversation's cache", len(told), len(now), told[0].warm)
		}
	})
}
