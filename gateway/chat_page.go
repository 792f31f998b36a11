package gateway

import (
	"net/http"

	"github.com/mycoswarm/mycoswarm/bus"
)

// chatRoutes are the page on which people ask. It is the same for everybody, and tells nothing; what it shows comes
// with a key where one is wanted, as for any other program.
var chatRoutes = []route{
	{"GET /ui/chat", forAll, dashboard((*Gateway).chatPage)},
	{"GET /ui/chat/swarm", forLocal, dashboard(ownPages((*Gateway).chatSwarm))},
}

// chatSwarm is what the page knows of the swarm.
type chatSwarm struct {
	Name   string      `json:"name"`
	Models []chatModel `json:"models"`
	// Choice is the model that answers who names none; empty where there is none.
	Choice string `json:"choice,omitempty"`
	// Nodes are the names of the nodes.
	Nodes map[bus.NodeID]string `json:"nodes"`
}

// chatModel is a model that answers.
type chatModel struct {
	Name string `json:"name"`
	Demo bool   `json:"demo,omitempty"`
	Sees bool   `json:"sees,omitempty"` // pictures
}

func (g *Gateway) chatPage(w http.ResponseWriter, _ *http.Request) {
	g.page(w, http.StatusOK, "chat.html", nil)
}

// chatSwarm tells the page whom it can ask.
func (g *Gateway) chatSwarm(w http.ResponseWriter, _ *http.Request) {
	status := g.cfg.Swarm.Status()
	out := chatSwarm{Name: status.Swarm.Name, Models: []chatModel{}, Nodes: map[bus.NodeID]string{}}
	var able []bus.NodeInfo // that take work
	for _, n := range status.Nodes {
		out.Nodes[n.ID] = n.Name
		if n.State.Live() && n.State != bus.NodeDraining {
			able = append(able, n)
		}
	}
	answers := map[string]bool{}
	for _, n := range able {
		for _, m := range n.Models {
			answers[bus.CanonicalModel(m.Name)] = true
		}
	}
	for _, m := range g.models("") {
		if answers[bus.CanonicalModel(m.Name)] {
			out.Models = append(out.Models, chatModel{Name: m.Name, Demo: m.Demo, Sees: m.Can&bus.Sees != 0})
		}
	}
	if best, _, ok := bus.ChooseModel(able, status.DefaultModel); ok {
		out.Choice = best.Name
	}
	g.write(w, http.StatusOK, out)
}
