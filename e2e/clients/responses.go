package main

import (
	"context"
	"encoding/json"
	"net/url"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"
)

// responsesCalls are those to OpenAI's newer interface.
func responsesCalls(base *url.URL, model string) []call {
	c := openai.NewClient(option.WithBaseURL(base.JoinPath("/v1/").String()), option.WithAPIKey("unused"), option.WithMaxRetries(0))
	params := func(change func(*responses.ResponseNewParams)) responses.ResponseNewParams {
		p := responses.ResponseNewParams{
			Model: model, Input: responses.ResponseNewParamsInputUnion{OfString: openai.String(question)}, Temperature: openai.Float(0),
		}
		if change != nil {
			change(&p)
		}
		return p
	}
	told := func(r *responses.Response) map[string]any {
		return map[string]any{
			"text": r.OutputText(), "status": r.Status, "why": r.IncompleteDetails.Reason, "items": len(r.Output), "model": r.Model,
			"input": r.Usage.InputTokens, "output": r.Usage.OutputTokens, "named": r.ID != "",
		}
	}
	once := func(change func(*responses.ResponseNewParams)) func(context.Context) (any, error) {
		return func(ctx context.Context) (any, error) {
			r, err := c.Responses.New(ctx, params(change))
			if err != nil {
				return refusal(err)
			}
			return told(r), nil
		}
	}
	streamed := func(change func(*responses.ResponseNewParams)) func(context.Context) (any, error) {
		return func(ctx context.Context) (any, error) {
			s := c.Responses.NewStreaming(ctx, params(change))
			defer s.Close()
			text, pieces := "", 0
			var whole map[string]any
			var kinds []string
			for s.Next() {
				if kind := s.Current().Type; len(kinds) == 0 || kinds[len(kinds)-1] != kind {
					kinds = append(kinds, kind)
				}
				switch e := s.Current().AsAny().(type) {
				case responses.ResponseTextDeltaEvent:
					text += e.Delta
					pieces++
				case responses.ResponseCompletedEvent:
					whole = told(&e.Response)
				}
			}
			if err := s.Err(); err != nil {
				return refusal(err)
			}
			return map[string]any{"text": text, "streamed": pieces > 1, "whole": whole, "events": kinds}, nil
		}
	}
	var schema map[string]any
	_ = json.Unmarshal([]byte(`{"type":"object","required":["city"],"properties":{"city":{"type":"string","enum":["Paris"]}}}`), &schema) // it is JSON
	tool := responses.ToolUnionParam{OfFunction: &responses.FunctionToolParam{Name: "f", Parameters: schema}}
	return []call{
		{"openai responses, at once", once(nil)},
		{"openai responses, streamed", streamed(nil)},
		{"openai responses, max_output_tokens", once(func(p *responses.ResponseNewParams) { p.MaxOutputTokens = openai.Int(3) })},
		{"openai responses, instructions and items", once(func(p *responses.ResponseNewParams) {
			p.Instructions = openai.String("Be brief.")
			p.Input = responses.ResponseNewParamsInputUnion{OfInputItemList: responses.ResponseInputParam{
				responses.ResponseInputItemParamOfMessage("Hi", responses.EasyInputMessageRoleUser),
				responses.ResponseInputItemParamOfMessage("Hello.", responses.EasyInputMessageRoleAssistant),
				responses.ResponseInputItemParamOfMessage(question, responses.EasyInputMessageRoleUser),
			}}
		})},
		{"openai responses, schema", once(func(p *responses.ResponseNewParams) {
			p.MaxOutputTokens = openai.Int(40)
			p.Text.Format = responses.ResponseFormatTextConfigParamOfJSONSchema("city", schema)
		})},
		{"openai responses, the result of a tool", once(func(p *responses.ResponseNewParams) {
			p.MaxOutputTokens = openai.Int(4)
			p.Input = responses.ResponseNewParamsInputUnion{OfInputItemList: responses.ResponseInputParam{
				responses.ResponseInputItemParamOfMessage(question, responses.EasyInputMessageRoleUser),
				responses.ResponseInputItemParamOfFunctionCall(`{"city":"Paris"}`, "c1", "f"),
				{OfFunctionCallOutput: &responses.ResponseInputItemFunctionCallOutputParam{
					CallID: openai.String("c1"), Output: responses.ResponseInputItemFunctionCallOutputOutputUnionParam{OfString: openai.String("Paris")},
				}},
			}}
		})},
		{"openai responses, tools that the model has not", once(func(p *responses.ResponseNewParams) { p.Tools = []responses.ToolUnionParam{tool} })},
		{"openai responses, an earlier one", once(func(p *responses.ResponseNewParams) { p.PreviousResponseID = openai.String("resp_1") })},
		{"openai responses, going on", goesOn(c.Responses, params)},
		{"openai responses, a model that is missing", once(func(p *responses.ResponseNewParams) { p.Model = "missing" })},
		{"openai responses, streamed, a model that is missing", streamed(func(p *responses.ResponseNewParams) { p.Model = "missing" })},
	}
}

// goesOn goes on from a response by its id, and with all that was said as input, and tells whether both come to the same.
func goesOn(c responses.ResponseService, params func(func(*responses.ResponseNewParams)) responses.ResponseNewParams) func(context.Context) (any, error) {
	return func(ctx context.Context) (any, error) {
		first, err := c.New(ctx, params(nil))
		if err != nil {
			return refusal(err)
		}
		second, err := c.New(ctx, params(func(p *responses.ResponseNewParams) { p.PreviousResponseID = openai.String(first.ID) }))
		if err != nil {
			return refusal(err)
		}
		whole, err := c.New(ctx, params(func(p *responses.ResponseNewParams) {
			p.Input = responses.ResponseNewParamsInputUnion{OfInputItemList: responses.ResponseInputParam{
				responses.ResponseInputItemParamOfMessage(question, responses.EasyInputMessageRoleUser),
				responses.ResponseInputItemParamOfMessage(first.OutputText(), responses.EasyInputMessageRoleAssistant),
				responses.ResponseInputItemParamOfMessage(question, responses.EasyInputMessageRoleUser),
			}}
		}))
		if err != nil {
			return refusal(err)
		}
		again, err := c.Get(ctx, second.ID, responses.ResponseGetParams{})
		if err != nil {
			return refusal(err)
		}
		if err := c.Delete(ctx, second.ID); err != nil {
			return refusal(err)
		}
		_, gone := c.Get(ctx, second.ID, responses.ResponseGetParams{})
		return map[string]bool{
			"goes on": second.OutputText() == whole.OutputText() && second.Usage.InputTokens == whole.Usage.InputTokens && second.PreviousResponseID == first.ID,
			"stored":  again.OutputText() == second.OutputText(), "deleted": gone != nil,
		}, nil
	}
}
