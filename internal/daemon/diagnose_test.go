package daemon_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/config"
	"github.com/mycoswarm/mycoswarm/internal/engine/demo"
)

func diagnose(t *testing.T, n *node) bus.Diagnosis {
	t.Helper()
	d, err := n.conn.Diagnose(n.ctx())
	check(t, err)
	return d
}

func withDefaultModel(model string) func(*config.Config) {
	return func(c *config.Config) { c.DefaultModel = model }
}

// The daemon tells of the ways to others, and dials who has none.
func TestDiagnose(t *testing.T) {
	t.Parallel()
	foreign := start(t, "foreign", withDefaultModel("qwen3:8b"))
	a := start(t, "a", withDemo)
	b := start(t, "b", joining(a), withPeer(foreign.Info().FabricAddr), withDefaultModel(demo.Model)) // which a has
	settle(t, a, b)

	d := diagnose(t, b)
	if d.NodeID != b.id() || d.DataDir != b.cfg.DataDir || !d.Store.Linked || d.Store.Unreadable != 0 || d.MDNS.On ||
		len(d.Listens) != 4 || d.Demo || len(d.Links) != 0 || len(d.Twins) != 0 || len(d.Failed) != 0 || d.Swarm.QueueHost == "" {
		t.Errorf("%+v", d)
	}
	if len(d.Peers) != 1 || d.Peers[0].NodeID != a.id() || !d.Peers[0].Routed || d.Peers[0].Version != "0.0.1" || d.Peers[0].Dials != nil {
		t.Errorf("peers %+v", d.Peers)
	}
	if len(d.Static) != 1 || d.Static[0].Result != bus.DialStranger || d.Static[0].Node != foreign.id() {
		t.Errorf("static %+v, want the stranger", d.Static)
	}
	if m := diagnose(t, foreign).DefaultModel; m == nil || m.Model != "qwen3:8b" || m.Pull != "ollama pull qwen3:8b" {
		t.Errorf("default model %+v, want it told as missing", m)
	}
	if m := d.DefaultModel; m != nil {
		t.Errorf("default model %+v is told as missing, and a has it", m)
	}
	if !diagnose(t, a).Demo {
		t.Error("a does not tell of its demo model")
	}

	_, err := b.conn.Enqueue(b.ctx(), bus.Task{ID: "waits", Type: "paint", Payload: []byte(`{}`)})
	check(t, err)
	if d := diagnose(t, b); len(d.Waiting) != 1 || d.Waiting[0].ID != "waits" || d.Waiting[0].Warning == "" {
		t.Errorf("waiting %+v", d.Waiting)
	}
	was := a.Info().FabricAddr
	check(t, a.stop())
	eventually(t, "a is away", func() string {
		d := diagnose(t, b)
		if p := d.Peers[0]; p.Routed || len(p.Dials) != 1 || p.Dials[0].Addr != was || p.Dials[0].Result != bus.DialRefused {
			return fmt.Sprintf("%+v", d.Peers)
		}
		return ""
	})
}

// Who was switched off in good order is known as that also after this node's own restart, until it is heard again.
func TestGoodbyesOutliveARestart(t *testing.T) {
	t.Parallel()
	a := start(t, "a")
	b := start(t, "b", joining(a))
	settle(t, a, b)
	left := func(when string, want bool) {
		t.Helper()
		eventually(t, fmt.Sprintf("b left is %t, %s", want, when), func() string {
			if p := diagnose(t, a).Peers[0]; p.Left != want || p.Routed == want {
				return fmt.Sprintf("%+v", p)
			}
			return ""
		})
	}
	check(t, b.stop())
	left("once it has stopped", true)
	check(t, a.stop())
	a.run()
	left("after a restart", true)
	check(t, a.stop())
	a.run()
	left("after another one", true)
	b.cfg.Peers = []string{a.Info().FabricAddr} // it has another port
	b.run()
	left("once it is back", false)
	check(t, a.stop())
	if said, err := os.ReadFile(filepath.Join(a.cfg.DataDir, "left.json")); err != nil || string(said) != "[]\n" {
		t.Errorf("the file holds %q, %v", said, err)
	}
}
