package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mycoswarm/mycoswarm/bus"
)

// bench asks the same of nodes, again and again.
type bench struct {
	submit    func(context.Context, bus.Task) iter.Seq2[bus.Chunk, error]
	now       func() time.Time
	lasts     time.Duration // of one row
	model     string
	prompt    string
	maxTokens int

	asked atomic.Int64
}

// benchRow is what came of asking one node, or all, for a while.
type benchRow struct {
	NodeID bus.NodeID `json:"node_id,omitempty"` // empty where any could answer
	Name   string     `json:"name"`
	// Parallel is how many questions were asked at a time.
	Parallel int `json:"parallel"`
	// Answers are those that came to their end.
	Answers int `json:"answers"`
	// TTFTMS is the median of the times from a question to its first token; where More is set, it was longer
	// than that: the time was over before.
	TTFTMS float64 `json:"ttft_ms"`
	More   bool    `json:"more,omitempty"`
	// TokensPerSecond are those of all answers together.
	TokensPerSecond float64 `json:"tokens_per_second"`
	// By is how many tokens each node made, by its name, where any could answer.
	By map[string]int `json:"tokens_by_node,omitempty"`
	// Error tells why there are no figures.
	Error string `json:"error,omitempty"`
}

// benchView is what bench --json prints.
type benchView struct {
	Model   string     `json:"model"`
	Seconds float64    `json:"seconds"` // of each row
	Rows    []benchRow `json:"rows"`
}

// all measures what p names: each node with one question at a time, each with several, and then the swarm.
func (b *bench) all(ctx context.Context, p benchPlan, tell func(string, ...any)) (benchView, error) {
	v := benchView{Model: p.model, Seconds: b.lasts.Seconds()}
	loads := slices.Compact([]int{1, p.parallel})
	rows := len(loads) * len(p.nodes)
	nodes := slices.Concat(p.nodes, p.others)
	if len(nodes) > 1 { // else the swarm is that node
		rows++
	}
	tell("%s: %s of %v each; what others ask goes first", p.model, plural(rows, "row"), b.lasts)
	var failed []error
	for i, n := range nodes { // what loads the model now does not do it while it is measured
		tell("[%s loads the model, if it must]", n.Name)
		_, err := b.ask(ctx, n.ID, 1, func(bus.Chunk) {})
		switch {
		case ctx.Err() != nil:
			return v, context.Cause(ctx)
		case err != nil && i < len(p.nodes): // its rows tell
			failed = append(failed, err)
		}
	}
	if len(failed) == len(p.nodes) {
		return v, failed[0]
	}
	measure := func(n bus.NodeInfo, parallel int) error {
		row, err := b.load(ctx, n.ID, parallel, nodes)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if row.Name = n.Name; err != nil {
			row.Error = oneLine(bus.AsError(err).Message)
		}
		v.Rows = append(v.Rows, row)
		tell("[%d of %d: %s]", len(v.Rows), rows, row)
		return nil
	}
	for _, parallel := range loads {
		for _, n := range p.nodes {
			if err := measure(n, parallel); err != nil {
				return v, err
			}
		}
	}
	if len(nodes) == 1 {
		return v, nil
	}
	return v, measure(bus.NodeInfo{Name: "swarm"}, p.parallel)
}

// load has parallel questions under way at a node, or at any where node is empty, until the time is over.
func (b *bench) load(ctx context.Context, node bus.NodeID, parallel int, names []bus.NodeInfo) (benchRow, error) {
	began := b.now()
	within, cancel := context.WithTimeout(ctx, b.lasts)
	defer cancel()
	t := gathered{by: map[bus.NodeID]int{}}
	g, within := errgroup.WithContext(within)
	for range parallel {
		g.Go(func() error {
			for {
				if err := b.count(within, node, &t); within.Err() != nil {
					return nil //nolint:nilerr // the time is over, or another has failed
				} else if err != nil {
					return err
				}
			}
		})
	}
	err := g.Wait()
	row := benchRow{NodeID: node, Parallel: parallel, Answers: t.answers}
	tokens := 0
	for id, n := range t.by {
		tokens += n
		if node == "" {
			row.by(nameOf(names, id), n)
		}
	}
	if tokens > 0 { // who fails at once takes no time
		row.TokensPerSecond = math.Round(100*float64(tokens)/b.now().Sub(began).Seconds()) / 100
	}
	row.TTFTMS, row.More = medianFirst(t.firsts)
	return row, err
}

// by notes that a node has made so many of the tokens.
func (r *benchRow) by(name string, tokens int) {
	if r.By == nil {
		r.By = map[string]int{}
	}
	r.By[name] += tokens
}

// gathered is what has come of questions so far.
type gathered struct {
	mu      sync.Mutex
	answers int // that are whole
	firsts  []first
	by      map[bus.NodeID]int // tokens
}

// count asks one question, and adds what comes to t as it comes.
func (b *bench) count(ctx context.Context, node bus.NodeID, t *gathered) error {
	asked, told := b.now(), 0
	add := func(by bus.NodeID, tokens int) {
		if tokens <= 0 {
			return
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.by[by] += tokens; told == 0 {
			t.firsts = append(t.firsts, first{took: b.now().Sub(asked)})
		}
		told += tokens
	}
	m, err := b.ask(ctx, node, b.maxTokens, func(c bus.Chunk) { add(c.Node, pieces(c)) })
	if err == nil {
		add(m.by, m.tokens-told) // of engines that send several tokens in a piece
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case err == nil:
		t.answers++
	case ctx.Err() != nil && told == 0:
		t.firsts = append(t.firsts, first{took: b.now().Sub(asked), more: true})
	}
	return err
}

// first is how long a first token took; more tells that it had not come by then.
type first struct {
	took time.Duration
	more bool
}

// medianFirst is the median in milliseconds. What had not come when the time was over counts with what it took so far.
func medianFirst(firsts []first) (ms float64, more bool) {
	if len(firsts) == 0 {
		return 0, false
	}
	slices.SortFunc(firsts, func(a, b first) int { return cmp.Compare(a.took, b.took) })
	m := firsts[len(firsts)/2]
	return millis(m.took), m.more
}

// made is what an answer was.
type made struct {
	by     bus.NodeID
	tokens int
}

// ask asks one question, and calls each for each piece of the answer.
func (b *bench) ask(ctx context.Context, node bus.NodeID, maxTokens int, each func(bus.Chunk)) (m made, err error) {
	// Where the beginnings differ no engine has read any of it before.
	req := bus.InferenceRequest{Prompt: fmt.Sprintf("(%d) %s", b.asked.Add(1), b.prompt), MaxTokens: maxTokens}
	t, err := bus.NewTask(bus.TypeInference, req)
	if err != nil {
		return m, err
	}
	t.Model, t.Node, t.Priority, t.Part = b.model, node, benchLow, true
	end, err := toItsEnd(b.submit(ctx, t), each)
	if err != nil {
		return m, err
	}
	r, err := bus.Result[bus.InferenceResult](end)
	return made{end.NodeID, r.OutputTokens}, err
}

// pieces is how many pieces of an engine c has, which sends most tokens one by one.
func pieces(c bus.Chunk) int {
	var piece bus.InferenceChunk
	if json.Unmarshal(c.Data, &piece) != nil || piece.Empty() {
		return 0
	}
	return len(piece.Parts())
}
