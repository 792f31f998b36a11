package sched_test

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// TestRandomCutOff ends two workers of each task, and cuts the third off for up to 150 s, alone or with
// others, or stops it. Meanwhile other nodes die and come back, the host among them. No task is dead: none
// has ended three workers. SIM_SEED and SIM_RUNS are as in TestRandom.
func TestRandomCutOff(t *testing.T) {
	t.Parallel()
	random(t, awaySetup, cutOffPlay)
}

// TestRandomPoison has tasks end whoever runs them, while machines stay away for up to 5 minutes or for ever,
// and lose their journals. Each is dead in the end, and has ended three at most.
func TestRandomPoison(t *testing.T) {
	t.Parallel()
	random(t, awaySetup, poisonPlay)
}

// awaySetup has no worker at node 0, whose clients live to see the end.
func awaySetup(seed uint64, r *rand.Rand) setup {
	c := setup{nodes: 5 + r.IntN(2), slots: 1 + r.IntN(2), seed: seed, split: true, twoEnds: true, work: func(i int) bool { return i > 0 }}
	c.net.MinDelay, c.net.MaxDelay = 50*time.Microsecond, time.Duration(200+r.IntN(4800))*time.Microsecond
	return c
}

// between returns a time in [from, to), short ones as often as long ones.
func between(r *rand.Rand, from, to time.Duration) time.Duration {
	for range r.IntN(4) {
		to = max(to/4, from+1)
	}
	return from + time.Duration(r.Int64N(int64(to-from)))
}

func cutOffPlay(s *swarm, r *rand.Rand) {
	var starts sync.WaitGroup
	defer starts.Wait()
	s.elected()
	const from = 0
	for range 2 {
		for i := range s.nodes {
			s.restart(i)
		}
		s.elected()
		time.Sleep(between(r, 50*time.Millisecond, 5*time.Second))
		k := s.submitOrEnqueue(from, script{MS: 4000 + r.IntN(10_000)}, r)
		for range 2 {
			w := s.running(k)
			time.Sleep(between(r, time.Millisecond, time.Second))
			s.kill(w)
			time.Sleep(time.Millisecond) // its run is over
			after := between(r, 50*time.Millisecond, time.Minute)
			starts.Go(func() {
				time.Sleep(after)
				s.restart(w)
			})
		}
		w := s.running(k)
		time.Sleep(between(r, time.Millisecond, time.Second))
		away := between(r, 100*time.Millisecond, 150*time.Second)
		if r.IntN(4) == 0 {
			s.nodes[w].m.Freeze()
		} else {
			s.cutOff(w, r)
		}
		for end := time.Now().Add(away); time.Now().Before(end); {
			if i := r.IntN(len(s.nodes)); i != w && i != from && !s.runsSomething(i) && r.IntN(3) == 0 {
				s.kill(i)
				time.Sleep(between(r, 10*time.Millisecond, 5*time.Second))
				s.restart(i)
			}
			time.Sleep(between(r, 10*time.Millisecond, 20*time.Second))
		}
		s.net.Heal()
		s.nodes[w].m.Continue()
		s.until(time.Minute, s.over)
	}
}

func (s *swarm) submitOrEnqueue(i int, sc script, r *rand.Rand) *tracked {
	if r.IntN(3) == 0 {
		return s.submit(i, sc)
	}
	return s.enqueue(i, sc)
}

// cutOff takes down the links of node w to the others, but for some.
func (s *swarm) cutOff(w int, r *rand.Rand) {
	a, b := []int{w}, []int{}
	for i := range s.nodes {
		if i != w && r.IntN(4) == 0 {
			a = append(a, i)
		} else if i != w {
			b = append(b, i)
		}
	}
	s.net.Partition(s.ids(a...), s.ids(b...))
}

func (s *swarm) runsSomething(i int) bool {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	for _, r := range s.ledger.runs {
		if r.how == "" && r.node == nodeID(i) {
			return true
		}
	}
	return false
}

func poisonPlay(s *swarm, r *rand.Rand) {
	s.elected()
	k := s.submitOrEnqueue(0, script{MS: 20 + r.IntN(2000), Poison: true}, r)
	back := map[int]time.Time{}
	gone, quiet := 0, time.Now().Add(30*time.Second+between(r, 0, 2*time.Minute))
	for time.Now().Before(quiet) {
		time.Sleep(10 * time.Millisecond)
		for i, n := range s.nodes {
			switch at, dead := back[i]; {
			case n.gone || n.m.Running():
			case !dead && gone < 2 && r.IntN(4) == 0:
				gone++
				n.gone = true
			case !dead:
				back[i] = time.Now().Add(between(r, 50*time.Millisecond, 5*time.Minute))
				if time.Until(back[i]) > 4*time.Second && r.IntN(2) == 0 {
					n.m.LoseJournal()
				}
			case time.Now().After(at):
				delete(back, i)
				s.restart(i)
			}
		}
		if i := 1 + r.IntN(len(s.nodes)-1); r.IntN(1000) == 0 && !s.runsSomething(i) {
			s.kill(i)
		}
	}
	for i, n := range s.nodes {
		if !n.gone {
			s.restart(i)
		}
	}
	if !s.until(4*time.Minute, s.over) {
		s.note("task %s has no end: %v", k.id, s.ledger.of(k.id))
	}
}
