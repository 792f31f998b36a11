package gateway

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// pullRoutes change which models there are.
var pullRoutes = []route{
	{"POST /api/pull", forManager, ollamaDialect.handle((*Gateway).ollamaPull)},
	{"DELETE /api/delete", forManager, ollamaDialect.handle((*Gateway).ollamaDelete)},
}

// deleteLimit is how long a node may take to delete a model.
const deleteLimit = 2 * time.Minute

// takeName takes the name of a model, which older clients call otherwise.
func takeName(f *fields) (string, error) {
	var model, older string
	f.take("model", &model)
	f.take("name", &older)
	if f.err != nil {
		return "", f.err
	}
	if model = cmp.Or(model, older); model == "" {
		return "", wrong{err: bus.Errorf(bus.CodeInvalid, "model is required")}
	}
	return model, nil
}

// ollamaPull has a node's Ollama pull a model: the one that the header X-Myco-Node calls by name or id,
// or as bus.PullNode chooses.
func (g *Gateway) ollamaPull(w http.ResponseWriter, r *http.Request) error {
	f, err := ollamaDialect.readFields(r)
	if err != nil {
		return err
	}
	req, stream := bus.PullRequest{}, true
	f.take("insecure", &req.Insecure)
	f.take("stream", &stream)
	if req.Model, err = takeName(f); err == nil {
		err = req.Validate()
	}
	if err != nil {
		return err
	}
	on, err := nodeHeader(r)
	if err != nil {
		return err
	}
	node, err := bus.PullNode(g.cfg.Swarm.Nodes(), req.Model, on, g.cfg.Swarm.Identity().NodeID)
	if err != nil {
		return err
	}
	task, err := bus.NewTask(bus.TypePull, req)
	if err != nil {
		return err
	}
	task.Node = node.ID
	answered(w, "", node.ID, false)
	if !stream {
		if _, err := g.runTask(r, task, noPieces); err != nil {
			return err
		}
		g.write(w, http.StatusOK, bus.PullProgress{Status: "success"})
		return nil
	}
	out := newNDJSON(w, "")
	defer out.end()
	_, err = g.runTask(r, task, func(c bus.Chunk) error {
		var p bus.PullProgress
		if err := json.Unmarshal(c.Data, &p); err != nil {
			return bus.Errorf(bus.CodeInternal, "read a piece of the progress: %w", err)
		}
		out.begin(node.ID, false)
		return out.send(p)
	})
	return g.closes(r, out, err, ollamaDialect.fails, func() error {
		out.begin(node.ID, false)
		return out.send(bus.PullProgress{Status: "success"})
	})
}

// deletion is what became of a model. Ollama says nothing; its clients do not read it.
type deletion struct {
	Status string `json:"status"`
	// Nodes are the names of those that have deleted it, Kept of those that have it and cannot.
	Nodes []string `json:"nodes"`
	Kept  []string `json:"kept,omitempty"`
}

// ollamaDelete removes a model from every node that has it, or from the one that the header X-Myco-Node
// calls. Without a key it is this node alone, as with an Ollama here.
func (g *Gateway) ollamaDelete(w http.ResponseWriter, r *http.Request) error {
	f, err := ollamaDialect.readFields(r)
	if err != nil {
		return err
	}
	model, err := takeName(f)
	if err != nil {
		return err
	}
	on, err := nodeHeader(r)
	if err != nil {
		return err
	}
	status := g.cfg.Swarm.Status()
	able, kept, err := bus.DeleteNodes(status.Nodes, model, on)
	if err != nil {
		return err
	}
	if holderOf(r) == nil {
		elsewhere := func(n bus.NodeInfo) bool { return n.ID != status.Node.ID }
		others := slices.Clone(able)
		if able = slices.DeleteFunc(able, elsewhere); len(able) == 0 {
			return bus.Errorf(bus.CodeForbidden, "without a key, models are deleted on this node alone, and '%s' is on %s", model, names(others)).
				WithHint("send the header Authorization: Bearer KEY, with a key of `myco key create --admin`, or the content of %s", bus.HTTPKeyFile)
		}
		kept = append(kept, slices.DeleteFunc(others, func(n bus.NodeInfo) bool { return !elsewhere(n) })...)
	}
	out := deletion{Status: "success", Nodes: []string{}}
	failed := g.deleteOn(r, model, able, &out)
	for _, n := range kept {
		out.Kept = append(out.Kept, n.Name)
	}
	if failed != nil {
		e := *failed
		if len(out.Nodes) > 0 {
			e.Message += "; it is deleted on " + strings.Join(out.Nodes, ", ")
		}
		return &e
	}
	g.write(w, http.StatusOK, out)
	return nil
}

// deleteOn deletes a model on nodes, all at one time, and returns what failed first, by their order. A
// node that does not have it any more is none that failed, unless none has it.
func (g *Gateway) deleteOn(r *http.Request, model string, nodes []bus.NodeInfo, out *deletion) *bus.Error {
	errs := make([]error, len(nodes))
	var wg sync.WaitGroup
	for i, n := range nodes {
		wg.Go(func() {
			task, err := bus.NewTask(bus.TypeDelete, bus.DeleteRequest{Model: model})
			if err == nil {
				task.Node, task.Timeout = n.ID, deleteLimit
				_, err = g.runTask(r, task, noPieces)
			}
			errs[i] = err
		})
	}
	wg.Wait()
	var failed, missing *bus.Error
	for i, n := range nodes {
		e := bus.AsError(errs[i])
		switch {
		case e == nil:
			out.Nodes = append(out.Nodes, n.Name)
			continue
		case e.Code == bus.CodeNotFound:
			missing = cmp.Or(missing, e)
			continue
		}
		c := *e
		c.Message = n.Name + ": " + c.Message
		failed = cmp.Or(failed, &c)
	}
	if failed == nil && len(out.Nodes) == 0 {
		return missing
	}
	return failed
}

func names(nodes []bus.NodeInfo) string {
	var out []string
	for _, n := range nodes {
		out = append(out, n.Name)
	}
	return strings.Join(out, ", ")
}
