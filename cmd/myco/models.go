package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
)

// modelsCmd lists the models of the swarm.
type modelsCmd struct {
	Model  string `predictor:"model" arg:"" optional:"" help:"This one alone."`
	Node   string `predictor:"node" placeholder:"NODE" help:"What this node has, by its name, its id, or the beginning of its id."`
	Loaded bool   `help:"Only what is loaded in some node's memory, and there."`
}

// modelsView is what models --json prints.
type modelsView struct {
	Models []bus.SharedModel `json:"models"`
}

// Run implements the command.
func (c *modelsCmd) Run(ctx context.Context, a *app) error {
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
		nodes = []bus.NodeInfo{n}
	}
	all := bus.SharedModels(nodes)
	v := modelsView{Models: c.wanted(all)}
	if c.Model != "" && len(v.Models) == 0 {
		return c.missing(all, status.Nodes)
	}
	if a.json {
		a.object(v)
		return nil
	}
	if len(v.Models) > 0 {
		a.text(modelsTable(v.Models, a.width()))
	}
	c.hints(a, v.Models, nodes)
	return nil
}

// wanted picks what was asked for.
func (c *modelsCmd) wanted(all []bus.SharedModel) []bus.SharedModel {
	out := []bus.SharedModel{}
	for _, m := range all {
		if c.Model != "" && !strings.EqualFold(bus.CanonicalModel(m.Name), bus.CanonicalModel(c.Model)) {
			continue
		}
		if c.Loaded {
			m.Nodes = slices.DeleteFunc(slices.Clone(m.Nodes), func(h bus.ModelHolder) bool { return !h.Loaded })
		}
		if len(m.Nodes) > 0 {
			out = append(out, m)
		}
	}
	return out
}

// missing tells that a model is not there, or not loaded.
func (c *modelsCmd) missing(all []bus.SharedModel, nodes []bus.NodeInfo) error {
	where := "no node has it"
	if c.Node != "" {
		where = c.Node + " does not have it"
	}
	if c.Loaded && slices.ContainsFunc(all, func(m bus.SharedModel) bool { return bus.SameModel(m.Name, c.Model) }) {
		return bus.Errorf(bus.CodeNotFound, "model '%s' is not loaded: a question loads it", c.Model).WithHint("myco ask -m %s PROMPT", c.Model)
	}
	return bus.Errorf(bus.CodeNotFound, "model '%s' not found: %s", c.Model, where).WithHint("%s", bus.PullCommand(nodes, c.Model, c.Node))
}

// hints tells what a list leaves out, and what to do about an empty one.
func (c *modelsCmd) hints(a *app, listed []bus.SharedModel, nodes []bus.NodeInfo) {
	for _, n := range nodes {
		if !n.State.Live() {
			a.hint("%s is %s: what it has is not listed", n.Name, n.State)
		}
	}
	switch {
	case len(listed) > 0:
	case c.Loaded:
		a.hint("no model is loaded; a question loads the one that it needs")
	default:
		a.hint("no models. To get one: %s", bus.PullCommand(nodes, "gemma3:1b", c.Node))
	}
}

// modelsGive is the order of what people can do without.
var modelsGive = giving{
	shorten: map[string]int{"NODES": 16, "CAN": 14, "MODEL": 24},
	drop:    []string{"QUANTIZATION", "PARAMETERS", "CONTEXT", "CAN", "SIZE"},
}

// modelsTable renders models for people, on a terminal of that width, or 0 for any; a star marks who has one
// loaded.
func modelsTable(models []bus.SharedModel, width int) string {
	rows := make([][]string, len(models))
	for i, m := range models {
		name := m.Name
		if m.Demo {
			name += dimStyle.Render(" (demo)")
		}
		var nodes []string
		for _, h := range m.Nodes {
			who := h.Name
			if h.Loaded {
				who += "*"
			}
			nodes = append(nodes, who+perSecond(h.Speed))
		}
		rows[i] = []string{
			name, diskSize(m.SizeBytes), cmp.Or(m.ParameterSize, "-"), cmp.Or(m.Quantization, "-"), tokens(m.ContextLength),
			strings.Join(m.Can.Names(), ","), strings.Join(nodes, " "),
		}
	}
	return modelsGive.fitted(width, []string{"MODEL", "SIZE", "PARAMETERS", "QUANTIZATION", "CONTEXT", "CAN", "NODES"}, rows)
}

// diskSize is a size in bytes as disks and Ollama count it, in powers of ten.
func diskSize(n int64) string {
	switch {
	case n <= 0:
		return "-"
	case n < 1e9:
		return fmt.Sprintf("%.0f MB", max(1, float64(n)/1e6))
	case n < 1e10:
		return fmt.Sprintf("%.1f GB", float64(n)/1e9)
	}
	return fmt.Sprintf("%.0f GB", float64(n)/1e9)
}

// tokens is a number of tokens, in Ki where that is whole.
func tokens(n int) string {
	switch {
	case n <= 0:
		return "-"
	case n >= 1024 && n%1024 == 0:
		return strconv.Itoa(n/1024) + "k"
	}
	return strconv.Itoa(n)
}
