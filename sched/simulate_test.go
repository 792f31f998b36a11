package sched_test

import (
	"fmt"
	"log/slog"
	"os"
	"testing"
	"testing/synctest"
)

// simulate runs a scenario in a bubble of its own and returns what is wrong.
func simulate(t *testing.T, c setup, play func(*swarm)) (bad []string) {
	t.Helper()
	if os.Getenv("SIM_LOG") != "" {
		c.log = slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: simTime})
	}
	synctest.Test(t, func(*testing.T) {
		s := c.start()
		play(s)
		bad = s.finish()
	})
	return bad
}

// simTime writes the simulated time since the start of a log line.
func simTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		a.Value = slog.StringValue(a.Value.Time().UTC().Format("04:05.000000"))
	}
	return a
}

// TestReplay plays one scenario with one seed: SIM_NAME, SIM_SEED, and SIM_LOG for the logs.
func TestReplay(t *testing.T) {
	t.Parallel()
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
