package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"

	"github.com/mycoswarm/mycoswarm/bus"
)

const (
	// defaultContext is how many tokens of context are counted on where nobody tells: what Ollama gives a model
	// that it loads, unless told otherwise, whatever the model could.
	defaultContext = 4096
	// tokenBytes is how many bytes a token has, at the least of what models make of the languages of people.
	tokenBytes = 3
	// promptTokens is what is said beside the text.
	promptTokens = 200
	// leastPart is how much text, in bytes, a model must be able to read at once.
	leastPart = 200
	// partsAtOnce is how many parts are asked for at once: more than a household has slots.
	partsAtOnce = 16
)

// partwise is what has a text read in parts, by whichever nodes have the model.
type partwise struct {
	*holdups
	model   string
	node    bus.NodeID
	context int  // tokens
	thinks  bool // the model can think before it answers
	system  string
	// told is what tells that a part is done; nil for hint.
	told func(line string)
}

// prepare reads the documents, and finds out who answers.
func (s *partwise) prepare(ctx context.Context, files []string, node, pages string) (text string, err error) {
	if s.node, err = pinTo(ctx, s.conn, node); err != nil {
		return "", err
	}
	texts, err := s.textsOf(ctx, s.conn, files, bus.FileRequest{Pages: pages})
	if err != nil {
		return "", err
	}
	status, err := s.conn.Status(ctx)
	if err != nil {
		return "", err
	}
	s.context = contextFor(status, s.model, s.node)
	s.thinks = thinks(mayAnswer(status, s.model, s.node, false))
	return strings.Join(texts, "\n\n"), nil
}

// mayAnswer is the model that answers on each node that may: the one that is named, or else the swarm's choice.
func mayAnswer(s bus.Status, model string, node bus.NodeID, remote bool) (on []bus.ModelInfo) {
	may := slices.DeleteFunc(slices.Clone(s.Nodes), func(n bus.NodeInfo) bool {
		return node != "" && n.ID != node || remote && n.ID == s.Node.ID || !n.Takes(s.Node.ID, bus.TypeInference)
	})
	if m, ok := bus.ModelNamed(model, bus.ModelsOf(may, bus.TypeInference)); ok {
		model = m.Name
	} else if model == "" {
		m, _, _ = bus.ChooseModel(may, s.DefaultModel)
		model = m.Name
	}
	for _, n := range may {
		for _, m := range n.Models {
			if bus.SameModel(m.Name, model) {
				on = append(on, m)
			}
		}
	}
	return on
}

// thinks tells whether a model thinks before it answers, on any node.
func thinks(on []bus.ModelInfo) bool {
	return slices.ContainsFunc(on, func(m bus.ModelInfo) bool { return m.Can&bus.Thinks != 0 })
}

// contextFor is how many tokens a question may have, with its answer, whichever node answers it: one that has the
// model, or where none is named the one that the swarm chooses.
func contextFor(s bus.Status, model string, node bus.NodeID) int {
	least := 0
	for _, m := range mayAnswer(s, model, node, false) {
		if has := contextOn(m); least == 0 || has < least {
			least = has
		}
	}
	return max(cmp.Or(least, defaultContext), 2*promptTokens)
}

// contextOn is how many tokens a model on a node reads at once, where it is loaded for the next question if it is
// not. Of one that is not, Ollama tells what it could read.
func contextOn(m bus.ModelInfo) int {
	if !m.Loaded {
		return min(cmp.Or(m.ContextLength, defaultContext), defaultContext)
	}
	return cmp.Or(m.ContextLength, defaultContext)
}

// each does something with each of n parts, side by side, and tells who did it. Each is handed over, which do tells by a call of
// started, before the next one: they are wanted in their order.
func (s *partwise) each(ctx context.Context, n int, do func(ctx context.Context, i int, started func()) (bus.NodeID, error)) error {
	done := 0
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(partsAtOnce)
	names := namesFrom(ctx, s.conn)
	for i := range n {
		over := make(chan struct{})
		started := sync.OnceFunc(func() { close(over) })
		g.Go(func() error {
			defer started()
			by, err := do(ctx, i, started)
			if err != nil || s.quiet || n == 1 {
				return err
			}
			who := nameOf(names(), by)
			s.mu.Lock()
			defer s.mu.Unlock()
			done++
			if line := fmt.Sprintf("[%d of %d: part %d, by %s]", done, n, i+1, who); s.told != nil {
				s.told(line)
			} else {
				s.hint("%s", line)
			}
			return nil
		})
		<-over
	}
	return g.Wait()
}

