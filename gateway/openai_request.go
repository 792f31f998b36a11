package gateway

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"

	"github.com/mycoswarm/mycoswarm/bus"
)

func (g *Gateway) openAIChat(w http.ResponseWriter, r *http.Request) error {
	f, err := openAIDialect.readFields(r)
	if err != nil {
		return err
	}
	q := openAIQuestion{chat: true}
	q.takeCommon(f)
	var messages []openAIInput
	f.fewMessages("messages")
	f.take("messages", &messages)
	if f.err == nil && len(messages) == 0 {
		f.err = misfit("messages", "want at least one")
	}
	q.takeTools(f)
	q.takeSearch(f, g, r)
	q.takeFormat(f)
	q.takeEffort(f)
	f.refuse("functions", "function_call")
	q.rest = func(r *http.Request) error { return q.readMessages(&documents{g: g, r: r}, messages) }
	return g.openAIAnswer(w, r, f, &q)
}

// readMessages takes the messages of a chat, with text in the place of documents.
func (q *openAIQuestion) readMessages(docs *documents, messages []openAIInput) error {
	for i := range messages {
		field := fmt.Sprintf("messages[%d]", i)
		if err := chatParts.readIn(docs, &messages[i].Content); err != nil {
			return notRead(field, err)
		}
		to, err := messages[i].message(q.req.Messages)
		if err != nil {
			return misfit(field, "%s", bus.AsError(err).Message)
		}
		q.req.Messages = append(q.req.Messages, to)
	}
	return nil
}

func (g *Gateway) openAICompletion(w http.ResponseWriter, r *http.Request) error {
	f, err := openAIDialect.readFields(r)
	if err != nil {
		return err
	}
	q := openAIQuestion{}
	q.takeCommon(f)
	q.req.Mode = bus.ModeComplete
	var prompts texts
	f.take("prompt", &prompts)
	f.take("suffix", &q.req.Suffix)
	f.refuse("echo")
	switch n := len(prompts) * q.choices; {
	case len(prompts) > 0 && n <= choicesMost:
		q.req.Prompt, q.prompts = prompts[0], prompts
	case f.err == nil && len(prompts) == 0:
		f.err = misfit("prompt", "want a text")
	case f.err == nil:
		f.err = misfit("prompt", "%d answers are wanted: want 1 to %d", n, choicesMost)
	}
	return g.openAIAnswer(w, r, f, &q)
}

// texts is one text, or a list of them.
type texts []string

// UnmarshalJSON implements json.Unmarshaler.
func (t *texts) UnmarshalJSON(b []byte) error {
	if b[0] == '"' || string(b) == "null" {
		*t = texts{""}
		return json.Unmarshal(b, &(*t)[0])
	}
	var list []string
	if err := json.Unmarshal(b, &list); err != nil {
		return bus.Errorf(bus.CodeInvalid, "want a text, or a list of texts")
	}
	*t = list
	return nil
}

// tokens is how many an answer may have; 0: as many as the model makes.
type tokens int

// UnmarshalJSON implements json.Unmarshaler. Programs send 4096.0, and -1 for no limit.
func (t *tokens) UnmarshalJSON(b []byte) error {
	var n float64
	if err := json.Unmarshal(b, &n); err != nil || n != math.Trunc(n) || n < -1 || n > math.MaxInt32 {
		return bus.Errorf(bus.CodeInvalid, "want a whole number of tokens, or -1 for no limit")
	}
	if *t = tokens(n); n == -1 {
		*t = 0
	}
	return nil
}

// takeCommon takes what both kinds of request have. What is not taken goes to servers with this
// interface as it is.
func (q *openAIQuestion) takeCommon(f *fields) {
	q.req.Dialect = "openai"
	var stream struct {
		IncludeUsage bool `json:"include_usage"`
	}
	var stop texts
	var most, whole *tokens
	q.choices = 1
	f.takeAll(
		field{"model", &q.model}, field{"stream", &q.stream}, field{"stream_options", &stream}, field{"temperature", &q.req.Temperature}, field{"seed", &q.req.Seed},
		field{"stop", &stop}, field{"max_tokens", &most}, field{"max_completion_tokens", &whole}, field{"n", &q.choices},
	)
	q.usage, q.req.Stop = stream.IncludeUsage, stop
	if n := cmp.Or(whole, most); n != nil {
		q.req.MaxTokens = int(*n)
	}
	if f.err == nil && (q.choices < 1 || q.choices > choicesMost) {
		f.err = misfit("n", "%d answers are wanted: want 1 to %d", q.choices, choicesMost)
	}
	q.req.Options = f.numbers("top_p", "top_k", "min_p", "typical_p", "presence_penalty", "frequency_penalty", "repeat_penalty")
	q.takeLogprobs(f)
	if v := string(f.left["best_of"]); v == "1" || v == strconv.Itoa(q.choices) {
		f.drop("best_of")
	}
	f.refuse("best_of")
	f.drop("user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_retention")
}

