//go:build e2e && linux

package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/e2e/figures"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// unequal is a node with an engine of some speed.
type unequal struct {
	name   string
	word   time.Duration // from word to word; the first takes as long as five
	models []string
	node   *harness.Node
}

func (p *unequal) has(model string) bool { return slices.Contains(p.models, model) }

// asking is one question of a load, and what became of it.
type asking struct {
	marker, model string
	asked, first  time.Time
	err           error
}

// chooseHold is the hold that the daemons are started with.
const chooseHold = 500 * time.Millisecond

// Three nodes of unequal speed with mixed models, and the same load twice: placed by turns over the
// nodes that have the model, and placed by the swarm.
func TestChoosingBeatsRoundRobin(t *testing.T) {
	var ledger engine.Ledger
	crew := []*unequal{
		{name: "fast", word: 10 * time.Millisecond, models: []string{"small:latest", "big:latest"}},
		{name: "middling", word: 40 * time.Millisecond, models: []string{"small:latest", "big:latest", "other:latest"}},
		{name: "slow", word: 200 * time.Millisecond, models: []string{"small:latest", "other:latest"}},
	}
	s := harness.New(t, programs)
	for i, p := range crew {
		words := make([]string, 10)
		for w := range words {
			words[w] = "word "
		}
		eng, err := engine.Start(t.Context(), s.EngineAddr(), engine.Config{
			Name: p.name, Models: p.models, Ledger: &ledger,
			Script: func(engine.Request) engine.Script {
				return engine.Script{Words: words, Before: 5 * p.word, Between: p.word}
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = eng.Stop() })
		flags := []string{"--engine", eng.URL(), "--slots", "1", "--hold", chooseHold.String()}
		if i == 0 {
			p.node = s.Found(t, p.name, flags...)
		} else {
			p.node = s.Join(t, crew[0].node, p.name, flags...)
		}
	}
	for _, p := range crew {
		for _, m := range p.models {
			awaitModel(t, crew[0].node, p.name, m, true)
		}
	}
	c := crew[2].node.Dial(t)
	var turns, chosen, idle []time.Duration
	for range figures.Repetitions(1) {
		pinned := load(t.Context(), c, 36, inTurn(crew))
		turns = append(turns, meanToFirst(t, pinned))
		free := load(t.Context(), c, 36, func(string) bus.NodeID { return "" })
		chosen = append(chosen, meanToFirst(t, free))
		idle = append(idle, longestIdle(crew, free, ledger.ByMarker()))
	}
	ratio := float64(figures.Row{Samples: turns}.Median()) / float64(figures.Row{Samples: chosen}.Median())
	t.Logf("by turns %v, chosen %v: %.1f times better; idle beside a task that waited for %v", turns, chosen, ratio, idle)
	if ratio < 2 {
		t.Errorf("the mean time to the first token is %.2f times better than by turns, want 2 times", ratio)
	}
	record(t, crew[0].node, "choosing", "The right node for each question",
		fmt.Sprintf("Three nodes of one slot with engines paced by the test: a word every 10, 40 and 200 ms, the first after five. "+
			"36 questions of ten words, one every 100 ms, of three models that two or three of the nodes have. By turns: each is pinned "+
			"to the next node that has its model. Chosen: the swarm places them, with a hold of %v. A sample is the mean of one run. "+
			"The last row is the longest time in a run in which a node was idle while a question that it could answer waited; "+
			"the hold and 200 ms are promised.", chooseHold),
		figures.Row{What: "time to the first token, by turns", Samples: turns},
		figures.Row{What: "time to the first token, chosen (at most half)", Promised: figures.Row{Samples: turns}.Median() / 2, Samples: chosen},
		figures.Row{What: "a node idle beside a question that waits", Promised: chooseHold + 200*time.Millisecond, Samples: idle})

	id := bus.NewTaskID()
	for _, err := range c.Submit(t.Context(), question(id, "why", "big:latest", "")) {
		if err != nil {
			t.Fatal(err)
		}
	}
	why, err := crew[1].node.Dial(t).Why(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if len(why.Bids) != 3 || !why.Bids[0].Chosen || why.Bids[0].Name != "fast" || why.Bids[2].Name != "slow" || why.Bids[2].Not == "" {
		t.Errorf("why the fast node got a question to a model that the slow one has not: %+v", why)
	}
}

// inTurn returns the next node that has a model.
func inTurn(crew []*unequal) func(model string) bus.NodeID {
	next := map[string]int{}
	return func(model string) bus.NodeID {
		var have []*unequal
		for _, p := range crew {
			if p.has(model) {
				have = append(have, p)
			}
		}
		next[model]++
		return have[next[model]%len(have)].node.Info.NodeID
	}
}

func question(id bus.TaskID, marker, model string, at bus.NodeID) bus.Task {
	payload, _ := json.Marshal(bus.InferenceRequest{Prompt: engine.Prompt(marker)}) // cannot fail
	return bus.Task{ID: id, Type: bus.TypeInference, Model: model, Node: at, Payload: payload}
}

// load asks n questions, one every 100 ms, and returns them when all are answered.
func load(ctx context.Context, c *bus.Conn, n int, at func(model string) bus.NodeID) []*asking {
	models := []string{"small:latest", "big:latest", "small:latest", "other:latest", "small:latest", "big:latest"}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	var all sync.WaitGroup
	var out []*asking
	for i := range n {
		<-tick.C
		id := bus.NewTaskID()
		r := &asking{marker: string(id), model: models[i%len(models)], asked: time.Now()}
		out = append(out, r)
		task := question(id, r.marker, r.model, at(r.model))
		all.Go(func() {
			for ch, err := range c.Submit(ctx, task) {
				if r.first.IsZero() && len(ch.Data) > 0 {
					r.first = time.Now()
				}
				r.err = err
			}
		})
	}
	all.Wait()
	return out
}

func meanToFirst(t *testing.T, rs []*asking) time.Duration {
	t.Helper()
	var sum time.Duration
	for _, r := range rs {
		if r.err != nil || r.first.IsZero() {
			t.Fatalf("question %s to %s: no answer, error %v", r.marker, r.model, r.err)
		}
		sum += r.first.Sub(r.asked)
	}
	return sum / time.Duration(len(rs))
}

// longestIdle returns the longest time that a node had nothing to do, by its engine's ledger, while a
// question that it could answer had begun nowhere.
func longestIdle(crew []*unequal, rs []*asking, ran map[string][]engine.Run) (most time.Duration) {
	for _, p := range crew {
		var busy []engine.Run
		for _, r := range rs {
			for _, run := range ran[r.marker] {
				if run.Engine == p.name {
					busy = append(busy, run)
				}
			}
		}
		slices.SortFunc(busy, func(a, b engine.Run) int { return a.Start.Compare(b.Start) })
		for _, r := range rs {
			if !p.has(r.model) {
				continue
			}
			from, until := r.asked, ran[r.marker][0].Start
			for _, run := range busy { // what is left of the wait between its runs
				if run.Start.After(from) {
					most = max(most, earlier(run.Start, until).Sub(from))
				}
				if run.End.After(from) {
					from = run.End
				}
			}
			most = max(most, until.Sub(from))
		}
	}
	return most
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