// answer asks about a part, and says what holds the answer up. maxTokens is how long it may be, 0 for any length.
func (s *partwise) answer(ctx context.Context, question, text string, maxTokens int, l listener) (r bus.InferenceResult, by bus.NodeID, err error) {
	req := s.request(question, text)
	if req.MaxTokens = maxTokens; s.thinks { // there are many parts, and a thought takes the room of the answer
		req.Think = json.RawMessage("false")
	}
	t, err := s.task(req)
	if err != nil {
		return r, "", err
	}
	end, err := s.doneTelling(ctx, t, l)
	if err == nil {
		r, err = bus.Result[bus.InferenceResult](end)
	}
	return r, end.NodeID, err
}

// request is a question about text.
func (s *partwise) request(question, text string) bus.InferenceRequest {
	return bus.InferenceRequest{System: s.system, Prompt: question + "\n\n" + bus.Marked(text)}
}

// task is one for the model.
func (s *partwise) task(req bus.InferenceRequest) (bus.Task, error) {
	t, err := bus.NewTask(bus.TypeInference, req)
	t.Model, t.Node = s.model, s.node
	return t, err
}

// partOf is a part of a text, and what is between it and the next one.
type partOf struct {
	text, joint string
	// open and shut are of a block that is cut before it, or in it: they are no part of the text.
	open, shut string
}

// whole is the part with no block that is cut.
func (p partOf) whole() string { return p.open + p.text + p.shut }

// split cuts text into parts of at most size bytes: between paragraphs where it can, else between lines,
// words, and at last within one.
func split(text string, size int) (parts []string) {
	for _, p := range partsOf(text, size) {
		parts = append(parts, p.text)
	}
	return parts
}

// partsOf is split that also tells what was between the parts: all of it, as the depth of a line of code tells what it does. A
// table or fenced code that fits into a part stays whole; of one that does not, each piece is made one of its own.
func partsOf(text string, size int) (out []partOf) {
	text = strings.TrimSpace(text)
	blocks := blocksOf(text)
	cut := block{} // that the part before ends in
	for at := 0; at < len(text); {
		p := partOf{open: cut.open}
		end := at + len(head(text[at:], size-len(cut.open)-len(cut.shut)))
		for len(blocks) > 0 && blocks[0].to <= end {
			blocks = blocks[1:]
		}
		cut = block{}
		if len(blocks) > 0 && blocks[0].from < end { // the cut is within it
			b, pieces := blocks[0], false
			if b.to-b.from > size {
				end, pieces = b.cut(text, at, at+len(head(text[at:], size-len(p.open)-len(b.shut))), size)
			} else if end = b.from; end <= at {
				end = b.to
			}
			if pieces {
				cut, p.shut = b, b.shut
			}
		}
		p.text = strings.TrimSpace(text[at:end])
		next := len(text) - len(strings.TrimSpace(text[end:]))
		p.joint = text[at+len(p.text) : next]
		out = append(out, p)
		at = next
	}
	return out
}

// head is the beginning of a text, at most size bytes, that ends where it is best cut.
func head(text string, size int) string {
	head := beginning(text, size)
	if len(head) == len(text) {
		return text
	}
	for _, end := range []string{"\n\n", "\n", " ", "。"} { // Chinese and Japanese have no spaces
		if at := strings.LastIndex(head, end); at > size/4 {
			return head[:at+len(end)]
		}
	}
	return head
}

// beginning returns the beginning of s, at most size bytes of whole letters.
func beginning(s string, size int) string {
	if len(s) <= size {
		return s
	}
	for size > 0 && !utf8.RuneStart(s[size]) {
		size--
	}
	return s[:size]
}

// tooLong tells whether a model was asked more than its context holds.
func tooLong(err error) bool { return err != nil && bus.AsError(err).Code == bus.CodeTooLarge }

// withLongerContext tells what helps where a model reads too little at once: other ways, a model that reads more,
// and what its engine says, which knows how to make it read more.
func withLongerContext(err error, ways ...string) error {
	e := bus.AsError(err)
	ways = append(ways, "name a model with a longer context: myco models")
	if e.Hint != "" {
		ways = append(ways, e.Hint)
	}
	return e.WithHint("%s", strings.Join(ways, "; or "))
}

// inKB is a number of bytes as people say it.
func inKB(bytes int) string {
	if bytes < 1000 {
		return fmt.Sprintf("%d bytes", bytes)
	}
	return fmt.Sprintf("%d KB", (bytes+999)/1000)
}
