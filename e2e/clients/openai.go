package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/shared"
)

// refusal is what a client sees of an error.
func refusal(err error) (any, error) {
	var e *openai.Error
	if !errors.As(err, &e) {
		return nil, err
	}
	return map[string]any{"status": e.StatusCode, "type": e.Type, "says": e.Message != ""}, nil
}

func openAICalls(base *url.URL, model string) []call {
	c := openai.NewClient(option.WithBaseURL(base.JoinPath("/v1/").String()), option.WithAPIKey("unused"), option.WithMaxRetries(0))
	params := func(change func(*openai.ChatCompletionNewParams)) openai.ChatCompletionNewParams {
		p := openai.ChatCompletionNewParams{
			Model: model, Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage(question)}, Temperature: openai.Float(0),
		}
		if change != nil {
			change(&p)
		}
		return p
	}
	chat := func(change func(*openai.ChatCompletionNewParams)) func(context.Context) (any, error) {
		return func(ctx context.Context) (any, error) {
			r, err := c.Chat.Completions.New(ctx, params(change))
			if err != nil {
				return refusal(err)
			}
			return map[string]any{
				"text": r.Choices[0].Message.Content, "role": r.Choices[0].Message.Role, "reason": r.Choices[0].FinishReason, "choices": len(r.Choices),
				"object": r.Object, "model": r.Model, "prompt": r.Usage.PromptTokens, "output": r.Usage.CompletionTokens, "total": r.Usage.TotalTokens,
			}, nil
		}
	}
	streamed := func(change func(*openai.ChatCompletionNewParams)) func(context.Context) (any, error) {
		return func(ctx context.Context) (any, error) {
			s := c.Chat.Completions.NewStreaming(ctx, params(change))
			defer s.Close()
			var acc openai.ChatCompletionAccumulator
			pieces := 0
			for s.Next() {
				chunk := s.Current()
				if len(chunk.Choices) > 0 && chunk.Choices[0].Delta.Content != "" {
					pieces++
				}
				if !acc.AddChunk(chunk) {
					return nil, errors.New("a chunk does not fit to those before")
				}
			}
			if err := s.Err(); err != nil {
				return refusal(err)
			}
			return map[string]any{
				"text": acc.Choices[0].Message.Content, "reason": acc.Choices[0].FinishReason, "streamed": pieces > 1,
				"prompt": acc.Usage.PromptTokens, "output": acc.Usage.CompletionTokens,
			}, nil
		}
	}
	several := func(ctx context.Context) (any, error) {
		p := params(func(p *openai.ChatCompletionNewParams) { p.N = openai.Int(3) })
		r, err := c.Chat.Completions.New(ctx, p)
		if err != nil {
			return refusal(err)
		}
		p.StreamOptions.IncludeUsage = openai.Bool(true)
		s := c.Chat.Completions.NewStreaming(ctx, p)
		defer s.Close()
		var acc openai.ChatCompletionAccumulator
		for s.Next() {
			if !acc.AddChunk(s.Current()) {
				return nil, errors.New("a chunk does not fit to those before")
			}
		}
		if err := s.Err(); err != nil {
			return refusal(err)
		}
		same := len(r.Choices) == len(acc.Choices) && r.Usage.TotalTokens == acc.Usage.TotalTokens
		for i, choice := range acc.Choices { // at temperature 0
			same = same && choice.Message.Content == r.Choices[0].Message.Content && choice.FinishReason == "stop" && r.Choices[i].FinishReason == "stop"
		}
		return map[string]any{"choices": len(r.Choices), "same": same}, nil
	}
	embed := func(format openai.EmbeddingNewParamsEncodingFormat, dimensions int64) func(context.Context) (any, error) {
		return func(ctx context.Context) (any, error) {
			p := openai.EmbeddingNewParams{
				Model: model, EncodingFormat: format, Input: openai.EmbeddingNewParamsInputUnion{OfArrayOfStrings: []string{"Paris", "Rome"}},
			}
			if dimensions > 0 {
				p.Dimensions = openai.Int(dimensions)
			}
			r, err := c.Embeddings.New(ctx, p)
			if err != nil {
				return refusal(err)
			}
			var vectors []any
			for _, e := range r.Data {
				var v map[string]any
				if err := json.Unmarshal([]byte(e.RawJSON()), &v); err != nil {
					return nil, err
				}
				vectors = append(vectors, v)
			}
			return map[string]any{"vectors": vectors, "prompt": r.Usage.PromptTokens, "model": r.Model}, nil
		}
	}
	schema := map[string]any{
		"type": "object", "required": []string{"city"},
		"properties": map[string]any{"city": map[string]any{"type": "string", "enum": []string{"Paris"}}},
	}
	return []call{
		{"openai models", func(ctx context.Context) (any, error) {
			l, err := c.Models.List(ctx)
			if err != nil {
				return nil, err
			}
			var ids []string
			for _, m := range l.Data {
				ids = append(ids, m.ID+" "+string(m.Object))
			}
			return ids, nil
		}},
		{"openai model", func(ctx context.Context) (any, error) {
			m, err := c.Models.Get(ctx, model)
			if err != nil {
				return refusal(err)
			}
			return string(m.Object), nil
		}},
		{"openai model that is missing", func(ctx context.Context) (any, error) {
			_, err := c.Models.Get(ctx, "missing")
			return refusal(err)
		}},
		{"openai chat, at once", chat(nil)},
		{"openai chat, several answers", several},
		{"openai chat, streamed", streamed(nil)},
		{"openai chat, streamed with usage", streamed(func(p *openai.ChatCompletionNewParams) {
			p.StreamOptions.IncludeUsage = openai.Bool(true)
		})},
		{"openai chat, max_tokens", chat(func(p *openai.ChatCompletionNewParams) { p.MaxTokens = openai.Int(3) })},
		{"openai chat, max_completion_tokens", chat(func(p *openai.ChatCompletionNewParams) { p.MaxCompletionTokens = openai.Int(3) })},
		{"openai chat, stopped", chat(func(p *openai.ChatCompletionNewParams) { p.Stop.OfString = openai.String("France") })},
		{"openai chat, seed, top_p", chat(func(p *openai.ChatCompletionNewParams) { p.Seed, p.TopP = openai.Int(7), openai.Float(0.5) })},
		{"openai chat, parts", chat(func(p *openai.ChatCompletionNewParams) {
			p.Messages = []openai.ChatCompletionMessageParamUnion{openai.UserMessage([]openai.ChatCompletionContentPartUnionParam{openai.TextContentPart(question)})}
		})},
		{"openai chat, json", chat(func(p *openai.ChatCompletionNewParams) {
			p.MaxTokens = openai.Int(40)
			p.ResponseFormat.OfJSONObject = &shared.ResponseFormatJSONObjectParam{}
		})},
		{"openai chat, schema", chat(func(p *openai.ChatCompletionNewParams) {
			p.MaxTokens = openai.Int(40)
			p.ResponseFormat.OfJSONSchema = &shared.ResponseFormatJSONSchemaParam{JSONSchema: shared.ResponseFormatJSONSchemaJSONSchemaParam{Name: "city", Schema: schema}}
		})},
		{"openai chat, tools that the model has not", chat(func(p *openai.ChatCompletionNewParams) {
			p.Tools = []openai.ChatCompletionToolUnionParam{openai.ChatCompletionFunctionTool(shared.FunctionDefinitionParam{Name: "f"})}
		})},
		{"openai chat, no messages", chat(func(p *openai.ChatCompletionNewParams) { p.Messages = []openai.ChatCompletionMessageParamUnion{} })},
		{"openai chat, a model that is missing", chat(func(p *openai.ChatCompletionNewParams) { p.Model = "missing" })},
		{"openai chat, streamed, a model that is missing", streamed(func(p *openai.ChatCompletionNewParams) { p.Model = "missing" })},
		{"openai completion, at once", func(ctx context.Context) (any, error) {
			r, err := c.Completions.New(ctx, openai.CompletionNewParams{
				Model: openai.CompletionNewParamsModel(model), Prompt: openai.CompletionNewParamsPromptUnion{OfString: openai.String(question)}, Temperature: openai.Float(0),
			})
			if err != nil {
				return refusal(err)
			}
			return map[string]any{"text": r.Choices[0].Text, "reason": r.Choices[0].FinishReason, "prompt": r.Usage.PromptTokens, "object": r.Object}, nil
		}},
		{"openai completion, streamed", func(ctx context.Context) (any, error) {
			s := c.Completions.NewStreaming(ctx, openai.CompletionNewParams{
				Model: openai.CompletionNewParamsModel(model), Prompt: openai.CompletionNewParamsPromptUnion{OfString: openai.String(question)}, Temperature: openai.Float(0),
			})
			defer s.Close()
			text, reason := "", ""
			for s.Next() {
				for _, choice := range s.Current().Choices {
					text += choice.Text
					reason += string(choice.FinishReason)
				}
			}
			if err := s.Err(); err != nil {
				return refusal(err)
			}
			return map[string]any{"text": text, "reason": reason}, nil
		}},
		{"openai embeddings, float", embed(openai.EmbeddingNewParamsEncodingFormatFloat, 0)},
		{"openai embeddings, base64", embed(openai.EmbeddingNewParamsEncodingFormatBase64, 0)},
		{"openai embeddings, 8 dimensions", embed(openai.EmbeddingNewParamsEncodingFormatFloat, 8)},
	}
}
