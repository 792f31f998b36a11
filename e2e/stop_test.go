//go:build e2e && linux

package e2e_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/e2e/figures"
	"github.com/mycoswarm/mycoswarm/e2e/lab"
)

// A busy daemon is told to stop, now the queue host, now a worker: the others hear that it goes, and do
// not find that it is lost; what it cannot finish it gives back.
func TestBusyDaemonStops(t *testing.T) {
	t.Parallel()
	var g gates
	seed := lab.Seed(t, 0)
	c := lab.Start(t, programs, lab.Options{Size: 3, Script: func(r engine.Request) engine.Script {
		if strings.HasPrefix(r.Marker, "held") {
			return g.script(r)
		}
		return engine.Script{Before: 20 * time.Millisecond}
	}})
	end := c.Load(lab.Load{Every: 10 * time.Millisecond}, lab.Rand(seed, 1))
	row := figures.Row{What: "a busy daemon that holds a task without end has stopped", Promised: 16 * time.Second}
	rounds := count(3, 10)
	for round := range rounds {
		m := c.Settle()
		if round%2 == 1 {
			m = c.Members[(c.Index(m)+1)%3]
		}
		held := fmt.Sprintf("held%d", round)
		for i := range 9 { // of 12 slots: each node has one at least
			c.HandOver(t.Context(), c.Members[(c.Index(m)+1)%3], lab.Durable(fmt.Sprintf("%s-%d", held, i)))
		}
		awaitRuns(t, c, 9, "every node holds a task", func(r engine.Run) bool { return named(held, engine.Running)(r) })
		start := time.Now()
		back := c.Halt(m)
		row.Samples = append(row.Samples, time.Since(start))
		for _, other := range c.Members {
			if other == m {
				continue
			}
			eventually(t, other.Node, m.Name+" has said that it goes", func(r checkup) string {
				if r.find("warn", "route: "+m.Name, "stopped in good order") == "" || r.find("fail", "route:") != "" {
					return r.String()
				}
				return ""
			})
		}
		close(g.of(held))
		back()
	}
	end()
	c.Settle()
	r := c.Audit(lab.Rules{})
	reachRow(t, "stop", row)
	reach(t, "stop", rounds, fmt.Sprintf("%s after %s, heard by all; %s", row.What, figures.Format(row.Median()), r))
	c.Tidy()
}
