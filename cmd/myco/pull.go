package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/mycoswarm/mycoswarm/bus"
)

// pullCmd has a node's Ollama pull a model.
type pullCmd struct {
	Model    string `predictor:"model" arg:"" help:"A model of Ollama's library, such as gemma3:1b."`
	Node     string `predictor:"node" placeholder:"NODE" help:"On which node, by its name or id. Default: where it is already, else the best GPU with room."`
	Insecure bool   `help:"Let it come from a registry without TLS."`
}

// pullView is the last line that pull --json prints; those before are bus.PullProgress.
type pullView struct {
	Status string     `json:"status"`
	Model  string     `json:"model"`
	NodeID bus.NodeID `json:"node_id"`
	Name   string     `json:"name"`
}

// Run implements the command. Interrupting it ends the pull; the next one goes on from there.
func (c *pullCmd) Run(ctx context.Context, a *app) error {
	conn, status, err := a.dialStatus(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	n, err := bus.PullNode(status.Nodes, c.Model, c.Node, status.Node.ID)
	if err != nil {
		return err
	}
	a.hint("pulling %s on %s", c.Model, n.Name)
	last := ""
	err = a.manage(ctx, conn, bus.TypePull, n, bus.PullRequest{Model: c.Model, Insecure: c.Insecure}, func(data json.RawMessage) error {
		var p bus.PullProgress
		if err := json.Unmarshal(data, &p); err != nil {
			return bus.Errorf(bus.CodeInternal, "read the progress: %w", err)
		}
		if a.json {
			a.object(p)
			return nil
		}
		if now := progress(p); now != last {
			last = now
			a.hint("%s", now)
		}
		return nil
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
func (a *app) manage(ctx context.Context, conn *bus.Conn, typ string, n bus.NodeInfo, payload any, piece func(json.RawMessage) error) error {
	data, err := json.Marshal(payload)
	if err != nil {
		return bus.Errorf(bus.CodeInternal, "encode the request: %w", err)
	}
	for chunk, err := range conn.Submit(ctx, bus.Task{Type: typ, Node: n.ID, Payload: data}) {
		if err != nil {
			return err
		}
		if chunk.End == nil {
			if err := piece(chunk.Data); err != nil {
				return err
			}
		}
	}
	return nil
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
	able, kept, err := bus.DeleteNodes(status.Nodes, c.Model, c.Node)
	if err != nil {
		return err
	}
	out := rmView{Model: c.Model, Nodes: []string{}}
	for _, n := range able {
		if err := a.manage(ctx, conn, bus.TypeDelete, n, bus.DeleteRequest{Model: c.Model}, func(json.RawMessage) error { return nil }); err != nil {
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
