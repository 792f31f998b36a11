package engine

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"

	"github.com/tmaxmax/go-sse"

	"github.com/mycoswarm/mycoswarm/bus"
)

// OpenAI is a client of one server with OpenAI's interface. Make it with NewOpenAI.
//
// API: https://platform.openai.com/docs/api-reference/chat
type OpenAI struct{ c *client }

// NewOpenAI returns a client of the server at base, which does not end in /v1. It
// connects to nothing.
func NewOpenAI(base *url.URL) *OpenAI { return &OpenAI{newClient(KindOpenAI, base)} }

// Kind returns KindOpenAI.
func (o *OpenAI) Kind() string { return KindOpenAI }

// URL returns the server's address.
func (o *OpenAI) URL() string { return o.c.base.Redacted() }

type openAIModels struct {
	Data []struct {
		ID string
		// MaxModelLen is vLLM's context length in tokens, Meta is what llama-server tells.
		MaxModelLen int `json:"max_model_len"`
		Meta        struct {
			NCtx      int   `json:"n_ctx"`
			NCtxTrain int   `json:"n_ctx_train"`
			Size      int64 `json:"size"`
		}
	}
}

// Models lists the models of the server. They count as loaded: these servers load
// their models at start, or do not tell.
func (o *OpenAI) Models(ctx context.Context) ([]bus.ModelInfo, error) {
	var list openAIModels
	if err := o.c.get(ctx, "/v1/models", &list); err != nil {
		return nil, err
	}
	var out []bus.ModelInfo
	for _, m := range list.Data {
		info := bus.ModelInfo{Name: m.ID, Loaded: true, SizeBytes: m.Meta.Size, Engine: KindOpenAI}
		for _, n := range []int{m.MaxModelLen, m.Meta.NCtx, m.Meta.NCtxTrain} {
			if n > 0 {
				info.ContextLength = n
				break
			}
		}
		out = append(out, info)
	}
	return out, nil
}

type openAIRequest struct {
	Model         string        `json:"model"`
	Messages      []bus.Message `json:"messages"`
	Stream        bool          `json:"stream"`
	StreamOptions streamOptions `json:"stream_options"`
	Temperature   *float64      `json:"temperature,omitempty"`
	Seed          *int64        `json:"seed,omitempty"`
	Stop          []string      `json:"stop,omitempty"`
	MaxTokens     int           `json:"max_tokens,omitempty"`
}

type streamOptions struct {
	IncludeUsage bool `json:"include_usage"`
}

type openAIEvent struct {
	Choices []struct {
		Delta struct {
			Content          string
			Reasoning        string `json:"reasoning"`
			ReasoningContent string `json:"reasoning_content"`
		}
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

// Generate implements Engine over /v1/chat/completions. The request's Threads are
// the server's own affair.
func (o *OpenAI) Generate(ctx context.Context, model string, req bus.InferenceRequest, emit func(bus.InferenceChunk) error) (bus.InferenceResult, error) {
	a := newAnswer(KindOpenAI, model, emit)
	resp, err := o.c.do(ctx, http.MethodPost, "/v1/chat/completions", openAIRequest{
		Model: model, Messages: req.Conversation(), Stream: true, StreamOptions: streamOptions{IncludeUsage: true},
		Temperature: req.Temperature, Seed: req.Seed, Stop: req.Stop, MaxTokens: req.MaxTokens,
	})
	if err != nil {
		return bus.InferenceResult{}, modelMissing(err, o.c, model, "myco swarm")
	}
	defer resp.Body.Close()
	return o.read(ctx, resp.Body, a)
}

// read takes an answer from the events of a stream.
func (o *OpenAI) read(ctx context.Context, body io.Reader, a *answer) (bus.InferenceResult, error) {
	reason := ""
	for ev, err := range sse.Read(body, &sse.ReadConfig{MaxEventSize: maxLine}) {
		if err != nil {
			return bus.InferenceResult{}, o.c.ended(ctx, err, "")
		}
		if ev.Data == endMarker {
			return a.done(reason), nil
		}
		on, err := o.event(a, ev.Data, &reason)
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
func (o *OpenAI) event(a *answer, data string, reason *string) (bool, error) {
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
		thinking := c.Delta.Reasoning + c.Delta.ReasoningContent
		if !a.add(bus.InferenceChunk{Text: c.Delta.Content, Thinking: thinking}) {
			return false, a.emitErr
		}
	}
	return true, nil
}
