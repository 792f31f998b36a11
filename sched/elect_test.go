package sched_test

import (
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
)

var (
	t0      = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	a, b, c = nodeID(0), nodeID(1), nodeID(2)
)

// peer is a live node that sees n nodes.
func peer(id bus.NodeID, n int, change ...func(*sched.Peer)) sched.Peer {
	p := sched.Peer{State: bus.NodeReady, Seen: t0, Beat: bus.Heartbeat{Node: id, Boot: "1", Sees: make([]bus.NodeID, n)}}
	for _, f := range change {
		f(&p)
	}
	return p
}

func hosts(term uint64) func(*sched.Peer) {
	return func(p *sched.Peer) { p.Beat.Term, p.Beat.Host = term, p.Beat.Node }
}
func names(h bus.NodeID) func(*sched.Peer) { return func(p *sched.Peer) { p.Beat.Host = h } }
func heir(h bus.NodeID) func(*sched.Peer)  { return func(p *sched.Peer) { p.Beat.Heir = h } }
func rank(r int) func(*sched.Peer)         { return func(p *sched.Peer) { p.Beat.Rank = r } }
func up(d time.Duration) func(*sched.Peer) {
	return func(p *sched.Peer) { p.Beat.UptimeMS = d.Milliseconds() }
}
func state(s bus.NodeState) func(*sched.Peer) { return func(p *sched.Peer) { p.State = s } }
func drains(p *sched.Peer)                    { p.Beat.Draining = true }
func stillSees(id bus.NodeID) func(*sched.Peer) {
	return func(p *sched.Peer) { p.Beat.Sees = append(p.Beat.Sees, id) }
}

func view(self bus.NodeID, ps ...sched.Peer) sched.View {
	v := sched.View{Self: self, Peers: map[bus.NodeID]sched.Peer{}}
	for _, p := range ps {
		v.Peers[p.Beat.Node] = p
	}
	return v
}

