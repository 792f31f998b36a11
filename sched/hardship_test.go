package sched_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"
)

// TestRandomHardship is TestRandom where disks are full at times, nodes drain, and daemons are stopped in good order.
// SIM_SEED and SIM_RUNS are as there.
func TestRandomHardship(t *testing.T) {
	t.Parallel()
	random(t, func(seed uint64, r *rand.Rand) setup {
		c := randomSetup(seed, r)
		c.nodes++
		c.full, c.stuck = true, true
		return c
	}, hardshipPlay)
}

// hardshipPlay goes on for 15 to 30 simulated seconds.
func hardshipPlay(s *swarm, r *rand.Rand) {
	if r.IntN(4) > 0 {
		s.elected()
	}
	full := 0
	for range r.IntN(40) + 20 {
		i := r.IntN(len(s.nodes))
		switch n := s.nodes[i]; r.IntN(8) {
		case 0: // one disk is full at a time, or none
			s.nodes[full].m.Fill(false)
			full = i
			n.m.Fill(r.IntN(3) > 0)
		case 1:
			if n.m.Running() && !n.m.Frozen() {
				n.now().node.Drain(r.IntN(2) == 0)
			}
		case 2:
			s.leaves(i, time.Duration(r.IntN(3000))*time.Millisecond)
		default:
			randomStep(s, r)
		}
		time.Sleep(time.Duration(r.IntN(700)) * time.Millisecond)
	}
	s.nodes[full].m.Fill(false)
	for _, n := range s.nodes {
		n.m.Continue()
		if n.m.Running() {
			n.now().node.Drain(false)
		}
	}
}

// leaves stops the daemon of a node, which has so long to finish its work. Nothing stops its process meanwhile.
func (s *swarm) leaves(i int, most time.Duration) {
	n := s.nodes[i]
	if !n.m.Running() || n.m.Frozen() || !n.leaving.CompareAndSwap(false, true) {
		return
	}
	s.wg.Go(func() {
		defer n.leaving.Store(false)
		p := n.now()
		ctx, cancel := context.WithTimeout(p.life, most)
		defer cancel()
		p.node.Leave(ctx)
		if n.now() == p {
			n.m.Kill()
		}
	})
}
