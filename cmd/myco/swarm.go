package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/mycoswarm/mycoswarm/bus"
)

// swarmCmd shows the table of nodes.
type swarmCmd struct {
	Watch bool `short:"w" help:"Show it again on every change, until Ctrl-C."`
}

// swarmView is what swarm --json prints.
type swarmView struct {
	Swarm bus.SwarmInfo `json:"swarm"`
	Nodes []nodeView    `json:"nodes"`
	// Revoked tells why this node is alone; nil where it is a member.
	Revoked *bus.Revocation `json:"revoked,omitempty"`
	// RefusedBy names members that refuse this node, while it has no route to any.
	RefusedBy []string `json:"refused_by,omitempty"`
	// Mixed tells which versions the nodes run; nil where it is one.
	Mixed *bus.Mix `json:"mixed_versions,omitempty"`
}

type nodeView struct {
	ID           bus.NodeID    `json:"id"`
	Name         string        `json:"name"`
	State        bus.NodeState `json:"state"`
	Tier         string        `json:"tier"`
	GPUTier      string        `json:"gpu_tier"`
	Capabilities []string      `json:"capabilities"`
	Models       []modelView   `json:"models"`
	Slots        int           `json:"slots"`
	Busy         int           `json:"busy"`
	QueueHost    bool          `json:"queue_host"`
	Version      string        `json:"version"`
	// Owner is what the machine's owner leaves to the swarm; nil where that is all of it.
	Owner *bus.OwnerUse `json:"owner,omitempty"`
	// FreeMemory and FreeVRAM are bytes, coarsely; 0 where the node does not tell.
	FreeMemory int64 `json:"free_memory,omitempty"`
	FreeVRAM   int64 `json:"free_vram,omitempty"`
}

type modelView struct {
	Name   string `json:"name"`
	Loaded bool   `json:"loaded"`
	// Speed is what was measured of it on that node.
	Speed *bus.ModelSpeed `json:"speed,omitempty"`
}

// Run implements the command.
func (c *swarmCmd) Run(ctx context.Context, a *app) error {
	conn, err := a.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	for nodes, err := range conn.WatchNodes(ctx) {
		if err != nil {
			return err
		}
		status, err := conn.Status(ctx)
		if err != nil {
			return err
		}
		if c.Watch && a.interactive && !a.json {
			io.WriteString(a.view.out, ansi.EraseEntireDisplay+ansi.CursorHomePosition) //nolint:errcheck // what comes fails as well
		}
		a.swarm(status, nodes)
		if err := a.unwritten(); err != nil || !c.Watch {
			return err // nobody sees the next one
		}
	}
	return nil
}

// swarm prints the nodes, and which swarms are near.
func (a *app) swarm(status bus.Status, nodes []bus.NodeInfo) {
	v := viewSwarm(status.Swarm, nodes)
	v.Revoked, v.RefusedBy, v.Mixed = status.Revoked, status.RefusedBy, status.Mixed
	if a.json {
		a.object(v)
		return
	}
	switch {
	case v.Revoked != nil:
		a.text(a.next(putOut(v)) + "\n")
	case len(v.RefusedBy) > 0:
		a.text(a.next(fmt.Sprintf("This node is alone: %s will not have it, so it was put out while it was away, or they have not heard of it yet.\n"+
			"Who is in the swarm, run there: myco nodes. For a swarm of its own, run here: myco leave\n", strings.Join(v.RefusedBy, " and "))))
	}
	if v.Mixed != nil {
		a.text(v.Mixed.String() + "\n")
	}
	a.text(swarmTable(v, status.Node.ID, a.width()))
	for _, n := range status.Nearby {
		a.hint("nearby: %s, another swarm. To join it: myco invite there, then here: myco join TOKEN", n)
	}
}

// putOut says why a node is alone.
func putOut(v swarmView) string {
	by := v.Revoked.ByName
	if by == "" {
		by = "another member"
	}
	return fmt.Sprintf("This node was put out of the swarm %s by %s on %s, and is alone. For a swarm of its own: myco leave",
		v.Swarm.Name, by, day(v.Revoked.At))
}

