package gateway

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
)

// follower hands on the pieces of an answer. A node that takes over from one that was lost goes on, or
// begins anew: as long as it repeats what the client has heard, that is left out.
type follower struct {
	out pieces
	// note tells the client what is no part of the answer; nil where it cannot be told.
	note func(text string) error
	// restarts is set where a client wants an answer in other words rather than none.
	restarts      bool
	attempt, next int
	// told is what the client has heard, behind what of it this attempt has yet to repeat.
	told   spoken
	behind bus.InferenceChunk
}

// spoken is what was said, to which more is added.
type spoken struct {
	text, thinking strings.Builder
	calls          []bus.ToolCall
	odds           []bus.Logprob
}

func (s *spoken) add(c bus.InferenceChunk) {
	s.text.WriteString(c.Text)
	s.thinking.WriteString(c.Thinking)
	s.calls = append(s.calls, c.ToolCalls...)
	s.odds = append(s.odds, c.Logprobs...)
}

func (s *spoken) all() bus.InferenceChunk {
	return bus.InferenceChunk{Text: s.text.String(), Thinking: s.thinking.String(), ToolCalls: slices.Clip(s.calls), Logprobs: slices.Clip(s.odds)}
}

var errDiffers = bus.Errorf(bus.CodeUnavailable, "the node that answered was lost, and the next one answers otherwise").
	WithHint("ask again, or with the header %s: %s", headerOnLoss, lossRestart)

// chunk takes one chunk of the task's output.
func (f *follower) chunk(c bus.Chunk) error {
	if f.out == nil || c.Attempt < f.attempt {
		return nil
	}
	if c.Attempt > f.attempt {
		f.attempt, f.next = c.Attempt, 0
		f.behind = f.told.all()
	}
	if c.Seq != f.next { // the client has it, or reads so slowly that pieces are gone: the result has them
		return nil
	}
	f.next++
	if c.Continues != nil && f.note != nil {
		return f.note(fmt.Sprintf("node %s was lost, %s goes on", c.Continues.Lost, c.Node))
	}
	piece, err := bus.Piece[bus.InferenceChunk](c)
	if err != nil {
		return bus.Errorf(bus.CodeInternal, "read a piece of the answer: %w", err)
	}
	said, whole := f.said(), piece
	if !f.repeats(&piece) {
		return f.restart(c.Node, bus.InferenceChunk{
			Text: said.Text + whole.Text, Thinking: said.Thinking + whole.Thinking, ToolCalls: append(said.ToolCalls, whole.ToolCalls...),
			Logprobs: append(said.Logprobs, whole.Logprobs...),
		})
	}
	return f.hand(c.Node, piece)
}

// hand gives the client a piece.
func (f *follower) hand(node bus.NodeID, piece bus.InferenceChunk) error {
	if piece.Empty() && !piece.Restarted {
		return nil
	}
	f.told.add(piece)
	for _, part := range piece.Parts() {
		if err := f.out(node, part); err != nil {
			return err
		}
	}
	return nil
}

// restart has the answer begin anew with what is said by now, where the client wants that.
func (f *follower) restart(node bus.NodeID, said bus.InferenceChunk) error {
	if !f.restarts {
		return errDiffers
	}
	f.told, f.behind = spoken{}, bus.InferenceChunk{}
	said.Restarted = true
	if f.note != nil {
		if err := f.note(fmt.Sprintf("the answer begins anew on node %s: what was said before is void", node)); err != nil {
			return err
		}
	}
	return f.hand(node, said)
}

// end hands on what of the result has not come in pieces: pieces may be lost, a result is not.
func (f *follower) end(node bus.NodeID, res bus.InferenceResult) error {
	if f.out == nil {
		return nil
	}
	f.behind = f.told.all()
	whole := bus.InferenceChunk{Text: res.Text, Thinking: res.Thinking, ToolCalls: res.ToolCalls, Logprobs: res.Logprobs, Demo: res.Demo}
	rest := whole
	if !f.repeats(&rest) || !f.behind.Empty() {
		return f.restart(node, whole)
	}
	return f.hand(node, rest)
}

// said is what the present attempt has said so far: as much of told as is not behind.
func (f *follower) said() bus.InferenceChunk {
	told := f.told.all()
	n, odds := len(told.ToolCalls)-len(f.behind.ToolCalls), len(told.Logprobs)-len(f.behind.Logprobs)
	return bus.InferenceChunk{
		Text: strings.TrimSuffix(told.Text, f.behind.Text), Thinking: strings.TrimSuffix(told.Thinking, f.behind.Thinking),
		ToolCalls: told.ToolCalls[:n:n], Logprobs: told.Logprobs[:odds:odds],
	}
}

// repeats takes out of p what the client has heard, and reports whether it is the same.
func (f *follower) repeats(p *bus.InferenceChunk) bool {
	for _, t := range []struct{ now, before *string }{{&p.Text, &f.behind.Text}, {&p.Thinking, &f.behind.Thinking}} {
		n := min(len(*t.now), len(*t.before))
		if (*t.now)[:n] != (*t.before)[:n] {
			return false
		}
		if *t.now, *t.before = (*t.now)[n:], (*t.before)[n:]; n > 0 {
			p.Cuts = cutsAfter(p.Cuts, n)
		}
	}
	for len(p.ToolCalls) > 0 && len(f.behind.ToolCalls) > 0 {
		now, before := p.ToolCalls[0], f.behind.ToolCalls[0]
		if now.Name != before.Name || string(now.Arguments) != string(before.Arguments) {
			return false
		}
		p.ToolCalls, f.behind.ToolCalls = p.ToolCalls[1:], f.behind.ToolCalls[1:]
	}
	for len(p.Logprobs) > 0 && len(f.behind.Logprobs) > 0 { // another machine computes a little otherwise
		if p.Logprobs[0].Token != f.behind.Logprobs[0].Token {
			return false
		}
		p.Logprobs, f.behind.Logprobs = p.Logprobs[1:], f.behind.Logprobs[1:]
	}
	return true
}

// cutsAfter are those of cuts that lie behind the first n bytes, of what remains without these.
func cutsAfter(cuts []int, n int) (out []int) {
	for _, c := range cuts {
		if c > n {
			out = append(out, c-n)
		}
	}
	return out
}
