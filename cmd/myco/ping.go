package main

import (
	"context"
	"fmt"

	"github.com/mycoswarm/mycoswarm/bus"
)

// pingCmd measures the way to nodes.
type pingCmd struct {
	Node string `predictor:"node" arg:"" optional:"" help:"A node, by its name, its id or the beginning of its id; without one, all."`
}

// pingView is one element of what ping --json prints.
type pingView struct {
	NodeID bus.NodeID `json:"node_id"`
	Name   string     `json:"name"`
	RTTMS  float64    `json:"rtt_ms"`
	Error  string     `json:"error,omitempty"`
}

// Run implements the command. A node asked for by name that does not answer is CodeTimeout.
func (c *pingCmd) Run(ctx context.Context, a *app) error {
	conn, err := a.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	who, err := pinTo(ctx, conn, c.Node)
	if err != nil {
		return err
	}
	replies, err := conn.Probe(ctx, string(who))
	if err != nil {
		return err
	}
	if who != "" && len(replies) == 1 && replies[0].Error != "" {
		return bus.Errorf(bus.CodeTimeout, "%s (%s) does not answer: %s", replies[0].Name, replies[0].NodeID, replies[0].Error).
			WithHint("myco swarm")
	}
	a.pings(replies)
	return nil
}

// pingsGive is the order of what people can do without.
var pingsGive = giving{
	shorten: map[string]int{"NAME": 12, "ROUND TRIP": 20},
	drop:    []string{"ID"},
}

func (a *app) pings(replies []bus.ProbeReply) {
	views := make([]pingView, len(replies))
	rows := make([][]string, len(replies))
	for i, r := range replies {
		views[i] = pingView(r)
		took := fmt.Sprintf("%.2f ms", r.RTTMS)
		if r.Error != "" {
			took = badStyle.Render(r.Error)
		}
		rows[i] = []string{r.Name, string(r.NodeID), took}
	}
	if a.json {
		a.object(views)
		return
	}
	a.text(pingsGive.fitted(a.width(), []string{"NAME", "ID", "ROUND TRIP"}, rows))
}
