package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// benchCmd measures what each node makes of a model, and what all make of it together.
type benchCmd struct {
	Prompt []string `arg:"" optional:"" help:"The question (default: to explain something at length). A number is put before it, so that no two are the same."`

	Model     string        `predictor:"model" short:"m" help:"The model that answers (default: the swarm's choice)." placeholder:"MODEL"`
	Node      []string      `predictor:"node" sep:"none" help:"A node to measure alone (default: each that has the model). Repeatable." placeholder:"NODE"`
	Parallel  *int          `short:"p" help:"How many questions are asked at a time (default: as many as the nodes have slots)." placeholder:"N"`
	For       time.Duration `help:"How long each row is measured (default: 10s)." default:"10s" placeholder:"DURATION"`
	MaxTokens int           `help:"The longest answer, in tokens (default: 128)." default:"128" placeholder:"N"`
}

const (
	// maxParallel is how many questions are asked at a time at most.
	maxParallel = 64
	// benchLow is the priority of these questions: what people ask meanwhile goes before them.
	benchLow = 1
	// benchPrompt is long to answer for every model.
	benchPrompt = "Explain step by step how a bicycle is built, from the ore in the ground to the first ride. Name each part."
)

// Run implements the command.
func (c *benchCmd) Run(ctx context.Context, a *app) error {
	if err := outside("--parallel", c.Parallel, maxParallel); err != nil {
		return err.WithHint("myco bench --help")
	}
	switch {
	case c.For < time.Second || c.For > time.Hour:
		return bus.Errorf(bus.CodeInvalid, "--for %v: want 1s to 1h", c.For).WithHint("myco bench --help")
	case c.MaxTokens < 1:
		return bus.Errorf(bus.CodeInvalid, "--max-tokens %d: want more than 0", c.MaxTokens).WithHint("myco bench --help")
	}
	conn, status, err := a.dialStatus(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	p, err := c.plan(status)
	if err != nil {
		return err
	}
	for _, hint := range p.before {
		a.hint("%s", hint)
	}
	b := &bench{
		submit: conn.Submit, now: a.now, lasts: c.For,
		model: p.model, maxTokens: c.MaxTokens, prompt: cmp.Or(strings.Join(c.Prompt, " "), benchPrompt),
	}
	v, err := b.all(ctx, p, a.hint)
	if err != nil {
		return err
	}
	if a.json {
		a.object(v)
	} else {
		a.text(v.String(a.width()))
	}
	if !slices.ContainsFunc(v.Rows, func(r benchRow) bool { return r.Error == "" }) {
		a.code = 1
	}
	return nil
}

// benchPlan is what is to be measured.
type benchPlan struct {
	model    string
	nodes    []bus.NodeInfo // each alone
	others   []bus.NodeInfo // have the model too
	parallel int
	before   []string // what the user should know before
}

// plan decides what is measured in a swarm.
func (c *benchCmd) plan(s bus.Status) (p benchPlan, err error) {
	var there []bus.NodeInfo
	busy := 0
	for _, n := range s.Nodes {
		switch {
		case !n.State.Live() || n.State == bus.NodeDraining:
			p.before = append(p.before, fmt.Sprintf("%s is %s, and not measured", n.Name, n.State))
		case n.ClosedTo(s.Node.ID, bus.TypeInference):
			p.before = append(p.before, fmt.Sprintf("%s is %s, and not measured", n.Name, n.Owner))
		default:
			there = append(there, n)
			busy += n.Busy
		}
	}
	p.model = c.Model
	if p.model == "" {
		m, _, ok := bus.ChooseModel(there, s.DefaultModel)
		if !ok {
			return p, bus.Errorf(bus.CodeNoWorker, "no node has a model").WithHint("%s", bus.PullCommand(s.Nodes, "gemma3:1b", ""))
		}
		p.model = m.Name
	}
	has := func(n bus.NodeInfo) bool {
		return slices.ContainsFunc(n.Models, func(m bus.ModelInfo) bool { return bus.SameModel(m.Name, p.model) })
	}
	p.nodes = slices.DeleteFunc(there, func(n bus.NodeInfo) bool { return !has(n) })
	if len(p.nodes) == 0 {
		why := strings.Join(append([]string{"no node that takes questions has it"}, p.before...), "; ")
		return p, bus.Errorf(bus.CodeNotFound, "model '%s' not found: %s", p.model, why).WithHint("myco models")
	}
	slots := 0
	for _, n := range p.nodes {
		slots += cmp.Or(n.ModelSlots, n.Slots)
	}
	p.parallel = cmp.Or(given(c.Parallel), min(max(slots, 2), maxParallel))
	if len(c.Node) > 0 {
		if p.nodes, p.others, err = c.picked(s, p.model, p.nodes); err != nil {
			return p, err
		}
	}
	if len(p.nodes)+len(p.others) == 1 {
		p.before = append(p.before, fmt.Sprintf("%s alone has %s: there is no other to measure it beside", p.nodes[0].Name, p.model))
	}
	if busy > 0 {
		p.before = append(p.before, fmt.Sprintf("%s under way: the figures are of what is left beside", plural(busy, "task")))
	}
	return p, nil
}

// picked divides able, which have the model, into the nodes that were named and the others.
func (c *benchCmd) picked(s bus.Status, model string, able []bus.NodeInfo) (named, others []bus.NodeInfo, err error) {
	wanted := map[bus.NodeID]bool{}
	for _, want := range c.Node {
		n, err := bus.NodeNamed(s.Nodes, want)
		if err != nil {
			return nil, nil, err
		}
		if !slices.ContainsFunc(able, func(a bus.NodeInfo) bool { return a.ID == n.ID }) {
			why := fmt.Sprintf("does not have '%s'", model)
			switch {
			case !n.State.Live() || n.State == bus.NodeDraining:
				why = "is " + string(n.State)
			case n.ClosedTo(s.Node.ID, bus.TypeInference):
				why = "is " + n.Owner.String()
			}
			return nil, nil, bus.Errorf(bus.CodeNotFound, "%s takes no questions to this model: it %s", n.Name, why).WithHint("myco models --node %s", n.Name)
		}
		wanted[n.ID] = true
	}
	for _, n := range able {
		if wanted[n.ID] {
			named = append(named, n)
		} else {
			others = append(others, n)
		}
	}
	return named, others, nil
}