func TestChooseHost(t *testing.T) {
	t.Parallel()
	wait, follow := sched.HostDecision{Act: sched.HostWait}, func(h bus.NodeID, term uint64) sched.HostDecision {
		return sched.HostDecision{Act: sched.HostFollow, Host: h, Term: term}
	}
	claim := func(term uint64) sched.HostDecision { return sched.HostDecision{Act: sched.HostClaim, Term: term} }
	local := func(term uint64) sched.HostDecision {
		return sched.HostDecision{Act: sched.HostClaim, Term: term, Local: true}
	}
	now := sched.Candidacy{NoHost: t0}
	for _, tt := range []struct {
		name string
		v    sched.View
		c    sched.Candidacy
		now  time.Time
		want sched.HostDecision
	}{
		{"alone", view(a, peer(a, 1)), now, t0, claim(1)},
		{"a term above the highest that was seen", view(a, peer(a, 1)), sched.Candidacy{NoHost: t0, MaxTerm: 7}, t0, claim(8)},
		{"listens first", view(a, peer(a, 1)), sched.Candidacy{Listening: true}, t0, wait},
		{"never hosts", view(a, peer(a, 1, rank(-1))), sched.Candidacy{Rank: -1, NoHost: t0}, t0, wait},
		{"leaves", view(a, peer(a, 1)), sched.Candidacy{Leaving: true, NoHost: t0}, t0, wait},
		{"a live claim", view(a, peer(a, 2), peer(b, 2, hosts(3))), now, t0, follow(b, 3)},
		{"a live claim while listening", view(a, peer(a, 2), peer(b, 2, hosts(3))), sched.Candidacy{Listening: true}, t0, follow(b, 3)},
		{"a suspect's claim is live", view(a, peer(a, 2), peer(b, 2, hosts(3), state(bus.NodeSuspect))), now, t0, follow(b, 3)},
		{"the highest term wins", view(a, peer(a, 3, hosts(4)), peer(b, 3, hosts(5)), peer(c, 3, hosts(3))), now, t0, follow(b, 5)},
		{"of equal terms the lowest id", view(c, peer(c, 3, hosts(5)), peer(b, 3, hosts(5)), peer(a, 3)), now, t0, follow(b, 5)},
		{"a lost claim is none", view(a, peer(a, 1), peer(b, 2, hosts(5), state(bus.NodeLost))), sched.Candidacy{NoHost: t0, MaxTerm: 5}, t0, claim(6)},
		{"the lowest id claims", view(a, peer(a, 2), peer(b, 2)), now, t0, claim(1)},
		{"and no other", view(b, peer(a, 2), peer(b, 2)), now, t0, wait},
		{"who sees more goes first", view(b, peer(a, 2), peer(b, 3), peer(c, 2)), now, t0, claim(1)},
		{"then the incumbent", view(b, peer(a, 2), peer(b, 2)), sched.Candidacy{NoHost: t0, Last: b}, t0, claim(1)},
		{"for a second", view(b, peer(a, 2), peer(b, 2)), sched.Candidacy{NoHost: t0, Last: b}, t0.Add(1100 * time.Millisecond), wait},
		{
			"that it still hears the host of before makes nobody better", view(b, peer(a, 2, up(time.Minute)), peer(b, 2, up(time.Hour)),
				peer(c, 3, state(bus.NodeLost)), peer(bus.NodeID("d"), 2, stillSees(c))),
			sched.Candidacy{NoHost: t0, Last: c},
			t0, claim(1),
		},
		{"then the rank", view(b, peer(a, 2), peer(b, 2, rank(1))), sched.Candidacy{NoHost: t0, Rank: 1}, t0, claim(1)},
		{"then the uptime", view(b, peer(a, 2, up(time.Minute)), peer(b, 2, up(time.Hour))), now, t0, claim(1)},
		{"in steps", view(b, peer(a, 2, up(61*time.Second)), peer(b, 2, up(62*time.Second))), now, t0, wait},
		{"a draining node is not better", view(b, peer(a, 2, drains), peer(b, 2)), now, t0, claim(1)},
		{"a suspect is not better", view(b, peer(a, 2, state(bus.NodeSuspect)), peer(b, 2)), now, t0, claim(1)},
		{"a node that never hosts is not better", view(b, peer(a, 2, rank(-1)), peer(b, 2)), now, t0, claim(1)},
		{"a peer names a live host", view(a, peer(a, 2), peer(b, 3, names(c))), now, t0.Add(4900 * time.Millisecond), wait},
		{"and strands this node", view(a, peer(a, 2), peer(b, 3, names(c))), now, t0.Add(5 * time.Second), local(1)},
		{"a suspect names nobody", view(a, peer(a, 2), peer(b, 3, names(c), state(bus.NodeSuspect))), now, t0, claim(1)},
		{"a peer names this node", view(a, peer(a, 2), peer(b, 2, names(a))), now, t0, claim(1)},
		{"handed over", view(b, peer(a, 2, hosts(3), heir(b)), peer(b, 2)), sched.Candidacy{NoHost: t0, MaxTerm: 3}, t0, claim(4)},
		{"handed over to another", view(c, peer(a, 2, hosts(3), heir(b)), peer(b, 2), peer(c, 2)), now, t0, follow(a, 3)},
		{"drains, and another would host", view(a, peer(a, 2, drains), peer(b, 2)), sched.Candidacy{Draining: true, NoHost: t0}, t0, wait},
		{"drains, and nobody else would host", view(a, peer(a, 3, drains), peer(b, 3, rank(-1)), peer(c, 3, drains)), sched.Candidacy{Draining: true, NoHost: t0}, t0, claim(1)},
		{"handed over to who drains", view(b, peer(a, 2, hosts(3), heir(b)), peer(b, 2, drains)), sched.Candidacy{Draining: true}, t0, follow(a, 3)},
		{"handed over to who could not", view(b, peer(a, 2, hosts(3), heir(b)), peer(b, 2)), sched.Candidacy{Unable: true}, t0, follow(a, 3)},
		{"who could not claims where there is no other", view(a, peer(a, 2, rank(-1)), peer(b, 2, rank(-1))), sched.Candidacy{Unable: true}, t0, claim(1)},
		{"handed over to who leaves", view(b, peer(a, 2, hosts(3), heir(b)), peer(b, 2)), sched.Candidacy{Leaving: true}, t0, follow(a, 3)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := sched.ChooseHost(tt.v, tt.c, tt.now)
			if got.Why = ""; got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestHandover(t *testing.T) {
	t.Parallel()
	even := view(a, peer(a, 3), peer(b, 3))
	more := view(a, peer(a, 2), peer(b, 3))
	other := view(a, peer(a, 2), peer(c, 3))
	type span struct {
		v    sched.View
		long time.Duration
	}
	for _, tt := range []struct {
		name  string
		spans []span
		want  bus.NodeID
		at    time.Duration // of the first answer
	}{
		{"all see the same", []span{{even, 30 * time.Second}}, "", 0},
		{"one sees more for two seconds", []span{{even, time.Second}, {more, 5 * time.Second}}, b, 3 * time.Second},
		{"for a second and a half", []span{{even, time.Second}, {more, 1500 * time.Millisecond}, {even, 30 * time.Second}}, "", 0},
		{"twice a second within ten", []span{{more, 1200 * time.Millisecond}, {even, 5 * time.Second}, {more, time.Second}}, b, 7 * time.Second},
		{"twice a second, long apart", []span{{more, 1200 * time.Millisecond}, {even, 12 * time.Second}, {more, 1200 * time.Millisecond}}, "", 0},
		{"two take turns", []span{{more, time.Second}, {other, time.Second}, {more, 500 * time.Millisecond}, {other, 500 * time.Millisecond}}, "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var h sched.Handover
			at := t0
			for _, s := range tt.spans {
				for end := at.Add(s.long); at.Before(end); at = at.Add(25 * time.Millisecond) {
					got := h.Observe(s.v, at)
					if got == "" {
						continue
					}
					if took := at.Sub(t0); got != tt.want || took < tt.at-50*time.Millisecond || took > tt.at+100*time.Millisecond {
						t.Errorf("heir %s after %v, want %q after %v", got, took, tt.want, tt.at)
					}
					return
				}
			}
			if tt.want != "" {
				t.Errorf("no heir, want %s", tt.want)
			}
		})
	}
}

// Each handover makes the next one wait twice as long, up to five minutes; a quiet time makes
// it short again.
func TestHandoverPause(t *testing.T) {
	t.Parallel()
	more := view(a, peer(a, 2), peer(b, 3))
	var h sched.Handover
	at := t0
	next := func() time.Duration {
		for from := at; ; at = at.Add(25 * time.Millisecond) {
			if h.Observe(more, at) != "" {
				h.Done(at)
				return at.Sub(from)
			}
		}
	}
	for i, want := range []time.Duration{2, 20, 40, 80, 160, 300, 300} {
		if got := next(); got < want*time.Second || got > want*time.Second+200*time.Millisecond {
			t.Errorf("handover %d came after %v, want %d s", i, got, want)
		}
	}
	at = at.Add(time.Hour)
	next()
	if got := next(); got < 20*time.Second || got > 21*time.Second {
		t.Errorf("after a quiet hour the next but one came after %v, want 20 s", got)
	}
}
