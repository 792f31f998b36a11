package main

import (
	"context"
	"errors"
	"net/url"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"
)

// declined is what a client sees of an error.
func declined(err error) (any, error) {
	var e *anthropic.Error
	if !errors.As(err, &e) {
		return nil, err
	}
	return map[string]any{"status": e.StatusCode, "type": e.Type()}, nil
}

func anthropicCalls(base *url.URL, model string) []call {
	c := anthropic.NewClient(option.WithBaseURL(base.String()), option.WithAPIKey("unused"), option.WithMaxRetries(0))
	params := func(change func(*anthropic.MessageNewParams)) anthropic.MessageNewParams {
		p := anthropic.MessageNewParams{
			Model: anthropic.Model(model), MaxTokens: 40, Temperature: anthropic.Float(0),
			Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock(question))},
		}
		if change != nil {
			change(&p)
		}
		return p
	}
	told := func(m *anthropic.Message) map[string]any {
		text := ""
		for _, block := range m.Content {
			text += block.Text
		}
		return map[string]any{
			"text": text, "blocks": len(m.Content), "reason": m.StopReason, "role": m.Role, "model": m.Model,
			"input": m.Usage.InputTokens, "output": m.Usage.OutputTokens, "named": m.ID != "",
		}
	}
	once := func(change func(*anthropic.MessageNewParams)) func(context.Context) (any, error) {
		return func(ctx context.Context) (any, error) {
			m, err := c.Messages.New(ctx, params(change))
			if err != nil {
				return declined(err)
			}
			return told(m), nil
		}
	}
	streamed := func(change func(*anthropic.MessageNewParams)) func(context.Context) (any, error) {
		return func(ctx context.Context) (any, error) {
			s := c.Messages.NewStreaming(ctx, params(change))
			defer s.Close()
			var m anthropic.Message
			pieces := 0
			for s.Next() {
				e := s.Current()
				if err := m.Accumulate(e); err != nil {
					return nil, err
				}
				if e.Type == "content_block_delta" {
					pieces++
				}
			}
			if err := s.Err(); err != nil {
				return declined(err)
			}
			return map[string]any{"whole": told(&m), "streamed": pieces > 1}, nil
		}
	}
	tool := anthropic.ToolUnionParamOfTool(anthropic.ToolInputSchemaParam{Properties: map[string]any{"city": map[string]any{"type": "string"}}}, "f")
	return []call{
		{"anthropic messages, at once", once(nil)},
		{"anthropic messages, streamed", streamed(nil)},
		{"anthropic messages, max_tokens", once(func(p *anthropic.MessageNewParams) { p.MaxTokens = 3 })},
		{"anthropic messages, system, stop_sequences, top_p", once(func(p *anthropic.MessageNewParams) {
			p.System = []anthropic.TextBlockParam{{Text: "Be brief."}}
			p.StopSequences, p.TopP = []string{"France"}, anthropic.Float(0.5)
		})},
		{"anthropic messages, the result of a tool", once(func(p *anthropic.MessageNewParams) {
			p.MaxTokens = 4
			p.Messages = append(p.Messages,
				anthropic.NewAssistantMessage(anthropic.NewToolUseBlock("c1", map[string]string{"city": "Paris"}, "f")),
				anthropic.NewUserMessage(anthropic.NewToolResultBlock("c1", "Paris", false)))
		})},
		{"anthropic messages, thinking that the model has not", once(func(p *anthropic.MessageNewParams) {
			p.Thinking = anthropic.ThinkingConfigParamOfEnabled(1024)
		})},
		{"anthropic messages, tools that the model has not", once(func(p *anthropic.MessageNewParams) { p.Tools = []anthropic.ToolUnionParam{tool} })},
		{"anthropic messages, no max_tokens", once(func(p *anthropic.MessageNewParams) { p.MaxTokens = 0 })},
		{"anthropic messages, a model that is missing", once(func(p *anthropic.MessageNewParams) { p.Model = "missing" })},
		{"anthropic messages, streamed, a model that is missing", streamed(func(p *anthropic.MessageNewParams) { p.Model = "missing" })},
	}
}
