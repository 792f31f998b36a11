package sim_test

import (
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
	"github.com/mycoswarm/mycoswarm/sched/effectstest"
	"github.com/mycoswarm/mycoswarm/sched/internal/sim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The simulation keeps the contract that the real effects keep.
func TestEffects(t *testing.T) {
	t.Parallel()
	effectstest.RunIn(t, synctest.Test, func(t *testing.T, lease time.Duration) *effectstest.Swarm {
		t.Helper()
		n := sim.New(sim.Config{Seed: 1, Lease: lease})
		ids := [2]bus.NodeID{"myco-00000000000a", "myco-00000000000b"}
		var machines [2]*sim.Machine
		var fx [2]sched.Effects
		for i, id := range ids {
			machines[i] = n.Add(id)
			_, fx[i] = machines[i].Start()
		}
		connected := func() { time.Sleep(100 * time.Millisecond) }
		connected()
		t.Cleanup(func() { machines[0].Kill(); machines[1].Kill() })
		return &effectstest.Swarm{
			IDs:     ids,
			Effects: func(i int) sched.Effects { return fx[i] },
			Restart: func(i int) {
				machines[i].Kill()
				_, fx[i] = machines[i].Start()
				connected()
			},
			Pass: time.Sleep,
		}
	})
}
