package sched_test

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched/internal/sim"
)

// A task that is over before who submitted it goes on was queued first, and then begun, to those who watch.
func TestEventsOfAShortTask(t *testing.T) {
	t.Parallel()
	play(t, setup{nodes: 1, slots: 1}, func(s *swarm) {
		s.elected()
		var mu sync.Mutex
		told := map[bus.TaskID][]string{}
		s.net.SetCrash(func(p sim.Step) bool {
			if p.Op == "Direct" && p.After { // a slot has it
				time.Sleep(100 * time.Millisecond)
			}
			if at := strings.Split(p.Subject, "."); len(at) == 5 && at[1] == "task" {
				mu.Lock()
				defer mu.Unlock()
				told[bus.TaskID(at[3])] = append(told[bus.TaskID(at[3])], at[4])
			}
			return false
		})
		time.Sleep(time.Second) // its slot waits
		for range 5 {
			k := s.submit(0, script{})
			time.Sleep(time.Second)
			mu.Lock()
			if got, want := slices.Compact(told[k.id]), []string{"queued", "started", "done"}; !slices.Equal(got, want) {
				s.note("the events of %s are %v, want %v", k.id, got, want)
			}
			mu.Unlock()
		}
	})
}
