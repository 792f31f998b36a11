package engine

import (
	"context"
	"io"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

const (
	// pieceEvery is how long the body of an answer is left alone after it was read. Each piece that is told is
	// encoded, kept, put in order and written several times on its way; what an engine says faster than a person
	// sees goes together. An answer of up to 250 tokens/s is told token by token.
	pieceEvery = 4 * time.Millisecond
	// behind is how many bytes, read at once, show that more has come than was expected: it is read at once.
	behind = 2 << 10
)

// paced reads the body of an answer: the first piece as it comes, and later ones together that come within
// pieceEvery. Who reads from it takes apart all that was read before it reads on: that is told then.
type paced struct {
	ctx    context.Context
	body   io.Reader
	answer *answer
	free   time.Time // when it is read again
}

// paced returns a reader of the body of an answer, which gathers what a is told between two reads.
func (a *answer) paced(ctx context.Context, body io.Reader) *paced {
	a.gathers = true
	return &paced{ctx: ctx, body: body, answer: a}
}

// Read implements io.Reader. It returns the error of who is told, too.
func (p *paced) Read(b []byte) (int, error) {
	if err := p.answer.tell(); err != nil {
		return 0, err
	}
	if wait := time.Until(p.free); wait > 0 {
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-p.ctx.Done():
			t.Stop() // the body tells why
		}
	}
	n, err := p.body.Read(b)
	if p.free = (time.Time{}); n < behind {
		p.free = time.Now().Add(pieceEvery)
	}
	return n, err
}

// gather hands on c, or where the body is paced keeps it until that is read again.
func (a *answer) gather(c bus.InferenceChunk) error {
	if a.held != nil && !together(*a.held, c) {
		if err := a.tell(); err != nil {
			return err
		}
	}
	if a.held == nil {
		a.held = &c
	} else {
		a.held.Cuts = append(a.held.Cuts, len(a.held.Text)+len(a.held.Thinking))
		a.held.Text += c.Text
		a.held.Thinking += c.Thinking
	}
	if a.gathers {
		return nil
	}
	return a.tell()
}

// together reports whether b may follow a in one piece: text goes with text, and thinking with thinking.
func together(a, b bus.InferenceChunk) bool {
	return len(a.ToolCalls)+len(b.ToolCalls)+len(a.Logprobs)+len(b.Logprobs) == 0 && (a.Thinking == "") == (b.Thinking == "") &&
		len(a.Text)+len(a.Thinking)+len(b.Text)+len(b.Thinking) <= maxPiece
}

// finish hands on the last of an answer, of which res or err is the end.
func (a *answer) finish(res bus.InferenceResult, err error) (bus.InferenceResult, error) {
	if lost := a.tell(); lost != nil {
		return bus.InferenceResult{}, lost
	}
	return res, err
}

// tell hands on what is held.
func (a *answer) tell() error {
	c := a.held
	if a.held = nil; c != nil && a.emitErr == nil {
		a.emitErr = a.emit(*c)
	}
	return a.emitErr
}
