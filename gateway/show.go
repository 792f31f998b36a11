package gateway

import (
	"cmp"
	"encoding/json"
	"net/http"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// showLimit is how long a node may take to tell of a model.
const showLimit = 10 * time.Second

// ollamaShow tells of a model: all that an Ollama that has it does, or what nodes tell each other of it.
func (g *Gateway) ollamaShow(w http.ResponseWriter, r *http.Request) error {
	f, err := ollamaDialect.readFields(r)
	if err != nil {
		return err
	}
	verbose := false
	f.take("verbose", &verbose)
	name, err := takeName(f)
	if err != nil {
		return err
	}
	m, err := g.model(name)
	if err != nil {
		return err
	}
	if show, ok := g.shown(w, r, bus.ShowRequest{Model: m.Name, Verbose: verbose}); ok {
		g.write(w, http.StatusOK, show)
		return nil
	}
	if err := r.Context().Err(); err != nil {
		return err
	}
	family := cmp.Or(m.Family, "unknown")
	info := map[string]any{"general.architecture": family, "general.basename": m.Name}
	if m.ContextLength > 0 {
		info[family+".context_length"] = m.ContextLength
	}
	can := m.Can
	if can == 0 {
		can = bus.Answers
	}
	g.write(w, http.StatusOK, map[string]any{
		"details": detailsOf(m), "model_info": info, "capabilities": can.Names(), "modified_at": orTime(m.ModifiedAt, unknownTime),
		"modelfile": "", "parameters": "", "template": "",
	})
	return nil
}

// shown asks a node whose Ollama has the model. ok is false where there is none, or it does not tell.
func (g *Gateway) shown(w http.ResponseWriter, r *http.Request, req bus.ShowRequest) (show map[string]json.RawMessage, ok bool) {
	node, ok := bus.ShowNode(g.cfg.Swarm.Nodes(), req.Model, g.cfg.Swarm.Identity().NodeID)
	if !ok {
		return nil, false
	}
	task, err := taskOf(bus.TypeShow, req)
	if err != nil {
		return nil, false
	}
	task.Node, task.Timeout = node.ID, showLimit
	info, err := g.runTask(r, task, func(bus.Chunk) error { return nil })
	var reply bus.ShowReply
	if err == nil {
		reply, err = bus.Result[bus.ShowReply](info)
	}
	if err == nil {
		err = json.Unmarshal(reply.Show, &show)
	}
	if err != nil || len(show) == 0 {
		g.cfg.Logger.Info("a node does not tell of a model", "node", node.ID, "model", req.Model, "err", err)
		return nil, false
	}
	answered(w, node.ID, false)
	return show, true
}
