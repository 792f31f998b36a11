package engine

import (
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mycoswarm/mycoswarm/bus"
)

// answer gathers one answer while it is made.
type answer struct {
	emit    func(bus.InferenceChunk) error
	emitErr error
	begins  func()              // called before the first piece, and nil from then on; may be nil
	held    *bus.InferenceChunk // what is told next
	gathers bool                // pieces are held until the body is read again, see paced
	started time.Time
	text    strings.Builder
	thought strings.Builder
	size    int  // bytes as JSON, thinking and calls of tools included
	odds    int  // bytes of result.Logprobs as JSON, about
	asks    bool // for words: not only that the model is loaded
	tells   bool // probabilities
	top     int  // how many others, of each token
	result  bus.InferenceResult
}

func newAnswer(kind, model string, req bus.InferenceRequest, emit func(bus.InferenceChunk) error) *answer {
	return &answer{
		emit: emit, started: time.Now(), asks: req.Prompt != "" || len(req.Messages) > 0, tells: req.Logprobs, top: req.TopLogprobs,
		result: bus.InferenceResult{Model: model, Engine: kind, Demo: kind == KindDemo},
	}
}

// follows makes a the rest of an answer: its result is the whole.
func (a *answer) follows(said bus.Said) *answer {
	a.text.WriteString(said.Text)
	a.size = jsonSize(said.Text)
	a.told(said.Logprobs)
	return a
}

// add hands out what an engine sent at once, in pieces that fit into a message. It
// reports whether the answer goes on: not if emit failed, nor at the length limit.
func (a *answer) add(c bus.InferenceChunk) bool {
	for !c.Empty() {
		var piece bus.InferenceChunk
		piece.Logprobs, c.Logprobs = cutLogprobs(c.Logprobs)
		switch {
		case c.Thinking != "":
			piece.Thinking, c.Thinking = cut(c.Thinking)
		case c.Text != "":
			piece.Text, c.Text = cut(c.Text)
		case len(c.ToolCalls) > 0: // a call of a tool is whole
			piece.ToolCalls, c.ToolCalls = c.ToolCalls[:1], c.ToolCalls[1:]
		}
		if !a.hand(piece) {
			return false
		}
	}
	return true
}

// begin notes that the engine has taken the request.
func (a *answer) begin() {
	if a.begins != nil {
		a.begins()
		a.begins = nil
	}
}

func (a *answer) hand(c bus.InferenceChunk) bool {
	a.begin()
	if a.result.TTFT == 0 {
		a.result.TTFT = time.Since(a.started)
	}
	for _, call := range c.ToolCalls {
		if a.size += len(call.Arguments) + jsonSize(call.Name) + jsonSize(call.ID); a.size >= maxAnswer {
			a.result.DoneReason = reasonLength
			return false
		}
	}
	a.result.ToolCalls = append(a.result.ToolCalls, c.ToolCalls...)
	a.text.WriteString(c.Text)
	a.thought.WriteString(c.Thinking)
	a.size += jsonSize(c.Text) + jsonSize(c.Thinking)
	a.told(c.Logprobs)
	c.Demo = a.result.Demo
	if a.gather(c) != nil {
		return false
	}
	if a.size >= maxAnswer || a.odds >= maxLogprobs {
		a.result.DoneReason = reasonLength
		return false
	}
	return true
}

// cut takes a piece of up to maxPiece bytes off s, between two characters.
func cut(s string) (piece, rest string) {
	if len(s) <= maxPiece {
		return s, ""
	}
	n := maxPiece
	for n > maxPiece-utf8.UTFMax && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n], s[n:]
}

// jsonSize is the length of s in JSON, without quotes, where some characters take six bytes.
func jsonSize(s string) int {
	n := 0
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1: // \ufffd
			n += 6
		case r == '"' || r == '\\' || r == '\b' || r == '\f' || r == '\n' || r == '\r' || r == '\t':
			n += 2
		case r < ' ', r == '<', r == '>', r == '&', r == '\u2028', r == '\u2029':
			n += 6
		default:
			n += size
		}
		i += size
	}
	return n
}

// loaded returns the result of a request that asks for no answer.
func (a *answer) loaded(keepAlive json.RawMessage, reason string) bus.InferenceResult {
	res := a.done(reason)
	res.DoneReason = reasonLoad
	if unloads(keepAlive) {
		res.DoneReason = reasonUnload
	}
	return res
}

// unloads reports whether a KeepAlive is no time at all: 0, "0s", "0h0m".
func unloads(keepAlive json.RawMessage) bool {
	var seconds *float64
	if json.Unmarshal(keepAlive, &seconds) == nil {
		return seconds != nil && *seconds == 0
	}
	var text string
	_ = json.Unmarshal(keepAlive, &text) // where it is neither it is empty, and no time
	d, err := time.ParseDuration(text)
	return err == nil && d == 0
}

// done returns the result of a finished answer.
func (a *answer) done(reason string) bus.InferenceResult {
	a.result.DoneReason = reason
	if reason != reasonLength {
		a.result.DoneReason = reasonStop
	}
	a.result.Text, a.result.Thinking = a.text.String(), a.thought.String()
	a.result.Duration = time.Since(a.started)
	return a.result
}
