//go:build e2e && linux

package e2e_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// A question comes to two nodes while the fast one writes an answer. Its engine answers one at a time, as Ollama does unless it
// is told otherwise: the question goes to the slow node, and does not wait in the engine. Once that has been seen to write two
// answers at one time, it goes to the fast one.
func TestEngineThatAnswersOneAtATime(t *testing.T) {
	for name, tt := range map[string]struct {
		alone  bool
		second string // who gets the second question
	}{
		"one at a time": {true, "slow"},
		"several":       {false, "fast"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := harness.New(t, programs)
			fast := s.Found(t, "fast", "--engine", pacedEngine(t, s, "fast", 20*time.Millisecond, tt.alone))
			slow := s.Join(t, fast, "slow", "--engine", pacedEngine(t, s, "slow", 35*time.Millisecond, tt.alone))
			harness.Settle(t, fast, slow)
			c := fast.Dial(t)
			var all sync.WaitGroup
			for _, n := range []*harness.Node{fast, fast, slow} { // each is measured, and two go to the fast one
				awaitModel(t, fast, n.Name, engine.Model, true)
				all.Go(func() {
					for _, err := range c.Submit(t.Context(), question("", "measured", engine.Model, n.Info.NodeID)) {
						if err != nil {
							t.Error(err)
						}
					}
				})
			}
			all.Wait()
			harness.Poll(t, harness.Patience, "both are measured, and how many answers the engines write at one time", func() string {
				status, err := c.Status(t.Context())
				if err != nil || len(status.Nodes) != 2 {
					return fmt.Sprintf("%d nodes, %v", len(status.Nodes), err)
				}
				for _, n := range status.Nodes {
					if m := n.Models; len(m) != 1 || m[0].Speed == nil || n.Name == "fast" && m[0].OneAtATime != tt.alone {
						return fmt.Sprintf("%s: %+v", n.Name, m)
					}
				}
				return ""
			})
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			first := whoBegins(ctx, t, c)
			second := whoBegins(ctx, t, c)
			if want := map[string]bus.NodeID{"fast": fast.Info.NodeID, "slow": slow.Info.NodeID}; first != want["fast"] || second != want[tt.second] {
				t.Errorf("the questions went to %s and %s, want the fast node and the %s one: %v", first, second, tt.second, want)
			}
		})
	}
}

// pacedEngine starts an engine that writes at some pace, and returns where it is. What is begun goes on until its reader leaves.
func pacedEngine(t *testing.T, s *harness.Swarm, name string, word time.Duration, alone bool) string {
	t.Helper()
	eng, err := engine.Start(t.Context(), s.EngineAddr(), engine.Config{
		Name: name, Ledger: &engine.Ledger{}, Alone: alone,
		Script: func(r engine.Request) engine.Script {
			n := 100
			if r.Marker == "begun" {
				n = 10_000
			}
			return engine.Script{Words: slices.Repeat([]string{"word "}, n), Before: word, Between: word}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = eng.Stop() })
	return eng.URL()
}

// whoBegins asks a question, and returns who has begun to answer it. The answer goes on until ctx ends.
func whoBegins(ctx context.Context, t *testing.T, c *bus.Conn) bus.NodeID {
	t.Helper()
	begun, ended := make(chan bus.NodeID, 1), make(chan struct{})
	t.Cleanup(func() { <-ended })
	go func() {
		defer close(ended)
		for chunk, err := range c.Submit(ctx, question("", "begun", engine.Model, "")) {
			if err != nil && ctx.Err() == nil {
				t.Error(err)
			}
			select {
			case begun <- chunk.Node:
			default:
			}
		}
	}()
	select {
	case node := <-begun:
		return node
	case <-time.After(harness.Patience):
		t.Fatal("no answer")
		return ""
	}
}
