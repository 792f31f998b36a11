package sched_test

import (
	"fmt"
	"testing"
	"time"
)

// A machine that submits, hosts and works is shut, and opened again after others have ended its task. Its own end is
// superseded, whether it hears the others again at once or takes its time.
func TestMachineIsShutInMidTask(t *testing.T) {
	t.Parallel()
	for _, nodes := range []int{2, 3, 5} {
		for _, routes := range []time.Duration{0, 300 * time.Millisecond, time.Second, 2500 * time.Millisecond} {
			t.Run(fmt.Sprintf("%d nodes, routes after %v", nodes, routes), func(t *testing.T) {
				t.Parallel()
				play(t, setup{nodes: nodes, rank: map[int]int{0: 1}, work: nobody}, stoppedAlone(routes))
			})
		}
	}
}