// viewSwarm picks what --json promises.
func viewSwarm(s bus.SwarmInfo, nodes []bus.NodeInfo) swarmView {
	v := swarmView{Swarm: s, Nodes: make([]nodeView, len(nodes))}
	for i, n := range nodes {
		w := nodeView{
			ID: n.ID, Name: n.Name, State: n.State, Tier: n.Tier, GPUTier: n.GPUTier,
			Capabilities: append([]string{}, n.Capabilities...), Models: make([]modelView, len(n.Models)),
			Slots: n.Slots, Busy: n.Busy, QueueHost: n.QueueHost, Version: n.Version,
			Owner: n.Owner, FreeMemory: n.FreeMemory, FreeVRAM: n.FreeVRAM,
		}
		if w.State == bus.NodeSuspect {
			w.State = bus.NodeReady // late for a moment; scripts know three states
		}
		for j, m := range n.Models {
			w.Models[j] = modelView{Name: m.Name, Loaded: m.Loaded, Speed: m.Speed}
		}
		v.Nodes[i] = w
	}
	return v
}

// swarmGives is the order of what people can do without: the title has the queue host, and names will do.
var swarmGives = giving{
	shorten: map[string]int{"MODELS": 16},
	drop:    []string{"QUEUE", "VERSION", "TIER", "GPU", "ID", "MODELS", "BUSY"},
}

// swarmTable renders the swarm for people, on a terminal of that width, or 0 for any; here is the node asked.
func swarmTable(v swarmView, here bus.NodeID, width int) string {
	host := string(v.Swarm.QueueHost)
	rows := make([][]string, len(v.Nodes))
	for i, n := range v.Nodes {
		name := n.Name
		if n.ID == v.Swarm.QueueHost {
			host = n.Name
		}
		if n.ID == here {
			name += dimStyle.Render(" (here)")
		}
		rows[i] = []string{
			name, string(n.ID), state(string(n.State)), n.Tier, n.GPUTier, modelList(n.Models),
			fmt.Sprintf("%d/%d", n.Busy, n.Slots), mark(n.QueueHost), n.Version,
		}
	}
	if host == "" {
		host = "none yet"
	}
	title := fmt.Sprintf("swarm %s (%s), queue host %s, term %d", v.Swarm.Name, v.Swarm.ID, host, v.Swarm.Term)
	if width > 0 && lipgloss.Width(title) > width {
		title = fmt.Sprintf("swarm %s (%s), queue host %s, term %d", v.Swarm.Name, ansi.Truncate(v.Swarm.ID, 13, cutMark), host, v.Swarm.Term)
	}
	return fit(lipgloss.NewStyle().Bold(true).Render(title), width) + "\n" +
		swarmGives.fitted(width, []string{"NAME", "ID", "STATE", "TIER", "GPU", "MODELS", "BUSY", "QUEUE", "VERSION"}, rows) + owners(v.Nodes)
}

// owners tells, a line each, which nodes are not all the swarm's.
func owners(nodes []nodeView) string {
	var b strings.Builder
	for _, n := range nodes {
		if o := n.Owner.String(); o != "" && n.State.Live() {
			fmt.Fprintf(&b, "%s is %s\n", n.Name, o)
		}
	}
	return b.String()
}

func mark(host bool) string {
	if host {
		return "host"
	}
	return ""
}

// modelList names the models of a node, loaded ones with a star; three at most.
func modelList(models []modelView) string {
	const most = 3
	var names []string
	for i, m := range models {
		if i == most {
			names = append(names, fmt.Sprintf("+%d", len(models)-most))
			break
		}
		name := m.Name
		if m.Loaded {
			name += "*"
		}
		names = append(names, name+perSecond(m.Speed))
	}
	if len(names) == 0 {
		return "-"
	}
	return strings.Join(names, " ")
}

// perSecond is the measured speed of a model's answers, in tokens/s, for people.
func perSecond(s *bus.ModelSpeed) string {
	if s == nil || s.Writing <= 0 {
		return ""
	}
	return fmt.Sprintf(" (%g/s)", s.Writing)
}

// pinTo returns the id of the node that a person means, see bus.NodeNamed, and "" where none is asked for.
func pinTo(ctx context.Context, conn *bus.Conn, want string) (bus.NodeID, error) {
	if want == "" {
		return "", nil
	}
	nodes, err := conn.Nodes(ctx)
	if err != nil {
		return "", err
	}
	n, err := bus.NodeNamed(nodes, want)
	return n.ID, err
}
