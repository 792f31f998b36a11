package engine

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
)

// sampling are the options of Ollama that servers with OpenAI's interface may know, by the same names.
// The others tell how a model is loaded, or would take the place of another field of the request.
var sampling = map[string]bool{
	"temperature": true, "seed": true, "stop": true, "top_p": true, "top_k": true, "min_p": true, "typical_p": true, "tfs_z": true,
	"presence_penalty": true, "frequency_penalty": true, "repeat_penalty": true, "repeat_last_n": true, "penalize_newline": true,
	"mirostat": true, "mirostat_tau": true, "mirostat_eta": true,
}

type openAIMessage struct {
	Role       string           `json:"role"`
	Content    any              `json:"content"` // a text, or a list of parts
	ToolCalls  []openAIToolCall `json:"tool_calls,omitempty"`
	ToolCallID string           `json:"tool_call_id,omitempty"`
	// Name is that of the tool, which some models' templates want of a result.
	Name string `json:"name,omitempty"`
	// Reasoning and ReasoningContent are two names of one thing: vLLM reads the first, llama-server the second.
	Reasoning        string `json:"reasoning,omitempty"`
	ReasoningContent string `json:"reasoning_content,omitempty"`
}

type openAIToolCall struct {
	Index    int    `json:"index"`
	ID       string `json:"id"`
	Type     string `json:"type"`
	Function struct {
		Name      string `json:"name"`
		Arguments string `json:"arguments"` // JSON, perhaps in pieces
	} `json:"function"`
}

// openAIBody returns the path and the body that stand for req, or CodeInvalid for what OpenAI's
// interface has no word for.
func openAIBody(model string, req bus.InferenceRequest) (path string, body map[string]any, err error) {
	for what, wanted := range map[string]bool{"a template": req.Template != "", "a context of tokens": len(req.Context) > 0} {
		if wanted {
			return "", nil, bus.Errorf(bus.CodeInvalid, "%q runs on a server with OpenAI's interface, which cannot take %s", model, what).
				WithHint("use a node that has the model in Ollama: myco swarm")
		}
	}
	body = map[string]any{}
	for name, v := range req.Options {
		if sampling[name] {
			body[name] = v
		}
	}
	if penalty := body["repeat_penalty"]; penalty != nil {
		body["repetition_penalty"] = penalty // as vLLM and SGLang call it
	}
	openAIThink(body, req.Think)
	openAIFormat(body, req.Format)
	if req.Dialect == KindOpenAI {
		setJSON(body, req.Extra)
	}
	maps.Copy(body, map[string]any{"model": model, "stream": true, "stream_options": map[string]bool{"include_usage": true}})
	setSampling(body, req, "max_tokens")
	if req.Raw || req.Mode == bus.ModeComplete || req.Suffix != "" {
		body["prompt"] = req.Prompt
		if req.Suffix != "" {
			body["suffix"] = req.Suffix
		}
		if req.Logprobs { // the number of others; servers tell nothing for 0
			body["logprobs"] = max(1, req.TopLogprobs)
		}
		return "/v1/completions", body, nil
	}
	setJSON(body, map[string]json.RawMessage{"tools": req.Tools})
	body["messages"] = openAIMessages(req.Conversation())
	wantLogprobs(body, req)
	return "/v1/chat/completions", body, nil
}

// openAIThink says how much to think as servers know it: as an effort, or to the model's template. Of an effort llama-server
// told the template nothing before b10434.
func openAIThink(body map[string]any, think json.RawMessage) {
	switch {
	case len(think) == 0:
	case think[0] == '"':
		body["reasoning_effort"] = think
		body[forTemplate] = map[string]json.RawMessage{"reasoning_effort": think}
	default:
		body[forTemplate] = map[string]json.RawMessage{"enable_thinking": think}
	}
}

// forTemplate is the field with what the model's template is told.
const forTemplate = "chat_template_kwargs"

// refusesTemplate recognises the error of vLLM for that field, where a model has Mistral's tokenizer, and no template.
func refusesTemplate(err error) bool {
	var e *bus.Error
	return errors.As(err, &e) && e.Code == bus.CodeInvalid && strings.Contains(e.Message, "chat_template")
}

// leaveTemplate takes the field out of the body for req, unless it is not there or the client's own.
func leaveTemplate(body map[string]any, req bus.InferenceRequest) bool {
	if body[forTemplate] == nil || req.Dialect == KindOpenAI && len(req.Extra[forTemplate]) > 0 {
		return false
	}
	delete(body, forTemplate)
	return true
}

func openAIFormat(body map[string]any, format json.RawMessage) {
	switch {
	case len(format) == 0:
	case format[0] == '"':
		body["response_format"] = map[string]string{"type": "json_object"}
	default:
		body["response_format"] = map[string]any{
			"type": "json_schema", "json_schema": map[string]any{"name": "answer", "strict": true, "schema": format},
		}
	}
}

// openAIMessages translates a conversation. OpenAI knows calls of tools by ids: a call without one
// gets one, and a result without an id is that of the first call, of its tool, that has no result yet.
func openAIMessages(in []bus.Message) []openAIMessage {
	out := make([]openAIMessage, len(in))
	var open []openAIToolCall
	for i, m := range in {
		out[i] = openAIMessage{Role: m.Role, Content: m.Content, ToolCallID: m.ToolCallID, Reasoning: m.Thinking, ReasoningContent: m.Thinking}
		if len(m.Images) > 0 {
			out[i].Content = parts(m)
		}
		for j, c := range m.ToolCalls {
			call := openAIToolCall{Index: j, ID: c.ID, Type: "function"}
			call.Function.Name, call.Function.Arguments = c.Name, arguments(c)
			if call.ID == "" {
				call.ID = fmt.Sprintf("call_%d_%d", i, j)
			}
			open = append(open, call)
			out[i].ToolCalls = append(out[i].ToolCalls, call)
		}
		if m.Role != "tool" {
			continue
		}
		out[i].Name = m.ToolName
		if k := slices.IndexFunc(open, func(call openAIToolCall) bool { return isResult(m, call) }); k >= 0 {
			out[i].ToolCallID = open[k].ID
			open = slices.Delete(open, k, k+1)
		}
	}
	return out
}

// arguments are those of a call as OpenAI spells them: a text, of JSON or not.
func arguments(c bus.ToolCall) string {
	var text string
	switch {
	case len(c.Arguments) == 0:
		return "{}"
	case json.Unmarshal(c.Arguments, &text) == nil:
		return text
	}
	return string(c.Arguments)
}

// isResult reports whether m may be the result of call.
func isResult(m bus.Message, call openAIToolCall) bool {
	if m.ToolCallID != "" {
		return m.ToolCallID == call.ID
	}
	return m.ToolName == "" || m.ToolName == call.Function.Name
}

// parts is a message with images as OpenAI spells it.
func parts(m bus.Message) []map[string]any {
	var out []map[string]any
	if m.Content != "" {
		out = append(out, map[string]any{"type": "text", "text": m.Content})
	}
	for _, b := range m.Images {
		head := "data:" + http.DetectContentType(b) + ";base64,"
		var url strings.Builder
		url.Grow(len(head) + base64.StdEncoding.EncodedLen(len(b)))
		url.WriteString(head)
		to := base64.NewEncoder(base64.StdEncoding, &url)
		_, _ = to.Write(b) // as with Close: a Builder takes all
		_ = to.Close()
		out = append(out, map[string]any{"type": "image_url", "image_url": map[string]string{"url": url.String()}})
	}
	return out
}
