package main

import (
	"context"
	"net/url"

	"github.com/anthropics/anthropic-sdk-go"
	anthropicoption "github.com/anthropics/anthropic-sdk-go/option"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"
)

// searchCalls have the model search the web while it answers.
func searchCalls(base *url.URL, model string) []call {
	o := openai.NewClient(option.WithBaseURL(base.JoinPath("/v1/").String()), option.WithAPIKey("unused"), option.WithMaxRetries(0))
	question := responses.ResponseNewParams{
		Model: model, Input: responses.ResponseNewParamsInputUnion{OfString: openai.String(question)},
		Tools: []responses.ToolUnionParam{responses.ToolParamOfWebSearch(responses.WebSearchToolTypeWebSearch)},
	}
	chat := openai.ChatCompletionNewParams{
		Model: model, Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("What is the capital of France?")},
		WebSearchOptions: openai.ChatCompletionNewParamsWebSearchOptions{SearchContextSize: "low"},
	}
	a := anthropic.NewClient(anthropicoption.WithBaseURL(base.String()), anthropicoption.WithAPIKey("unused"), anthropicoption.WithMaxRetries(0))
	message := anthropic.MessageNewParams{
		Model: anthropic.Model(model), MaxTokens: 400,
		Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("What is the capital of France?"))},
		Tools: []anthropic.ToolUnionParam{
			{OfWebSearchTool20250305: &anthropic.WebSearchTool20250305Param{}}, {OfWebFetchTool20250910: &anthropic.WebFetchTool20250910Param{}},
		},
	}
	return []call{
		{"openai responses, search", func(ctx context.Context) (any, error) {
			r, err := o.Responses.New(ctx, question)
			if err != nil {
				return nil, err
			}
			return foundOf(r), nil
		}},
		{"openai responses, search, streamed", func(ctx context.Context) (got any, err error) {
			s := o.Responses.NewStreaming(ctx, question)
			defer s.Close()
			for s.Next() {
				if e, ok := s.Current().AsAny().(responses.ResponseCompletedEvent); ok {
					got = foundOf(&e.Response)
				}
			}
			return got, s.Err()
		}},
		{"openai chat, search", func(ctx context.Context) (any, error) {
			c, err := o.Chat.Completions.New(ctx, chat)
			if err != nil {
				return nil, err
			}
			return saidBy(c.Choices[0].Message), nil
		}},
		{"openai chat, search, streamed", func(ctx context.Context) (any, error) {
			s := o.Chat.Completions.NewStreaming(ctx, chat)
			defer s.Close()
			var all openai.ChatCompletionAccumulator
			for s.Next() {
				all.AddChunk(s.Current())
			}
			if err := s.Err(); err != nil {
				return nil, err
			}
			return all.Choices[0].Message.Content, nil
		}},
		{"anthropic messages, search", func(ctx context.Context) (any, error) {
			m, err := a.Messages.New(ctx, message)
			if err != nil {
				return nil, err
			}
			return foundIn(m), nil
		}},
		{"anthropic messages, search, streamed, and a question after it", func(ctx context.Context) (any, error) {
			s := a.Messages.NewStreaming(ctx, message)
			defer s.Close()
			var m anthropic.Message
			for s.Next() {
				if err := m.Accumulate(s.Current()); err != nil {
					return nil, err
				}
			}
			if err := s.Err(); err != nil {
				return nil, err
			}
			next := message
			next.Messages = append(next.Messages, m.ToParam(), anthropic.NewUserMessage(anthropic.NewTextBlock("Are you sure?")))
			again, err := a.Messages.New(ctx, next)
			if err != nil {
				return nil, err
			}
			return []any{foundIn(&m), foundIn(again)}, nil
		}},
	}
}

// saidBy is a message, and what it cites.
func saidBy(m openai.ChatCompletionMessage) any {
	cited := []string{}
	for _, a := range m.Annotations {
		cited = append(cited, m.Content[a.URLCitation.StartIndex:a.URLCitation.EndIndex])
	}
	return map[string]any{"text": m.Content, "cited": cited}
}

// foundOf is what a client sees of a search, and of a page that was opened.
func foundOf(r *responses.Response) any {
	items := []any{}
	for _, item := range r.Output {
		switch item := item.AsAny().(type) {
		case responses.ResponseFunctionWebSearch:
			items = append(items, map[string]any{"type": item.Type, "action": item.Action.Type, "query": item.Action.Query, "url": item.Action.URL, "status": item.Status})
		case responses.ResponseOutputMessage:
			cited := []string{}
			for _, a := range item.Content[0].Annotations {
				cited = append(cited, a.URL)
			}
			items = append(items, map[string]any{"type": item.Type, "text": item.Content[0].Text, "cited": cited})
		default:
			items = append(items, item)
		}
	}
	return items
}

func foundIn(m *anthropic.Message) any {
	blocks := []any{}
	for _, block := range m.Content {
		switch b := block.AsAny().(type) {
		case anthropic.ServerToolUseBlock:
			blocks = append(blocks, map[string]any{"type": b.Type, "name": b.Name, "input": b.Input})
		case anthropic.WebSearchToolResultBlock:
			urls := []string{}
			for _, hit := range b.Content.OfWebSearchResultBlockArray {
				urls = append(urls, hit.URL)
			}
			blocks = append(blocks, map[string]any{"type": b.Type, "urls": urls, "error": b.Content.ErrorCode})
		case anthropic.WebFetchToolResultBlock:
			blocks = append(blocks, map[string]any{"type": b.Type, "url": b.Content.URL, "error": b.Content.ErrorCode, "title": b.Content.Content.Title})
		case anthropic.TextBlock:
			blocks = append(blocks, map[string]any{"type": b.Type, "text": b.Text})
		default:
			blocks = append(blocks, b)
		}
	}
	return map[string]any{"blocks": blocks, "reason": m.StopReason, "searches": m.Usage.ServerToolUse.WebSearchRequests, "pages": m.Usage.ServerToolUse.WebFetchRequests}
}
