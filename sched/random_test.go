package sched_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched/internal/sim"
)

// TestRandom plays random operations and faults. SIM_SEED is the first seed and SIM_RUNS how
// many are played: go test ./sched -run TestRandom with the seed of a failure plays it again.
func TestRandom(t *testing.T) {
	t.Parallel()
	random(t, randomSetup, randomPlay)
}

// TestRandomOneDown plays random operations while one node after the other dies and comes
// back, never two at a time: then every task has one end, told once, on all disks.
func TestRandomOneDown(t *testing.T) {
	t.Parallel()
	random(t, func(seed uint64, r *rand.Rand) setup {
		return setup{nodes: 2 + r.IntN(3), slots: 1 + r.IntN(3), seed: seed}
	}, oneDownPlay)
}

// TestRandomLarge is TestRandom with tasks, and results, that are too large for a message.
func TestRandomLarge(t *testing.T) {
	t.Parallel()
	random(t, func(seed uint64, r *rand.Rand) setup {
		c := randomSetup(seed, r)
		c.large = true
		return c
	}, randomPlay)
}

// TestRandomLargeOneDown is TestRandomOneDown with such tasks.
func TestRandomLargeOneDown(t *testing.T) {
	t.Parallel()
	random(t, func(seed uint64, r *rand.Rand) setup {
		return setup{nodes: 2 + r.IntN(3), slots: 1 + r.IntN(3), seed: seed, large: true}
	}, oneDownPlay)
}

func random(t *testing.T, setUp func(uint64, *rand.Rand) setup, play func(*swarm, *rand.Rand)) {
	t.Helper()
	first, runs := number("SIM_SEED", 1), number("SIM_RUNS", 16)
	const parts = 4
	for part := range parts {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			for seed := first + part; seed < first+runs; seed += parts {
				r := rand.New(rand.NewPCG(uint64(seed), 1))
				for _, b := range simulate(t, setUp(uint64(seed), r), func(s *swarm) { play(s, r) }) {
					t.Errorf("SIM_SEED=%d: %s", seed, b)
				}
			}
		})
	}
}

func randomSetup(seed uint64, r *rand.Rand) setup {
	c := setup{nodes: 2 + r.IntN(4), slots: 1 + r.IntN(3), seed: seed, split: true, twoEnds: true}
	c.net.MinDelay, c.net.MaxDelay = 50*time.Microsecond, time.Duration(200+r.IntN(4800))*time.Microsecond
	if r.IntN(4) == 0 {
		c.net.MaxDelay *= 8 // a bad radio link
	}
	if r.IntN(2) == 0 {
		c.net.Loss, c.net.Repeat, c.net.Deaf = r.Float64()*0.03, r.Float64()*0.02, r.Float64()*0.1
	}
	return c
}

// randomPlay goes on for 15 to 30 simulated seconds.
func randomPlay(s *swarm, r *rand.Rand) {
	if r.IntN(4) > 0 {
		s.elected()
	}
	ops := r.IntN(40) + 20
	for range ops {
		randomStep(s, r)
		time.Sleep(time.Duration(r.IntN(700)) * time.Millisecond)
	}
}

// crashSoon kills a node at its k-th step from now.
func (s *swarm) crashSoon(i, k int) {
	at := crashAt{at: k, dead: make(chan struct{})}
	s.net.SetCrash(at.step(i))
}

func oneDownPlay(s *swarm, r *rand.Rand) {
	s.elected()
	for range 6 {
		for range 4 + r.IntN(12) {
			i := r.IntN(len(s.nodes))
			if s.nodes[i].m.Running() {
				s.randomWork(i, r)
			}
			time.Sleep(time.Duration(r.IntN(100)) * time.Millisecond)
		}
		down := r.IntN(len(s.nodes))
		if r.IntN(2) == 0 {
			s.kill(down)
		} else {
			s.crashSoon(down, 1+r.IntN(20))
		}
		time.Sleep(time.Duration(r.IntN(4000)) * time.Millisecond)
		s.net.SetCrash(nil)
		s.restart(down)
		time.Sleep(time.Duration(1500+r.IntN(2000)) * time.Millisecond)
	}
}

// randomWork hands over a task at node i, or cancels one.
func (s *swarm) randomWork(i int, r *rand.Rand) {
	sc := script{MS: 5 + r.IntN(600), Chunks: r.IntN(5), Fail: r.IntN(10) == 0, Anew: r.IntN(4) == 0}
	if r.IntN(6) == 0 {
		sc.Retry = string(nodeID(r.IntN(len(s.nodes))))
	}
	late := time.Duration(100+r.IntN(4000)) * time.Millisecond
	s.mu.Lock()
	some := bus.TaskID("none")
	if len(s.tasks) > 0 {
		some = s.tasks[r.IntN(len(s.tasks))].id
	}
	s.mu.Unlock()
	switch k := r.IntN(20); {
	case k < 8:
		s.wg.Go(func() { s.enqueue(i, sc) })
	case k < 16:
		s.submit(i, sc)
	case k == 16:
		s.submit(i, sc, timeout(late))
	case k == 17:
		s.wg.Go(func() { s.enqueue(i, sc, timeout(late)) })
	default:
		s.wg.Go(func() { _ = s.cancel(i, some) })
	}
}

func randomStep(s *swarm, r *rand.Rand) {
	i := r.IntN(len(s.nodes))
	n := s.nodes[i]
	switch k := r.IntN(20); {
	case k < 11:
		if n.m.Running() {
			s.randomWork(i, r)
		}
	case k == 11:
		s.kill(i)
		if r.IntN(3) == 0 {
			s.restart(i)
		}
	case k == 12:
		s.crashSoon(i, 1+r.IntN(12))
	case k < 16:
		for j := range s.nodes {
			if r.IntN(2) == 0 {
				s.restart(j)
			}
		}
	case k == 16 && !n.leaving.Load():
		n.m.Freeze()
		d := time.Duration(r.IntN(6000)) * time.Millisecond
		s.wg.Go(func() {
			time.Sleep(d)
			n.m.Continue()
		})
	case k == 17:
		cut := 1 + r.IntN(len(s.nodes)-1)
		var a, b []int
		for x, j := range r.Perm(len(s.nodes)) {
			if x < cut {
				a = append(a, j)
			} else {
				b = append(b, j)
			}
		}
		s.net.Partition(s.ids(a...), s.ids(b...))
	case k == 18:
		if r.IntN(3) == 0 && len(s.nodes) > 2 {
			s.net.Link(n.id, s.nodes[(i+1)%len(s.nodes)].id, false)
		} else {
			s.net.Partition(s.ids(r.Perm(len(s.nodes))...))
		}
	default:
		ops := []string{"Feed", "CreateClaim", "UpdateClaim", "PutEnd", "PutTask", "Fetch", "Ack", "Nak", "publish", "Hand", "refuse", "GetClaim"}
		if s.large {
			ops = append(ops, "PutBlob", "GetBlob", "HasBlob")
		}
		op := ops[r.IntN(len(ops))]
		answer := r.IntN(2) == 0
		s.lose(1+r.IntN(4), func(m sim.Traffic) bool { return m.Op == op && m.Answer == answer && m.From != m.To })
	}
}
