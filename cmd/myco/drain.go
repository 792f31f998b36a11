package main

import (
	"cmp"
	"context"
	"fmt"

	"github.com/mycoswarm/mycoswarm/bus"
)

// drainCmd takes a node out of work without stopping it.
type drainCmd struct {
	Node   string `predictor:"node" arg:"" optional:"" help:"A node, by its name, its id or the beginning of its id (default: this one)."`
	Off    bool   `help:"Have it take work again."`
	NoWait bool   `name:"no-wait" help:"Do not wait until what runs there has ended."`
}

// drainView is what drain --json prints.
type drainView struct {
	NodeID bus.NodeID    `json:"node_id"`
	Name   string        `json:"name"`
	State  bus.NodeState `json:"state"`
	Busy   int           `json:"busy"`
}

// Run implements the command. Interrupting it leaves the node draining.
func (c *drainCmd) Run(ctx context.Context, a *app) error {
	conn, err := a.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	id, err := pinTo(ctx, conn, c.Node)
	if err != nil {
		return err
	}
	n, err := conn.Drain(ctx, cmp.Or(id, conn.NodeID()), c.Off)
	if err != nil {
		return err
	}
	if !c.Off && !c.NoWait && n.Busy > 0 {
		a.hint("%s takes no more work; waiting for %s to end (Ctrl-C leaves it draining)", n.Name, plural(n.Busy, "task"))
		if n, err = drained(ctx, conn, n); err != nil {
			return err
		}
	}
	a.drain(n, c.Off)
	return nil
}

// drained waits until nothing runs on n.
func drained(ctx context.Context, conn *bus.Conn, n bus.NodeInfo) (bus.NodeInfo, error) {
	for nodes, err := range conn.WatchNodes(ctx) {
		if err != nil {
			return n, err
		}
		for _, now := range nodes {
			switch {
			case now.ID != n.ID:
			case now.State == bus.NodeLost:
				return now, bus.Errorf(bus.CodeUnavailable, "%s was lost while it drained", now.Name).WithHint("myco swarm")
			case now.State == bus.NodeDraining && now.Busy == 0:
				return now, nil
			}
		}
	}
	return n, context.Cause(ctx)
}

func (a *app) drain(n bus.NodeInfo, off bool) {
	switch {
	case a.json:
		a.object(drainView{NodeID: n.ID, Name: n.Name, State: n.State, Busy: n.Busy})
	case off:
		a.text(n.Name + " takes work again\n")
	case n.Busy == 0:
		a.text(n.Name + " is drained: nothing runs there, and it takes no more work\n")
		a.hint("myco drain %s --off has it take work again", n.Name)
	default:
		a.text(fmt.Sprintf("%s takes no more work; %s still there\n", n.Name, plural(n.Busy, "task")))
	}
}
