package gateway

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/mycoswarm/mycoswarm/bus"
)

// aimed splits what a client calls a model into its name and, behind an @, that of the node that must run it; see bus.NodeBehind.
func (g *Gateway) aimed(model string) (name, node string) {
	if name, node, ok := bus.NodeBehind(g.cfg.Swarm.Nodes(), model); ok {
		return name, node
	}
	return model, ""
}

// pin returns the node that must do what a request asks for: the one that its header X-Myco-Node names, as myco ask --node does,
// or that is called within it, behind the model or as the node of a task. It is empty where any may.
func (g *Gateway) pin(r *http.Request, within string) (bus.NodeID, error) {
	var at bus.NodeID
	named, err := nodeHeader(r)
	if err != nil {
		return "", err
	}
	for _, by := range []struct {
		name, want string
		code       bus.Code // where nobody is called so: what is in a task is wrong
	}{{headerNode, named, bus.CodeNotFound}, {"node", within, bus.CodeInvalid}} {
		if by.want == "" {
			continue
		}
		nodes := g.cfg.Swarm.Nodes()
		n, err := bus.NodeNamed(nodes, by.want)
		switch {
		case errors.Is(err, &bus.Error{Code: bus.CodeNotFound}):
			return "", bus.Errorf(by.code, "%s: this swarm has no node %q, but %s", by.name, by.want, names(nodes)).WithHint("name one of these, or none")
		case err != nil:
			return "", err
		case at != "" && at != n.ID:
			return "", wrong{err: bus.Errorf(bus.CodeInvalid, "the header %s names another node than the request itself, %s", headerNode, n.Name).
				WithHint("leave one of them out")}
		}
		at = n.ID
	}
	return at, nil
}

// nodeHeader is what the header X-Myco-Node names, empty where it names nothing. Clients send names beyond ASCII as UTF-8, or as
// Latin-1, which most libraries take headers for.
func nodeHeader(r *http.Request) (string, error) {
	if n := len(r.Header.Values(headerNode)); n > 1 {
		return "", wrong{err: bus.Errorf(bus.CodeInvalid, "the request has %d headers %s, and one node can do it", n, headerNode).WithHint("send one")}
	}
	name := r.Header.Get(headerNode)
	if utf8.ValidString(name) {
		return name, nil
	}
	var b strings.Builder
	for _, c := range []byte(name) {
		b.WriteRune(rune(c)) // Latin-1 is the beginning of Unicode
	}
	return b.String(), nil
}

// away tells why a node does not take work for a model that it has, in the words that its tasks have for that, or, be it lost, for any:
// for who has named the node behind the model, or nobody. It is nil where it does.
func away(n bus.NodeInfo, model string) error {
	has := slices.ContainsFunc(slices.Concat(n.Models, n.Embedders), func(m bus.ModelInfo) bool { return bus.SameModel(m.Name, model) })
	switch {
	case !n.State.Live():
		return bus.Errorf(bus.CodeNoWorker, "node %s is not there: it is %s", n.Name, n.State).
			WithHint("leave the node open, %s, or wait until it is back: myco swarm", nothingBehind)
	case n.State != bus.NodeDraining || !has:
		return nil
	case n.Stops:
		return bus.Errorf(bus.CodeNoWorker, "node %s is stopping: it takes no more work", n.Name).WithHint("ask again once it is back, or ask another: myco swarm")
	}
	return bus.Errorf(bus.CodeNoWorker, "node %s is draining: it takes no more work", n.Name).WithHint("myco drain %s --off; or ask another: myco swarm", n.Name)
}

// nothingBehind is how a model is asked for at any node.
const nothingBehind = "without @ and its name behind the model"

// openly tells how a request that names a node would name none.
func openly(r *http.Request) string {
	if r.Header.Get(headerNode) != "" {
		return "without the header " + headerNode
	}
	return nothingBehind
}

// openNode words an error about t, for a node that a request has named, for who has named it there.
func openNode(r *http.Request, t bus.Task, err error) error {
	e := bus.AsError(err)
	if e == nil || t.Model == "" && r.Header.Get(headerNode) == "" || !strings.Contains(e.Hint, "without --node") {
		return err
	}
	return e.WithHint("%s", strings.Replace(e.Hint, "without --node", openly(r), 1))
}

// heard are the nodes that are there, or of these the one that a task is pinned to.
func (g *Gateway) heard(pin bus.NodeID) []bus.NodeInfo {
	return slices.DeleteFunc(slices.Clone(g.cfg.Swarm.Nodes()), func(n bus.NodeInfo) bool { return !n.State.Live() || pin != "" && n.ID != pin })
}
