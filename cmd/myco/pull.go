package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
)

// pullCmd has a node's Ollama pull a model.
type pullCmd struct {
	Model    string `predictor:"model" arg:"" help:"A model of Ollama's library, such as gemma3:1b."`
	Node     string `predictor:"node" placeholder:"NODE" xor:"where" help:"On which node, by its name or id. Default: where it is already, else the best GPU with room."`
	All      bool   `xor:"where" help:"On every node with an Ollama that has room, one after the other."`
	Insecure bool   `help:"Let it come from a registry without TLS."`
}

// pullView is the last line that pull --json prints of a node; those before are bus.PullProgress. With --all there is one for each.
type pullView struct {
	Status string     `json:"status"` // success, or kept: it does not get the model
	Model  string     `json:"model"`
	NodeID bus.NodeID `json:"node_id"`
	Name   string     `json:"name"`
	// Why is why it is kept, as in "is lost".
	Why string `json:"why,omitempty"`
}

// Run implements the command. Interrupting it ends the pull; the next one goes on from there.
func (c *pullCmd) Run(ctx context.Context, a *app) error {
	conn, status, err := a.dialStatus(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := nodeBehind(status.Nodes, "pull", c.Model); err != nil {
		return err
	}
	if c.All {
		return c.onAll(ctx, a, conn, status)
	}
	n, err := bus.PullNode(status.Nodes, c.Model, c.Node, status.Node.ID)
	if err != nil {
		return err
	}
	return c.pull(ctx, a, conn, n)
}

// nodeBehind refuses MODEL@NODE, which is for programs over HTTP: another node would try to have a model of that name.
func nodeBehind(nodes []bus.NodeInfo, command, model string) error {
	if name, node, ok := bus.NodeBehind(nodes, model); ok {
		return bus.Errorf(bus.CodeInvalid, "%s names a node, which is done apart here", model).
			WithHint("myco %s %s --node %s", command, bus.ShellWord(name), bus.ShellWord(node))
	}
	return nil
}

// onAll goes on to the next node where one fails.
func (c *pullCmd) onAll(ctx context.Context, a *app, conn *bus.Conn, status bus.Status) error {
	able, kept, err := bus.PullNodes(status.Nodes, c.Model, status.Node.ID)
	if err != nil {
		return err
	}
	for _, n := range kept {
		why := whyNoPull(n)
		a.hint("%s is left out: it %s", n.Name, why)
		if a.json {
			a.object(pullView{Status: "kept", Model: c.Model, NodeID: n.ID, Name: n.Name, Why: why})
		}
	}
	var failed []string
	var last error
	for _, n := range able {
		if err := c.pull(ctx, a, conn, n); err != nil && ctx.Err() != nil {
			return err
		} else if err != nil {
			failed, last = append(failed, n.Name), err
			a.hint("%s: %v", n.Name, err)
		}
	}
	switch {
	case len(able) == 0:
		return bus.Errorf(bus.CodeNoWorker, "no node has room for %s", c.Model).WithHint("myco swarm tells what they have; myco pull %s --node NODE pulls all the same", c.Model)
	case len(failed) > 0:
		return bus.AsError(fmt.Errorf("%s is not on %s: %w", c.Model, strings.Join(failed, ", "), last))
	}
	return nil
}

// whyNoPull tells why a node does not pull.
func whyNoPull(n bus.NodeInfo) string {
	switch {
	case !n.State.Live():
		return "is " + string(n.State)
	case n.State == bus.NodeDraining:
		return "is draining"
	case !slices.Contains(n.Types, bus.TypePull):
		return "has no Ollama that answers"
	case n.Owner != nil && n.Owner.Closed:
		return "is " + n.Owner.String()
	}
	return "has little room on its disk"
}

// pull has one node pull the model.
func (c *pullCmd) pull(ctx context.Context, a *app, conn *bus.Conn, n bus.NodeInfo) error {
	a.hint("pulling %s on %s", c.Model, n.Name)
	last := ""
	err := manage(ctx, conn, bus.TypePull, n.ID, bus.PullRequest{Model: c.Model, Insecure: c.Insecure}, func(chunk bus.Chunk) {
		var p bus.PullProgress
		if json.Unmarshal(chunk.Data, &p) != nil {
			return // it is only progress
		}
		if a.json {
			a.object(p)
		} else if now := progress(p); now != last {
			last = now
			a.hint("%s", now)
		}
	})
	if err != nil {
		return err
	}
	if a.json {
		a.object(pullView{Status: "success", Model: c.Model, NodeID: n.ID, Name: n.Name})
		return nil
	}
	a.text(c.Model + " is on " + n.Name + "\n")
	return nil
}

// progress is one line of progress, in steps of 10 %.
func progress(p bus.PullProgress) string {
	if p.Total <= 0 {
		return p.Status
	}
	return fmt.Sprintf("%s: %d %% of %.1f MB", p.Status, p.Completed*10/p.Total*10, float64(p.Total)/1e6)
}

// manage runs a task about models on a node to its end.
func manage(ctx context.Context, conn *bus.Conn, typ string, node bus.NodeID, payload any, piece func(bus.Chunk)) error {
	t, err := bus.NewTask(typ, payload)
	if err != nil {
		return err
	}
	t.Node = node
	_, err = toItsEnd(conn.Submit(ctx, t), piece)
	return err
}

// rmCmd deletes a model.
type rmCmd struct {
	Model string `predictor:"model" arg:"" help:"A model, as myco swarm names it."`
	Node  string `predictor:"node" placeholder:"NODE" help:"On this node alone, by its name or id. Default: on every node that has it."`
}

// rmView is what rm --json prints.
type rmView struct {
	Model string   `json:"model"`
	Nodes []string `json:"nodes"`          // that have deleted it
	Kept  []string `json:"kept,omitempty"` // that have it, and cannot
}

// Run implements the command.
func (c *rmCmd) Run(ctx context.Context, a *app) error {
	conn, status, err := a.dialStatus(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := nodeBehind(status.Nodes, "rm", c.Model); err != nil {
		return err
	}
	able, kept, err := bus.DeleteNodes(status.Nodes, c.Model, c.Node)
	if err != nil {
		return err
	}
	out := rmView{Model: c.Model, Nodes: []string{}}
	for _, n := range able {
		if err := manage(ctx, conn, bus.TypeDelete, n.ID, bus.DeleteRequest{Model: c.Model}, func(bus.Chunk) {}); err != nil {
			return bus.AsError(fmt.Errorf("delete %s on %s: %w", c.Model, n.Name, err))
		}
		out.Nodes = append(out.Nodes, n.Name)
		if !a.json {
			a.text(c.Model + " is deleted on " + n.Name + "\n")
		}
	}
	for _, n := range kept {
		out.Kept = append(out.Kept, n.Name)
		a.hint("%s keeps it: it is not in an Ollama there, or mycod is too old", n.Name)
	}
	if a.json {
		a.object(out)
	}
	return nil
}
