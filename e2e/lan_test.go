//go:build e2e && linux

package e2e_test

import (
	"strings"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/e2e/figures"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// askUntil asks n's swarm until another node answers, and returns the answer.
func askUntil(t *testing.T, n *harness.Node, marker string) answer {
	t.Helper()
	var a answer
	harness.Poll(t, harness.Patience, n.Name+" is answered by another node", func() string {
		r := n.Myco(t, "ask", "--json", "--remote", "-m", engine.Model, engine.Prompt(marker))
		if r.Code != 0 {
			return r.String()
		}
		lastObject(t, r, &a)
		return ""
	})
	return a
}

// Two machines on a LAN, default ports: they see each other over mDNS before they trust each
// other, one joins with a token, and a question on one is answered by the other.
func TestTwoMachinesFindEachOther(t *testing.T) {
	var ledger engine.Ledger
	var joined, again []time.Duration
	var last *harness.Node
	for range figures.Repetitions(1) {
		s := harness.NewLAN(t, programs)
		eng := startEngine(t, s, engine.Config{Name: "a", Ledger: &ledger})
		a := s.Found(t, "a", "--engine", eng.URL())
		b := s.Found(t, "b")
		harness.Poll(t, harness.Patience, "b tells of the swarm nearby", func() string {
			if log := b.Log(1000); !strings.Contains(log, string(a.Info.NodeID)) {
				return log
			}
			return ""
		})

		b.Stop(t)
		token := a.Invite(t)
		start := time.Now()
		b.Launch(t, "--join", token)
		b.Up(t)
		got := askUntil(t, b, "first")
		joined = append(joined, time.Since(start))
		if got.NodeID != a.Info.NodeID || got.NodeName != "a" || got.Text != "done first" || got.Attempts != 1 || got.Demo {
			t.Errorf("answer %+v, want node a's", got)
		}
		if host := harness.Settle(t, a, b); host == nil {
			t.Error("no queue host")
		}

		// Both start anew with other ports, and nobody tells them where the other is: what
		// is left is mDNS.
		a.Stop(t)
		b.Stop(t)
		start = time.Now()
		a.Launch(t, "--engine", eng.URL(), "--fabric-listen", "0.0.0.0:17422")
		b.Launch(t, "--fabric-listen", "0.0.0.0:17522")
		a.Up(t)
		b.Up(t)
		got = askUntil(t, b, "second")
		again = append(again, time.Since(start))
		if got.NodeID != a.Info.NodeID {
			t.Errorf("answer %+v, want node a's", got)
		}
		last = b
		a.Kill()
		b.Kill()
	}
	record(t, last, "lan", "Two machines find each other",
		"Two daemons in two network namespaces on a bridge, mDNS, default settings. Counted from the start of "+
			"the later process to the end of the first `myco ask --remote` that the other machine answered.",
		figures.Row{What: "usable after `mycod --join TOKEN`", Promised: 2 * time.Second, Samples: joined},
		figures.Row{What: "usable after both restarted with other ports", Promised: 2 * time.Second, Samples: again})
}

// The same on a fresh machine without any engine: the built-in model answers, and says so.
func TestDemoModelAnswersAcrossNodes(t *testing.T) {
	t.Parallel()
	s := harness.New(t, programs)
	a := s.Node(t, "a")
	a.Demo = true
	a.Start(t)
	b := s.Join(t, a, "b")
	harness.Settle(t, a, b)
	awaitModel(t, b, "a", demoModel(t, a), true)
	r := b.Myco(t, "ask", "--json", "What is the capital of France?")
	if r.Code != 0 {
		t.Fatalf("%s", r)
	}
	var got answer
	lastObject(t, r, &got)
	if !got.Demo || got.NodeName != "a" || !strings.Contains(got.Text, "Paris") {
		t.Errorf("answer %+v, want Paris, by the demo model of a", got)
	}
	if !strings.Contains(r.Stderr, "demo") || !strings.Contains(r.Stderr, "ollama") {
		t.Errorf("stderr %q, want it to say that this is a demo, and how to add a real model", r.Stderr)
	}
}

func demoModel(t *testing.T, n *harness.Node) string {
	t.Helper()
	var name string
	harness.Poll(t, harness.Patience, "the demo model is listed", func() string {
		for _, m := range n.View(t).Node(n.Name).Models {
			name = m.Name
			return ""
		}
		return "no models"
	})
	return name
}

// ping reaches every node, and names it.
func TestPing(t *testing.T) {
	t.Parallel()
	s := harness.New(t, programs)
	a := s.Found(t, "a")
	b := s.Join(t, a, "b")
	harness.Settle(t, a, b)
	var got []bus.ProbeReply
	b.JSON(t, &got, "ping")
	names := map[string]bool{}
	for _, p := range got {
		names[p.Name] = p.RTTMS > 0 && p.Error == ""
	}
	if len(got) != 2 || !names["a"] || !names["b"] {
		t.Errorf("ping %+v, want an answer of a and of b", got)
	}
	b.JSON(t, &got, "ping", "a")
	if len(got) != 1 || got[0].NodeID != a.Info.NodeID {
		t.Errorf("ping a: %+v, want a's answer", got)
	}
}
