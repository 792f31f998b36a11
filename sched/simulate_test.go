package sched_test

import (
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mycoswarm/mycoswarm/sched"
	"github.com/mycoswarm/mycoswarm/sched/internal/sim"
)

// simulate runs a scenario in a bubble of its own and returns what is wrong.
func simulate(t *testing.T, c setup, play func(*swarm)) (bad []string) {
	t.Helper()
	if os.Getenv("SIM_LOG") != "" {
		c.log = slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: simTime})
	}
	if os.Getenv("SIM_LOG") == "2" {
		c.net.Trace = trace
	}
	synctest.Test(t, func(*testing.T) {
		s := c.start()
		play(s)
		bad = s.finish()
	})
	return bad
}

// trace writes down what is sent, but for what is sent all the time.
func trace(m sim.Traffic, lost bool) {
	switch {
	case strings.HasSuffix(m.Subject, ".heartbeat"), strings.HasSuffix(m.Subject, ".next"), strings.HasPrefix(m.Subject, "_INBOX"),
		m.Op == "Counts", m.Op == "Progress", m.Op == "announce", m.Answer && m.Op == "Fetch":
		return
	}
	fmt.Fprintf(os.Stderr, "time=%s %s->%s %s %s %s%s answer=%v lost=%v\n", time.Now().UTC().Format("04:05.000000"),
		m.From[len(m.From)-2:], m.To[len(m.To)-2:], m.Op, m.Task, m.Subject, m.Ack, m.Answer, lost)
}

// simTime writes the simulated time since the start of a log line.
func simTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		a.Value = slog.StringValue(a.Value.Time().UTC().Format("04:05.000000"))
	}
	return a
}

// TestReplay plays one scenario with one seed: SIM_NAME and SIM_SEED, or that of a protection
// without it: SIM_WITHOUT. SIM_LOG=1 shows the logs, SIM_LOG=2 what is sent too.
func TestReplay(t *testing.T) {
	t.Parallel()
	if name := os.Getenv("SIM_WITHOUT"); name != "" {
		sc := mutations[name]
		sc.setup.seed = uint64(number("SIM_SEED", 1))
		sc.setup.without = append(slices.Clone(sc.setup.without), sched.Protection(name))
		sc.setup.net.Without = map[sim.Rule]bool{sim.Rule(name): true}
		t.Log(simulate(t, sc.setup, sc.play))
	}
	for _, sc := range scenarios {
		if sc.name == os.Getenv("SIM_NAME") {
			c := sc.setup
			if _, err := fmt.Sscan(os.Getenv("SIM_SEED"), &c.seed); err != nil {
				t.Fatal(err)
			}
			for _, b := range simulate(t, c, sc.play) {
				t.Error(b)
			}
		}
	}
}
