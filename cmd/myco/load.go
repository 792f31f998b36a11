package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/engine"
)

// loadCmd has a model loaded before it is asked.
type loadCmd struct {
	Model     string         `predictor:"model" arg:"" help:"A model that a node's Ollama has."`
	Node      string         `predictor:"node" placeholder:"NODE" help:"On which node, by its name or id. Default: where a question to it would go."`
	KeepAlive *time.Duration `help:"How long it stays loaded without a question (default: as its Ollama does)." placeholder:"DURATION"`
}

// unloadCmd has nodes let go of a model.
type unloadCmd struct {
	Model string `predictor:"model" arg:"" help:"A model that is loaded: myco models --loaded."`
	Node  string `predictor:"node" placeholder:"NODE" help:"On this node alone, by its name or id. Default: wherever it is loaded."`
}

// loadView is what load and unload print with --json.
type loadView struct {
	Model string   `json:"model"`
	Nodes []string `json:"nodes"` // by their names
}

// Run implements the command.
func (c *loadCmd) Run(ctx context.Context, a *app) error {
	if c.KeepAlive != nil && *c.KeepAlive < time.Second {
		return bus.Errorf(bus.CodeInvalid, "--keep-alive %v: want 1s or more", *c.KeepAlive).WithHint("myco load --help")
	}
	if c.Model == "" { // it would be any
		return bus.Errorf(bus.CodeInvalid, "the model's name is empty").WithHint("myco models")
	}
	conn, status, err := a.dialStatus(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	on, err := pinTo(ctx, conn, c.Node)
	if err != nil {
		return err
	}
	var keep json.RawMessage
	if c.KeepAlive != nil {
		keep = json.RawMessage(fmt.Sprintf("%q", *c.KeepAlive))
	}
	a.hint("loading %s", c.Model)
	by, err := setLoaded(ctx, a, conn, c.Model, on, keep)
	if err != nil {
		e := bus.AsError(err)
		return e.WithHint("%s", strings.TrimSuffix(e.Hint, " with -m")) // which is how ask is told
	}
	name := nameOf(status.Nodes, by)
	at := slices.IndexFunc(status.Nodes, func(n bus.NodeInfo) bool { return n.ID == by })
	if at >= 0 && onEngine(status.Nodes[at], engine.KindOpenAI, c.Model, false) && !onEngine(status.Nodes[at], engine.KindOpenAI, c.Model, true) {
		return bus.Errorf(bus.CodeFailed, "'%s' is on %s in a server that loads its models by itself, when they are asked", c.Model, name).
			WithHint("myco ask -m %s --node %s hello", bus.ShellWord(c.Model), bus.ShellWord(name))
	}
	if a.json {
		a.object(loadView{Model: c.Model, Nodes: []string{name}})
		return nil
	}
	a.text(c.Model + " is loaded on " + name + "\n")
	return nil
}

// Run implements the command.
func (c *unloadCmd) Run(ctx context.Context, a *app) error {
	conn, status, err := a.dialStatus(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	nodes := status.Nodes
	if c.Node != "" {
		n, err := bus.NodeNamed(nodes, c.Node)
		if err != nil {
			return err
		}
		if !n.State.Live() {
			return bus.Errorf(bus.CodeNoWorker, "node %s is not there: it is %s", n.Name, n.State).WithHint("myco swarm")
		}
		nodes = []bus.NodeInfo{n}
	}
	able, kept := c.holders(nodes, status.Node.ID)
	if len(able) == 0 {
		return c.stays(nodes, kept)
	}
	v := loadView{Model: c.Model}
	for _, n := range able {
		if _, err := setLoaded(ctx, a, conn, c.Model, n.ID, json.RawMessage("0")); err != nil {
			return bus.AsError(fmt.Errorf("unload %s on %s: %w", c.Model, n.Name, err))
		}
		v.Nodes = append(v.Nodes, n.Name)
		if !a.json {
			a.text(c.Model + " is not loaded any more on " + n.Name + "\n")
		}
	}
	for _, n := range kept {
		a.hint("%s keeps it: it takes no tasks at present", n.Name)
	}
	if a.json {
		a.object(v)
	}
	return nil
}

// holders are the nodes that are to let go of the model, and those that have it loaded and take no tasks at present. Where none
// is known to have it loaded, all that have it are asked: one that was loaded a moment ago is not known yet.
func (c *unloadCmd) holders(nodes []bus.NodeInfo, self bus.NodeID) (able, kept []bus.NodeInfo) {
	loaded := slices.ContainsFunc(nodes, func(n bus.NodeInfo) bool { return n.State.Live() && onEngine(n, engine.KindOllama, c.Model, true) })
	for _, n := range nodes {
		switch {
		case !n.State.Live() || !onEngine(n, engine.KindOllama, c.Model, loaded):
		case n.Takes(self, bus.TypeInference):
			able = append(able, n)
		case loaded:
			kept = append(kept, n)
		}
	}
	return able, kept
}

// stays tells why none of nodes has let go of the model.
func (c *unloadCmd) stays(nodes, kept []bus.NodeInfo) error {
	other := slices.IndexFunc(nodes, func(n bus.NodeInfo) bool { return n.State.Live() && onEngine(n, engine.KindOpenAI, c.Model, true) })
	switch {
	case len(kept) == 0 && other >= 0:
		return bus.Errorf(bus.CodeNotFound, "'%s' is on %s in a server that keeps its models by itself: Ollama alone lets go of one that it is told to", c.Model, nodes[other].Name).
			WithHint("unload it in that server, or stop it")
	case len(kept) == 0:
		return bus.Errorf(bus.CodeNotFound, "model '%s' is not loaded by an Ollama", c.Model).WithHint("myco models --loaded")
	case kept[0].State == bus.NodeDraining: // nor from its own machine
		return bus.Errorf(bus.CodeNoWorker, "%s keeps '%s': it is draining, and takes no tasks", kept[0].Name, c.Model).
			WithHint("myco drain %s --off, then unload it and drain again", kept[0].Name)
	}
	return bus.Errorf(bus.CodeNoWorker, "%s keeps '%s': it is %s", kept[0].Name, c.Model, kept[0].Owner).WithHint("run there: myco unload %s", c.Model)
}

// onEngine reports whether a node has a model on an engine of a kind, and where loaded is set, in memory.
func onEngine(n bus.NodeInfo, kind, model string, loaded bool) bool {
	for _, models := range [][]bus.ModelInfo{n.Models, n.Embedders} {
		for _, m := range models {
			if (m.Loaded || !loaded) && m.Engine == kind && bus.SameModel(m.Name, model) {
				return true
			}
		}
	}
	return false
}

// setLoaded asks for no answer: the model is loaded for so long, or not at all where that is 0. by is who did it. What it waits
// for before a node is at it, as for answers to others, is told.
func setLoaded(ctx context.Context, a *app, conn *bus.Conn, model string, node bus.NodeID, keepAlive json.RawMessage) (by bus.NodeID, err error) {
	t, err := bus.NewTask(bus.TypeInference, bus.InferenceRequest{Load: true, KeepAlive: keepAlive})
	if err != nil {
		return "", err
	}
	t.Model, t.Node = model, node
	s, err := conn.Start(ctx, t)
	if err != nil {
		return "", err
	}
	told := ""
	look := func() {
		if why, _ := waitsFor(ctx, conn, s.Reply.ID); why != "" && why != told {
			told = why
			a.hint("[%s]", why)
		}
	}
	end, err := toItsEnd(patient(s.Chunks(), patience, look), func(bus.Chunk) {})
	return end.NodeID, err
}
