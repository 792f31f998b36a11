package sched_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// mixed is which faults meet in one schedule, and what they have changed.
type mixed struct {
	pins, engines, poison, drains, leaves, twins bool
	journals                                     bool // are lost
	long                                         bool // processes are stopped for minutes
	many                                         bool // nodes die at once
	puts                                         bool // one is put out

	closed, full [5]atomic.Bool // by index
	out          atomic.Int32   // the node that was put out, from 1
	starts       sync.WaitGroup
}

// TestRandomMixed is TestRandom and TestRandomLarge with all that others play alone, of which about half meets in each
// schedule. Who knows of a task's crashes may be down then: each machine counts those of its own.
func TestRandomMixed(t *testing.T) {
	t.Parallel()
	random(t, mixedSetup, func(s *swarm, r *rand.Rand) { s.mixed.play(s, r) })
}

func mixedSetup(seed uint64, r *rand.Rand) setup {
	c := randomSetup(seed, r)
	coin := func() bool { return r.IntN(2) == 0 }
	m := &mixed{
		pins: coin(), engines: coin(), poison: r.IntN(3) == 0, drains: coin(), leaves: coin(), twins: coin(), long: coin(),
		many: coin(), puts: r.IntN(3) == 0,
	}
	c.manyDown, c.stuck = true, true
	m.journals = !m.poison && coin()
	c.large = coin()
	if coin() {
		c.net.Sync = time.Duration(r.IntN(60)) * time.Millisecond
	}
	if r.IntN(3) == 0 {
		c.skew = map[int]time.Duration{r.IntN(c.nodes): time.Hour, r.IntN(c.nodes): -time.Minute}
	}
	if r.IntN(3) == 0 {
		next := bus.ThisWire()
		next.Version++
		c.wires = map[int]bus.Wire{r.IntN(c.nodes): next}
	}
	if coin() {
		c.owner = func(i int) *bus.OwnerUse {
			if !m.closed[i].Load() {
				return nil
			}
			return &bus.OwnerUse{Closed: true, Why: "until 17:00"}
		}
	}
	if coin() {
		full := bus.Errorf(bus.CodeNoSpace, "full")
		c.room = func(i int) error {
			if m.full[i].Load() {
				return full
			}
			return nil
		}
	}
	if m.puts {
		c.putOut = func(id bus.NodeID) (string, bool) {
			i := m.out.Load()
			return "tower", i > 0 && id == nodeID(int(i-1))
		}
	}
	c.mixed = m
	return c
}

func (m *mixed) play(s *swarm, r *rand.Rand) {
	if r.IntN(4) > 0 {
		s.elected()
	}
	for range r.IntN(50) + 30 {
		if r.IntN(3) == 0 {
			m.step(s, r)
		} else {
			randomStep(s, r)
		}
		if r.IntN(2) == 0 {
			m.work(s, r)
		}
		time.Sleep(time.Duration(r.IntN(700)) * time.Millisecond)
	}
	m.starts.Wait()
	for i := range s.nodes {
		s.nodes[i].m.Continue()
		m.closed[i].Store(false)
		m.full[i].Store(false)
		s.nodes[i].now().node.Drain(false)
	}
}

// work hands over a task of a kind that others do not.
func (m *mixed) work(s *swarm, r *rand.Rand) {
	i := r.IntN(len(s.nodes))
	if !s.nodes[i].m.Running() {
		return
	}
	sc := script{MS: 5 + r.IntN(2000), Chunks: r.IntN(8), Anew: r.IntN(4) == 0}
	var opts []option
	at := string(nodeID(r.IntN(len(s.nodes))))
	if r.IntN(8) == 0 {
		at = everywhere
	}
	switch k := r.IntN(12); {
	case k < 3 && m.pins:
		opts = append(opts, pin(nodeID(r.IntN(len(s.nodes)))))
	case k < 5 && m.engines:
		sc.Hang, sc.Late, sc.Slow = at, r.IntN(2) == 0, r.IntN(3) == 0
	case k < 7 && m.engines:
		sc.Retry, sc.Few = at, true
	case k == 7 && m.poison:
		sc.Poison = true
	case k == 8:
		priority := r.IntN(10)
		opts = append(opts, func(t *bus.Task) { t.Lane, t.Priority = bus.Batch, priority })
	}
	if r.IntN(8) == 0 {
		opts = append(opts, timeout(time.Duration(100+r.IntN(8000))*time.Millisecond))
	}
	if r.IntN(2) == 0 {
		s.submit(i, sc, opts...)
	} else {
		s.wg.Go(func() { s.enqueue(i, sc, opts...) })
	}
}

// step is a fault of a kind that randomStep has not.
func (m *mixed) step(s *swarm, r *rand.Rand) {
	i := r.IntN(len(s.nodes))
	n := s.nodes[i]
	switch r.IntN(9) {
	case 0:
		if m.many {
			for j := range s.nodes {
				if r.IntN(2) == 0 {
					s.kill(j)
				}
			}
		}
	case 1:
		if m.journals && !n.m.Running() {
			n.m.LoseJournal()
			s.restart(i)
		}
	case 2:
		if m.drains && !n.m.Frozen() {
			n.now().node.Drain(r.IntN(2) == 0)
		}
	case 3:
		if p, most := n.now(), time.Duration(r.IntN(3000))*time.Millisecond; m.leaves && n.m.Running() && !n.m.Frozen() {
			n.leaving.Store(true)
			m.starts.Go(func() {
				defer n.leaving.Store(false)
				ctx, cancel := context.WithTimeout(context.Background(), most)
				defer cancel()
				p.node.Leave(ctx)
				if n.now() == p {
					n.m.Kill()
				}
			})
		}
	case 4:
		via := s.another(i)
		if m.twins && via >= 0 {
			w := twin{s: s, i: i, via: via, boot: "another", uptimeMS: 1 + r.Int64N(100_000)}
			for range 1 + r.IntN(8) {
				if s.nodes[via].m.Running() && !s.nodes[via].m.Frozen() {
					w.beat()
				}
				time.Sleep(200 * time.Millisecond)
			}
		}
	case 5:
		if m.long && !n.leaving.Load() {
			n.m.Freeze()
			d := between(r, time.Second, 2*time.Minute)
			m.starts.Go(func() {
				time.Sleep(d)
				n.m.Continue()
			})
		}
	case 6:
		m.closed[i].Store(r.IntN(2) == 0)
	case 7:
		m.full[i].Store(r.IntN(2) == 0)
	case 8:
		if m.puts && m.out.Load() == 0 && len(s.nodes) > 2 && r.IntN(4) == 0 {
			s.killForGood(i)
			m.out.Store(int32(i + 1))
		}
	}
}
