package lab

import (
	"math/rand/v2"
	"time"
)

// Act is what a step of a plan does to one node, or to the network.
type Act string

// The acts.
const (
	Kill   Act = "kill"   // kill -9; the node starts again after Lasts
	Host   Act = "host"   // Kill, of whoever is queue host
	Freeze Act = "freeze" // SIGSTOP, SIGCONT after Lasts
	Cut    Act = "cut"    // a partition in two groups, healed after Lasts
	Unplug Act = "unplug" // the link is down for Lasts
	Leave  Act = "leave"  // the node leaves the swarm, and joins again after Lasts
	Stop   Act = "stop"   // the node stops in good order; it starts again after Lasts
	Revoke Act = "revoke" // the node is put out for good; after Lasts a new one joins in its place
)

// Step is one step of a plan: a pause, and then an act.
type Step struct {
	After time.Duration
	Act   Act
	// Pick chooses among the nodes that the act can be done to.
	Pick int
	// Group are the nodes on one side of a Cut, as bits; never none and never all.
	Group uint
	Lasts time.Duration
}

// between returns a random time from low to high.
func between(r *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(r.Int64N(int64(high-low)))
}

// Kills plans n kills among size nodes, every third of the queue host: a kill, and a start again
// within moments, of workers and hosts. The next kill does not wait for the last node.
func Kills(r *rand.Rand, size, n int) []Step {
	steps := make([]Step, n)
	for i := range steps {
		s := Step{
			After: between(r, 200*time.Millisecond, 800*time.Millisecond), Act: Kill, Pick: r.IntN(size),
			Lasts: between(r, 0, 700*time.Millisecond),
		}
		if r.IntN(3) == 0 {
			s.Act = Host
		}
		steps[i] = s
	}
	return steps
}

// mix is how often each act comes in Chaos, of their sum.
var mix = []struct {
	act    Act
	weight int
}{{Kill, 5}, {Host, 3}, {Freeze, 2}, {Cut, 3}, {Unplug, 2}, {Leave, 1}, {Stop, 2}}

// Chaos plans everything at once among size nodes, for about the time of a run.
func Chaos(r *rand.Rand, size int, run time.Duration) []Step {
	var steps []Step
	sum := 0
	for _, m := range mix {
		sum += m.weight
	}
	for t := time.Duration(0); t < run; {
		s := Step{
			After: between(r, 500*time.Millisecond, 2500*time.Millisecond), Pick: r.IntN(size),
			Group: 1 + uint(r.IntN(1<<size-2)), Lasts: between(r, 200*time.Millisecond, 6*time.Second),
		}
		k := r.IntN(sum)
		for _, m := range mix {
			if k -= m.weight; k < 0 {
				s.Act = m.act
				break
			}
		}
		steps = append(steps, s)
		t += s.After
	}
	// One node is put out, in the middle: of two, some ended tasks would have had both copies.
	if n := len(steps); n > 0 {
		steps[n/3+r.IntN(n/3+1)].Act = Revoke
	}
	return steps
}
