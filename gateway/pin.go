package gateway

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
)

// pin returns the node that must do what a request asks for: the one that its header X-Myco-Node names, as myco ask --node does.
// It is empty where any may.
func (g *Gateway) pin(r *http.Request) (bus.NodeID, error) {
	want := r.Header.Get(headerNode)
	if want == "" {
		return "", nil
	}
	nodes := g.cfg.Swarm.Nodes()
	n, err := bus.NodeNamed(nodes, want)
	if errors.Is(err, &bus.Error{Code: bus.CodeNotFound}) {
		err = bus.Errorf(bus.CodeNotFound, "%s: this swarm has no node %q, but %s", headerNode, want, names(nodes)).
			WithHint("name one of these, or leave the header out")
	}
	return n.ID, err
}

// openNode words an error about a node that a request has named for who named it in its header.
func openNode(r *http.Request, err error) error {
	if e := bus.AsError(err); e != nil && r.Header.Get(headerNode) != "" && strings.Contains(e.Hint, "without --node") {
		return e.WithHint("%s", strings.Replace(e.Hint, "without --node", "without the header "+headerNode, 1))
	}
	return err
}

// heard are the nodes that are there, or of these the one that a task is pinned to.
func (g *Gateway) heard(pin bus.NodeID) []bus.NodeInfo {
	return slices.DeleteFunc(slices.Clone(g.cfg.Swarm.Nodes()), func(n bus.NodeInfo) bool { return !n.State.Live() || pin != "" && n.ID != pin })
}
