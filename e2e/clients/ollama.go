package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ollama/ollama/api"
)

// question is one that the demo model has learnt.
const question = "What is the capital of France?"

// heard gathers the pieces of an answer.
type heard struct {
	Text     string
	Thinking string
	Streamed bool
	Reason   string
	Prompt   int
	Output   int
	Timed    bool
	Context  bool
}

func (h *heard) piece(text, thinking string, done bool, reason string, m api.Metrics) {
	h.Text += text
	h.Thinking += thinking
	h.Streamed = h.Streamed || !done && text != ""
	if done {
		h.Reason, h.Prompt, h.Output, h.Timed = reason, m.PromptEvalCount, m.EvalCount, m.TotalDuration > 0
	}
}

// failure is what a client sees of an error.
func failure(err error) (any, error) {
	var status api.StatusError
	if !errors.As(err, &status) {
		return nil, err
	}
	return map[string]any{"status": status.StatusCode, "says": status.ErrorMessage != ""}, nil
}

func ollamaCalls(base *url.URL, model string) []call {
	c := api.NewClient(base, http.DefaultClient)
	cold := map[string]any{"temperature": 0, "num_thread": 1}
	with := func(more map[string]any) map[string]any {
		out := map[string]any{"temperature": 0, "num_thread": 1}
		for k, v := range more {
			out[k] = v
		}
		return out
	}
	chat := func(stream bool, options map[string]any, change ...func(*api.ChatRequest)) func(context.Context) (any, error) {
		return func(ctx context.Context) (any, error) {
			req := &api.ChatRequest{Model: model, Messages: []api.Message{{Role: "user", Content: question}}, Stream: &stream, Options: options}
			for _, f := range change {
				f(req)
			}
			var h heard
			err := c.Chat(ctx, req, func(r api.ChatResponse) error {
				h.piece(r.Message.Content, r.Message.Thinking, r.Done, r.DoneReason, r.Metrics)
				return nil
			})
			if err != nil {
				return failure(err)
			}
			return h, nil
		}
	}
	generate := func(stream bool, change ...func(*api.GenerateRequest)) func(context.Context) (any, error) {
		return func(ctx context.Context) (any, error) {
			req := &api.GenerateRequest{Model: model, Prompt: question, Stream: &stream, Options: cold}
			for _, f := range change {
				f(req)
			}
			var h heard
			err := c.Generate(ctx, req, func(r api.GenerateResponse) error {
				h.piece(r.Response, r.Thinking, r.Done, r.DoneReason, r.Metrics)
				h.Context = h.Context || len(r.Context) > 0
				return nil
			})
			if err != nil {
				return failure(err)
			}
			return h, nil
		}
	}
	schema := json.RawMessage(`{"type":"object","properties":{"city":{"type":"string","enum":["Paris"]}},"required":["city"]}`)
	return []call{
		{"ollama heartbeat", func(ctx context.Context) (any, error) { return nil, c.Heartbeat(ctx) }},
		{"ollama version", func(ctx context.Context) (any, error) { return c.Version(ctx) }},
		{"ollama list", func(ctx context.Context) (any, error) {
			l, err := c.List(ctx)
			if err != nil {
				return nil, err
			}
			for i := range l.Models {
				l.Models[i].ModifiedAt = time.Time{} // nodes do not tell
			}
			return l, nil
		}},
		{"ollama show", func(ctx context.Context) (any, error) {
			s, err := c.Show(ctx, &api.ShowRequest{Model: model})
			if err != nil {
				return nil, err
			}
			return map[string]any{
				"family": s.Details.Family, "size": s.Details.ParameterSize, "quantization": s.Details.QuantizationLevel,
				"architecture": s.ModelInfo["general.architecture"], "context": s.ModelInfo["llama.context_length"], "can": s.Capabilities,
			}, nil
		}},
		{"ollama show of a model that is missing", func(ctx context.Context) (any, error) {
			_, err := c.Show(ctx, &api.ShowRequest{Model: "missing"})
			return failure(err)
		}},
		{"ollama chat, streamed", chat(true, cold)},
		{"ollama chat, at once", chat(false, cold)},
		{"ollama chat, 3 tokens", chat(true, with(map[string]any{"num_predict": 3}))},
		{"ollama chat, stopped", chat(true, with(map[string]any{"stop": []string{"France"}}))},
		{"ollama chat, seed, top_p, top_k", chat(true, with(map[string]any{"seed": 7, "top_p": 0.5, "top_k": 1}))},
		{"ollama chat, keep_alive", chat(true, cold, func(r *api.ChatRequest) { r.KeepAlive = &api.Duration{Duration: 600e9} })},
		{"ollama chat, json", chat(true, with(map[string]any{"num_predict": 40}), func(r *api.ChatRequest) { r.Format = json.RawMessage(`"json"`) })},
		{"ollama chat, schema", chat(true, with(map[string]any{"num_predict": 40}), func(r *api.ChatRequest) { r.Format = schema })},
		{"ollama chat, tools that the model has not", chat(true, cold, func(r *api.ChatRequest) {
			r.Tools = api.Tools{{Type: "function", Function: api.ToolFunction{Name: "f"}}}
		})},
		{"ollama chat, thinking that the model has not", chat(true, cold, func(r *api.ChatRequest) { r.Think = &api.ThinkValue{Value: true} })},
		{"ollama chat, no messages", chat(true, cold, func(r *api.ChatRequest) { r.Messages = nil })},
		{"ollama chat, a model that is missing", chat(true, cold, func(r *api.ChatRequest) { r.Model = "missing" })},
		{"ollama chat, no model", chat(true, cold, func(r *api.ChatRequest) { r.Model = "" })},
		{"ollama generate, streamed", generate(true)},
		{"ollama generate, at once", generate(false)},
		{"ollama generate, raw", generate(true, func(r *api.GenerateRequest) {
			r.Raw, r.Prompt = true, "<|user|>"+question+"<|assistant|>"
		})},
		{"ollama generate, template", generate(true, func(r *api.GenerateRequest) { r.Template = "<|user|>{{ .Prompt }}<|assistant|>" })},
		{"ollama generate, system", generate(true, func(r *api.GenerateRequest) { r.System = "Be brief." })},
		{"ollama generate, suffix that the model has not", generate(true, func(r *api.GenerateRequest) { r.Suffix = "." })},
		{"ollama generate, no prompt", generate(true, func(r *api.GenerateRequest) { r.Prompt = "" })},
		{"ollama generate, a model that is missing", generate(true, func(r *api.GenerateRequest) { r.Model = "missing" })},
		{"ollama embed", func(ctx context.Context) (any, error) {
			r, err := c.Embed(ctx, &api.EmbedRequest{Model: model, Input: []string{"Paris", "Rome"}, Options: cold})
			if err != nil {
				return failure(err)
			}
			return map[string]any{"model": strings.TrimSuffix(r.Model, ":latest"), "vectors": r.Embeddings, "prompt": r.PromptEvalCount, "timed": r.TotalDuration > 0}, nil
		}},
		{"ollama embed, 8 dimensions", func(ctx context.Context) (any, error) {
			r, err := c.Embed(ctx, &api.EmbedRequest{Model: model, Input: "Paris", Dimensions: 8, Options: cold})
			if err != nil {
				return failure(err)
			}
			return r.Embeddings, nil
		}},
		{"ollama embeddings", func(ctx context.Context) (any, error) {
			r, err := c.Embeddings(ctx, &api.EmbeddingRequest{Model: model, Prompt: "Paris", Options: cold})
			if err != nil {
				return failure(err)
			}
			return r.Embedding, nil
		}},
		{"ollama embed, a model that is missing", func(ctx context.Context) (any, error) {
			_, err := c.Embed(ctx, &api.EmbedRequest{Model: "missing", Input: "x"})
			return failure(err)
		}},
		{"ollama ps", func(ctx context.Context) (any, error) {
			l, err := c.ListRunning(ctx)
			if err != nil {
				return nil, err
			}
			var names []string
			for _, m := range l.Models {
				names = append(names, m.Name+" "+m.Digest)
			}
			slices.Sort(names)
			return names, nil
		}},
	}
}
