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
	{"POST /ui/chat/document", forLocal, openAIDialect.handle((*Gateway).chatDocument)},
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
	// Searches is that it may have the web searched for its answer. Of models behind OpenAI's interface nobody tells whether they call tools.
	Searches bool `json:"searches,omitempty"`
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
	search := g.serves(searchTool)
	for _, m := range g.models("") {
		if answers[bus.CanonicalModel(m.Name)] {
			calls := m.Can&bus.Tools != 0 || m.Engine == "openai"
			out.Models = append(out.Models, chatModel{Name: m.Name, Demo: m.Demo, Sees: m.Can&bus.Sees != 0, Searches: search && calls})
		}
	}
	if best, _, ok := bus.ChooseModel(able, status.DefaultModel); ok {
		out.Choice = best.Name
	}
	g.write(w, http.StatusOK, out)
}

// chatDocument makes text of a document for the page, which sends that with each question, as the model gets to read it: the
// document itself is sent once, and its text is kept with the conversation.
func (g *Gateway) chatDocument(w http.ResponseWriter, r *http.Request) error {
	f, err := openAIDialect.readFields(r)
	if err != nil {
		return err
	}
	var in openAIFile
	f.takeAll(field{"filename", &in.Name}, field{"file_data", &in.Data})
	switch {
	case f.err != nil:
		return f.err
	case in.Data.err != nil:
		return misfit("file_data", "%w", in.Data.err)
	case len(in.Data.image) == 0:
		return misfit("file_data", "want a file, in base64")
	}
	text, err := (&documents{g: g, r: r, alone: true}).text(document{in.Name, in.Data.media, in.Data.image})
	if err != nil {
		return notRead("", err)
	}
	g.write(w, http.StatusOK, map[string]string{"text": text})
	return nil
}
