package engine

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/tmaxmax/go-sse"

	"github.com/mycoswarm/mycoswarm/bus"
)

type openAIEvent struct {
	Choices []struct {
		// Delta is a piece of a chat. Some servers say Message, and where an answer comes at once all do.
		Delta        *openAIPiece
		Message      *openAIPiece
		Text         string // of a completion
		FinishReason string `json:"finish_reason"`
		Logprobs     json.RawMessage
	}
	Usage struct {
		PromptTokens     int             `json:"prompt_tokens"`
		CompletionTokens int             `json:"completion_tokens"`
		Details          json.RawMessage `json:"prompt_tokens_details"`
	}
	// Timings are those of llama-server.
	Timings json.RawMessage
	Error   json.RawMessage
}

// cached is how much of the prompt the server had read before, as most tell it, or as an older llama-server does.
func (e *openAIEvent) cached() int {
	var details struct {
		Cached int `json:"cached_tokens"`
	}
	var timings struct {
		Cached int `json:"cache_n"`
	}
	_, _ = json.Unmarshal(e.Usage.Details, &details), json.Unmarshal(e.Timings, &timings) // what is something else does not tell
	return min(max(details.Cached, timings.Cached), e.Usage.PromptTokens)
}

type openAIPiece struct {
	Content string
	// Reasoning and ReasoningContent are two names of one thing; vLLM sends both.
	Reasoning        string          `json:"reasoning"`
	ReasoningContent string          `json:"reasoning_content"`
	ToolCalls        []openAICallBit `json:"tool_calls"`
}

// endMarker is the data of the last event of a stream.
const endMarker = "[DONE]"