// takeTools takes the list of tools. Which of them must be called is for the engine.
func (q *openAIQuestion) takeTools(f *fields) {
	f.take("tools", &q.req.Tools)
	if v := string(f.left["tool_choice"]); v != "" && v[0] != '"' && v[0] != '{' && f.err == nil {
		f.err = misfit("tool_choice", "want none, auto, required, or an object")
	}
	if none := string(f.left["tool_choice"]) == `"none"`; none || string(q.req.Tools) == "[]" {
		q.req.Tools = nil
		f.drop("tool_choice", "parallel_tool_calls")
	}
	if string(f.left["tool_choice"]) == `"auto"` {
		f.drop("tool_choice")
	}
}

// takeFormat finds the schema in a response_format; servers with this interface get all of it.
func (q *openAIQuestion) takeFormat(f *fields) {
	v, ok := f.left["response_format"]
	if !ok {
		return
	}
	var format struct {
		Type       string `json:"type"`
		JSONSchema struct {
			Schema json.RawMessage `json:"schema"`
		} `json:"json_schema"`
	}
	f.take("response_format", &format)
	switch format.Type {
	case "text":
		return
	case "json_object":
		q.req.Format = json.RawMessage(`"json"`)
	case "json_schema":
		q.req.Format = format.JSONSchema.Schema
	}
	if len(q.req.Format) == 0 && f.err == nil {
		f.err = misfit("response_format", "want the type text, json_object, or json_schema with a schema")
	}
	f.left["response_format"] = v
}

// takeEffort tells how much to think, in the words that Ollama has for it.
func (q *openAIQuestion) takeEffort(f *fields) {
	var effort string
	var reasoning map[string]json.RawMessage
	all := f.left["reasoning"]
	try(f, "reasoning", &reasoning, func(r map[string]json.RawMessage) bool {
		return json.Unmarshal(r["effort"], &effort) == nil && effort != ""
	})
	for name, v := range reasoning {
		if name != "effort" && string(v) != "null" { // there is more to it, which is for the engine
			f.left["reasoning"] = all
		}
	}
	if effort != "" {
		f.drop("reasoning_effort")
	}
	f.take("reasoning_effort", &effort)
	switch level := levelOf(effort); {
	case effort == "":
		return
	case effort == "none":
		q.req.Think = json.RawMessage("false")
	case level != "":
		q.req.Think = json.RawMessage(`"` + level + `"`)
	default:
		if f.err == nil {
			f.err = misfit("reasoning_effort", "%q: want none, minimal, low, medium, high, xhigh or max", effort)
		}
		return
	}
	f.left["reasoning_effort"] = json.RawMessage(`"` + effort + `"`)
}

// openAIInput is a message of a request.
type openAIInput struct {
	Role             string           `json:"role"`
	Content          openAIContent    `json:"content"`
	Name             string           `json:"name"`
	Reasoning        string           `json:"reasoning"`
	ReasoningContent string           `json:"reasoning_content"`
	ToolCalls        []openAIToolCall `json:"tool_calls"`
	ToolCallID       string           `json:"tool_call_id"`
}

// message translates m, which comes after before.
func (m openAIInput) message(before []bus.Message) (bus.Message, error) {
	to := bus.Message{Role: roleOf(m.Role), Thinking: cmp.Or(m.Reasoning, m.ReasoningContent), ToolCallID: m.ToolCallID}
	switch m.Role {
	case "function":
		to.Role, to.ToolName = "tool", m.Name
	case "tool":
		to.ToolName = m.Name
		if m.Name == "" {
			to.ToolName = calledName(before, m.ToolCallID)
		}
	}
	for _, c := range m.ToolCalls {
		args, err := argumentsOf(c.Function.Arguments)
		if err != nil {
			return to, err
		}
		to.ToolCalls = append(to.ToolCalls, bus.ToolCall{ID: c.ID, Index: c.Index, Name: c.Function.Name, Arguments: args})
	}
	return to, chatParts.read(m.Content, &to)
}
