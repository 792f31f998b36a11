package engine

import (
	"strings"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// answer gathers one answer while it is made.
type answer struct {
	emit    func(bus.InferenceChunk) error
	emitErr error
	started time.Time
	text    strings.Builder
	size    int // bytes, thinking included
	result  bus.InferenceResult
}

func newAnswer(kind, model string, emit func(bus.InferenceChunk) error) *answer {
	return &answer{
		emit: emit, started: time.Now(),
		result: bus.InferenceResult{Model: model, Engine: kind, Demo: kind == KindDemo},
	}
}

// add hands out one piece. It reports whether the answer goes on: not if emit
// failed, nor at the length limit.
func (a *answer) add(c bus.InferenceChunk) bool {
	if c == (bus.InferenceChunk{}) {
		return true
	}
	if a.result.TTFT == 0 {
		a.result.TTFT = time.Since(a.started)
	}
	a.text.WriteString(c.Text)
	a.size += len(c.Text) + len(c.Thinking)
	if a.emitErr = a.emit(c); a.emitErr != nil {
		return false
	}
	if a.size >= maxAnswer {
		a.result.DoneReason = reasonLength
		return false
	}
	return true
}

// done returns the result of a finished answer.
func (a *answer) done(reason string) bus.InferenceResult {
	a.result.DoneReason = reason
	if reason != reasonLength {
		a.result.DoneReason = reasonStop
	}
	a.result.Text = a.text.String()
	a.result.Duration = time.Since(a.started)
	return a.result
}
