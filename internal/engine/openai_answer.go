package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/tmaxmax/go-sse"

	"github.com/mycoswarm/mycoswarm/bus"
)

type openAIEvent struct {
	Choices []struct {
		Delta struct {
			Content          string
			Reasoning        string           `json:"reasoning"`
			ReasoningContent string           `json:"reasoning_content"`
			ToolCalls        []openAIToolCall `json:"tool_calls"`
		}
		Text         string // of a completion
		FinishReason string `json:"finish_reason"`
	}
	Usage struct {
		PromptTokens     int `json:"prompt_tokens"`
		CompletionTokens int `json:"completion_tokens"`
	}
	Error json.RawMessage
}

// endMarker is the data of the last event of a stream.
const endMarker = "[DONE]"

// maxCalls is how many calls of tools an answer may have.
const maxCalls = 128

// toolCalls gathers calls that come in pieces.
type toolCalls struct {
	calls []openAIToolCall
	size  int // bytes
}

// add takes pieces in, and reports whether there is room for them.
func (t *toolCalls) add(pieces []openAIToolCall) bool {
	for _, p := range pieces {
		if p.Index < 0 || p.Index >= maxCalls {
			return false
		}
		for len(t.calls) <= p.Index {
			t.calls = append(t.calls, openAIToolCall{})
		}
		c := &t.calls[p.Index]
		c.ID += p.ID
		c.Function.Name += p.Function.Name
		c.Function.Arguments += p.Function.Arguments
		if t.size += len(p.ID) + len(p.Function.Name) + len(p.Function.Arguments); t.size > maxAnswer {
			return false
		}
	}
	return true
}

// whole returns the calls that were gathered.
func (t *toolCalls) whole() (out []bus.ToolCall, err error) {
	for i, c := range t.calls {
		args := c.Function.Arguments
		if args == "" {
			args = "{}"
		}
		if c.Function.Name == "" || args[0] != '{' || !json.Valid([]byte(args)) {
			return nil, fmt.Errorf("the call of a tool %q has arguments that are no JSON object", c.Function.Name)
		}
		out = append(out, bus.ToolCall{ID: c.ID, Index: i, Name: c.Function.Name, Arguments: json.RawMessage(args)})
	}
	return out, nil
}

// Generate implements Engine over /v1/chat/completions or, where a text is to be continued,
// /v1/completions. The request's Threads, KeepAlive, Truncate and Shift, and options of how a model is
// loaded, are the server's own affair.
func (o *OpenAI) Generate(ctx context.Context, model string, req bus.InferenceRequest, emit func(bus.InferenceChunk) error) (bus.InferenceResult, error) {
	a := newAnswer(KindOpenAI, model, emit)
	if req.Load { // such servers have loaded their models
		return a.loaded(req, reasonStop), nil
	}
	path, body, err := openAIBody(model, req)
	if err != nil {
		return bus.InferenceResult{}, err
	}
	resp, err := o.c.do(ctx, http.MethodPost, path, body)
	if err != nil {
		return bus.InferenceResult{}, modelMissing(err, o.c, model, "myco swarm")
	}
	res, err := o.read(ctx, resp.Body, a)
	leave(resp.Body, err == nil)
	return res, err
}

// end hands out the calls of tools, which are whole now, and returns the result.
func (o *OpenAI) end(a *answer, calls toolCalls, reason string) (bus.InferenceResult, error) {
	whole, err := calls.whole()
	if err != nil && reason == reasonLength { // the last one was cut off
		whole, err = nil, nil
	}
	if err != nil {
		return bus.InferenceResult{}, o.c.garbled(err)
	}
	if !a.add(bus.InferenceChunk{ToolCalls: whole}) {
		if a.emitErr != nil {
			return bus.InferenceResult{}, a.emitErr
		}
		reason = reasonLength
	}
	return a.done(reason), nil
}

// read takes an answer from the events of a stream.
func (o *OpenAI) read(ctx context.Context, body io.Reader, a *answer) (bus.InferenceResult, error) {
	reason, calls := "", toolCalls{}
	for ev, err := range sse.Read(body, &sse.ReadConfig{MaxEventSize: maxLine}) {
		if err != nil {
			return bus.InferenceResult{}, o.c.ended(ctx, err, "")
		}
		if ev.Data == endMarker {
			return o.end(a, calls, reason)
		}
		on, err := o.event(a, ev.Data, &reason, &calls)
		if err != nil {
			return bus.InferenceResult{}, err
		}
		if !on {
			return a.done(reasonLength), nil
		}
	}
	return bus.InferenceResult{}, o.c.ended(ctx, nil, "no "+endMarker)
}

// event adds one event to the answer, and reports whether it goes on.
func (o *OpenAI) event(a *answer, data string, reason *string, calls *toolCalls) (bool, error) {
	var e openAIEvent
	if err := json.Unmarshal([]byte(data), &e); err != nil {
		return false, o.c.garbled(err)
	}
	if len(e.Error) > 0 && string(e.Error) != "null" {
		msg, _ := errorText([]byte(data))
		return false, o.c.broken(msg)
	}
	if e.Usage.CompletionTokens > 0 {
		a.result.PromptTokens, a.result.OutputTokens = e.Usage.PromptTokens, e.Usage.CompletionTokens
	}
	for _, c := range e.Choices {
		if c.FinishReason != "" {
			*reason = c.FinishReason
		}
		if !calls.add(c.Delta.ToolCalls) {
			return false, o.c.garbled(fmt.Errorf("more than %d calls of tools, or longer than %d bytes", maxCalls, maxAnswer))
		}
		thinking := c.Delta.Reasoning + c.Delta.ReasoningContent
		if !a.add(bus.InferenceChunk{Text: c.Delta.Content + c.Text, Thinking: thinking}) {
			return false, a.emitErr
		}
	}
	return true, nil
}
