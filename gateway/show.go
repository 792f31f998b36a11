package gateway

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

const (
	// showLimit is how long nodes may take to tell of a model.
	showLimit = 10 * time.Second
	// showNext is how long one of them is waited for before the next is asked as well: most take milliseconds.
	showNext = 300 * time.Millisecond
)

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
	m, at, err := g.modelAt(name)
	if err != nil {
		return err
	}
	if show, ok := g.shown(w, r, at, bus.ShowRequest{Model: m.Name, Verbose: verbose}); ok {
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

// shown asks nodes whose Ollama has the model, or of these the one at where that is not empty: the next as soon as one does not
// tell, or has said nothing for showNext. The first that tells is the answer, and the others are left. ok is false where none tells.
func (g *Gateway) shown(w http.ResponseWriter, r *http.Request, at bus.NodeID, req bus.ShowRequest) (show map[string]json.RawMessage, ok bool) {
	nodes := bus.ShowNodes(g.cfg.Swarm.Nodes(), req.Model, g.cfg.Swarm.Identity().NodeID)
	nodes = slices.DeleteFunc(nodes, func(n bus.NodeInfo) bool { return at != "" && n.ID != at })
	task, err := bus.NewTask(bus.TypeShow, req)
	if err != nil {
		return nil, false
	}
	task.Timeout, task.User = showLimit, userOf(r)
	ctx, leave := context.WithTimeout(r.Context(), showLimit)
	defer leave()
	next := time.NewTimer(showNext)
	defer next.Stop()
	answers := make(chan showAnswer, len(nodes))
	asked := 0
	ask := func() {
		if asked == len(nodes) {
			return
		}
		t := task
		t.Node = nodes[asked].ID
		asked++
		next.Reset(showNext)
		go func() { // it may outlast the request by what a cancel takes, for which nobody should wait
			info, err := g.cfg.Swarm.Stream(ctx, t, noPieces)
			answers <- showAnswer{t.Node, info, err}
		}()
	}
	ask()
	for failed := 0; failed < len(nodes); {
		select {
		case a := <-answers:
			show, err := g.readShow(r.WithContext(ctx), a)
			if err == nil {
				answered(w, "", a.node, false)
				return show, true
			}
			g.cfg.Logger.Info("a node does not tell of a model", "node", a.node, "model", req.Model, "err", err)
			failed++
			ask()
		case <-next.C:
			ask()
		case <-ctx.Done():
			g.cfg.Logger.Info("no node tells of a model in time", "model", req.Model, "asked", asked, "err", ctx.Err())
			return nil, false
		}
	}
	return nil, false
}

// showAnswer is how a task of bus.TypeShow ended.
type showAnswer struct {
	node bus.NodeID
	info bus.TaskInfo
	err  error
}

// readShow reads what a node tells of a model.
func (g *Gateway) readShow(r *http.Request, a showAnswer) (show map[string]json.RawMessage, err error) {
	if a.err != nil {
		return nil, a.err
	}
	if err := g.whole(r, &a.info, true); err != nil {
		return nil, err
	}
	reply, err := bus.Result[bus.ShowReply](a.info)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(reply.Show, &show); err != nil {
		return nil, fmt.Errorf("read what it tells: %w", err)
	}
	if len(show) == 0 {
		return nil, errors.New("it says nothing")
	}
	return show, nil
}