// Generate implements Engine over /v1/chat/completions or, where a text is to be continued,
// /v1/completions. The request's Threads, KeepAlive, Truncate and Shift, and options of how a model is
// loaded, are the server's own affair.
func (o *OpenAI) Generate(ctx context.Context, model string, req bus.InferenceRequest, emit func(bus.InferenceChunk) error) (bus.InferenceResult, error) {
	if req.Load { // such servers load their models by themselves
		return newAnswer(KindOpenAI, model, req, emit).loaded(req.KeepAlive, reasonStop), nil
	}
	return forgetting(req, func(req bus.InferenceRequest, taken func()) (bus.InferenceResult, error) {
		path, body, err := openAIBody(model, req)
		if err != nil {
			return bus.InferenceResult{}, err
		}
		a := newAnswer(KindOpenAI, model, req, emit)
		// Not with the head: LM Studio's streams begin before it looks at the prompt.
		a.begins = taken
		resp, err := o.c.do(ctx, http.MethodPost, path, asks{body, req.JSONSize()}) //nolint:bodyclose // leave does
		if refusesTemplate(err) && leaveTemplate(body, req) {
			resp, err = o.c.do(ctx, http.MethodPost, path, asks{body, req.JSONSize()}) //nolint:bodyclose // leave does
		}
		if err != nil {
			return bus.InferenceResult{}, modelMissing(err, o.c, model, "myco swarm")
		}
		res, err := o.read(ctx, resp.Body, a)
		leave(resp.Body, err == nil)
		return res, err
	})
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

// read takes an answer from a stream, or from the object that a server sends which does not stream.
func (o *OpenAI) read(ctx context.Context, body io.Reader, a *answer) (bus.InferenceResult, error) {
	return a.finish(o.events(ctx, a.paced(ctx, body), a))
}

// events takes an answer from the events of a stream.
func (o *OpenAI) events(ctx context.Context, body io.Reader, a *answer) (bus.InferenceResult, error) {
	reason, calls, before := "", toolCalls{}, a.size
	in := bufio.NewReader(body)
	if atOnce(in) {
		return o.readAtOnce(ctx, in, a)
	}
	fault := &errorField{in: in}
	// Some servers leave out the empty line after the last event.
	events := io.MultiReader(fault, strings.NewReader("\n\n"))
	for ev, err := range sse.Read(events, &sse.ReadConfig{MaxEventSize: maxLine}) {
		if err != nil {
			return bus.InferenceResult{}, o.c.ended(ctx, err, "")
		}
		if strings.TrimSpace(ev.Data) == endMarker {
			switch {
			case reason == "" && fault.says != "":
				return bus.InferenceResult{}, o.c.broken(fault.says)
			case reason == "" && a.size == before && len(calls.calls) == 0: // it failed, and does not say how
				return bus.InferenceResult{}, o.c.broken("no finish_reason, and no word before " + endMarker)
			}
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
	if reason != "" && ctx.Err() == nil { // it has said that it ends
		return o.end(a, calls, reason)
	}
	return bus.InferenceResult{}, o.c.ended(ctx, nil, "no finish_reason nor "+endMarker)
}

// errorField is a stream of events in which the last field named "error" is noted. Versions of llama-server
// name so what others call data, and end the stream as if all were well; parsers leave out such a field.
type errorField struct {
	in   io.Reader
	line []byte // how the present line begins
	says string
}

// maxFault is how much of such a field is kept, in bytes.
const maxFault = maxErrorBody

// Read implements io.Reader.
func (f *errorField) Read(p []byte) (int, error) {
	n, err := f.in.Read(p)
	for rest := p[:n]; len(rest) > 0; {
		line, after, ended := bytes.Cut(rest, []byte{'\n'})
		f.line = append(f.line, line[:min(len(line), maxFault-len(f.line))]...)
		if rest = after; !ended {
			break
		}
		if says, is := bytes.CutPrefix(f.line, []byte("error:")); is {
			f.says = string(bytes.TrimSpace(says))
		}
		f.line = f.line[:0]
	}
	return n, err
}

// atOnce reports whether what comes is an object, not a stream of events.
func atOnce(in *bufio.Reader) bool {
	for n := 1; ; n++ {
		b, err := in.Peek(n)
		if err != nil {
			return false
		}
		switch b[n-1] {
		case ' ', '\t', '\r', '\n':
			continue
		}
		return b[n-1] == '{'
	}
}

func (o *OpenAI) readAtOnce(ctx context.Context, in io.Reader, a *answer) (bus.InferenceResult, error) {
	data, err := io.ReadAll(io.LimitReader(in, maxLine+1))
	switch {
	case err != nil:
		return bus.InferenceResult{}, o.c.ended(ctx, err, "")
	case len(data) > maxLine:
		return bus.InferenceResult{}, o.c.ended(ctx, bufio.ErrTooLong, "")
	}
	reason, calls := "", toolCalls{}
	on, err := o.event(a, string(data), &reason, &calls)
	switch {
	case err != nil:
		return bus.InferenceResult{}, err
	case !on:
		return a.done(reasonLength), nil
	case reason == "":
		return bus.InferenceResult{}, o.c.garbled(errors.New("no finish_reason"))
	}
	return o.end(a, calls, reason)
}

// event adds one event to the answer, and reports whether it goes on.
func (o *OpenAI) event(a *answer, data string, reason *string, calls *toolCalls) (bool, error) {
	var e openAIEvent
	if err := bus.Unmarshal([]byte(data), &e); err != nil {
		return false, o.c.garbled(err)
	}
	if len(e.Error) > 0 && string(e.Error) != "null" {
		msg, kind := errorText([]byte(data))
		if a.result.TTFT == 0 && tooLong(msg, kind) { // LM Studio's streams begin before it looks at the prompt
			return false, o.c.tooLarge(msg)
		}
		return false, o.c.broken(msg)
	}
	if e.Usage.CompletionTokens > 0 {
		a.result.PromptTokens, a.result.OutputTokens, a.result.CachedTokens = e.Usage.PromptTokens, e.Usage.CompletionTokens, e.cached()
	}
	for _, c := range e.Choices {
		switch c.FinishReason {
		case "":
		case "abort", "error": // so vLLM and SGLang end what they give up, as when they are stopped
			return false, o.c.broken("its finish_reason is " + c.FinishReason)
		default:
			*reason = c.FinishReason
		}
		p := cmp.Or(c.Delta, c.Message, &openAIPiece{})
		if !calls.add(p.ToolCalls) {
			return false, o.c.garbled(fmt.Errorf("more than %d calls of tools, or longer than %d bytes", maxCalls, maxAnswer))
		}
		if len(p.ToolCalls) > 0 { // they are handed out when they are whole, which may be minutes from now
			a.begin()
			if a.emitErr = a.emit(bus.InferenceChunk{}); a.emitErr != nil {
				return false, a.emitErr
			}
		}
		odds, err := a.openAIOdds(c.Logprobs)
		if err != nil {
			return false, o.c.garbled(err)
		}
		if !a.add(bus.InferenceChunk{Text: p.Content + c.Text, Thinking: cmp.Or(p.Reasoning, p.ReasoningContent), Logprobs: odds}) {
			return false, a.emitErr
		}
	}
	return true, nil
}
