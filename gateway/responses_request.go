package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
)

func (g *Gateway) openAIResponse(w http.ResponseWriter, r *http.Request) error {
	f, err := openAIDialect.readFields(r)
	if err != nil {
		return err
	}
	q := responsesQuestion{}
	var input responsesInput
	store := true
	f.refuse("conversation", "background", "prompt")
	f.fewMessages("input")
	f.takeAll(field{"input", &input}, field{"previous_response_id", &q.previous}, field{"store", &store})
	q.takeCommon(f)
	q.takeTools(f, g, r)
	q.takeText(f)
	q.takeReasoning(f, g)
	if f.err != nil {
		return f.err
	}
	if q.model == "" {
		return wrong{err: bus.Errorf(bus.CodeInvalid, "you must provide a model parameter"), field: "model"}
	}
	q.begins()
	q.rest = func(r *http.Request) error { return q.readInput(g, r, input, store) }
	return g.tell(w, r, &q.question, &q)
}

// readInput takes the input, with what it refers to and text in the place of documents.
func (q *responsesQuestion) readInput(g *Gateway, r *http.Request, input responsesInput, store bool) error {
	input, err := g.conversation(r, orEmpty(q.previous), input)
	if err != nil {
		return err
	}
	if err := input.readIn(&documents{g: g, r: r}); err != nil {
		return err
	}
	if q.req.Messages, err = input.messages(q.echo.Instructions); err != nil {
		return err
	}
	if store && !ofBatch(r) { // those of a batch would push out what people go on from
		q.storeFor(g, r, input)
	}
	return nil
}

// takeCommon takes what has a word in a task. Whatever else there is means nothing to engines, which
// have no interface of this kind.
func (q *responsesQuestion) takeCommon(f *fields) {
	e := &q.echo
	var include []string
	e.Truncation, e.TopP, e.Temperature = "disabled", json.RawMessage("1"), json.RawMessage("1")
	f.takeAll(
		field{"model", &q.model}, field{"stream", &q.stream}, field{"instructions", &e.Instructions}, field{"max_output_tokens", &e.MaxOutputTokens},
		field{"truncation", &e.Truncation}, field{"temperature", &q.req.Temperature}, field{"top_logprobs", &q.req.TopLogprobs}, field{"include", &include},
		field{"max_tool_calls", &e.MaxToolCalls},
	)
	q.req.Logprobs = slices.Contains(include, "message.output_text.logprobs")
	q.sources = slices.Contains(include, "web_search_call.action.sources")
	if q.calls = hostedCalls; e.MaxToolCalls != nil {
		if q.calls = *e.MaxToolCalls; q.calls < 1 && f.err == nil {
			f.err = misfit("max_tool_calls", "want at least 1")
		}
	}
	q.req.Options = f.numbers("top_p")
	if v := q.req.Options["top_p"]; v != nil {
		e.TopP = v
	}
	if t := q.req.Temperature; t != nil {
		e.Temperature, _ = json.Marshal(*t) // a number
	}
	if n := e.MaxOutputTokens; n != nil {
		if q.req.MaxTokens = *n; *n < 1 && f.err == nil {
			f.err = misfit("max_output_tokens", "want at least 1")
		}
	}
	if e.Truncation != "auto" && e.Truncation != "disabled" && f.err == nil {
		f.err = misfit("truncation", "%q: want auto or disabled", e.Truncation)
	}
	q.req.Truncate = e.Truncation == "auto"
	q.req.Shift = q.req.Truncate // else what was cut to fit leaves no room for the answer
	q.req.Dialect = "openai"
}

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// takeText takes the format of the answer.
func (q *responsesQuestion) takeText(f *fields) {
	q.echo.Text.Format.Type = "text"
	f.take("text", &q.echo.Text)
	format := &q.echo.Text.Format
	switch format.Type {
	case "text", "":
		format.Type = "text"
		return
	case "json_object":
		q.req.Format = json.RawMessage(`"json"`)
	case "json_schema":
		q.req.Format = format.Schema
	}
	if len(q.req.Format) == 0 && f.err == nil {
		f.err = misfit("text.format", "want the type text, json_object, or json_schema with a schema")
	}
}

// takeReasoning says how much to think, to a model that does.
func (q *responsesQuestion) takeReasoning(f *fields, g *Gateway) {
	f.take("reasoning", &q.echo.Reasoning)
	if r := q.echo.Reasoning; r != nil && r.Effort != nil && f.err == nil {
		g.effort(&q.question, *r.Effort)
	}
}

// responsesInput is a text, or a list of items.
type responsesInput struct {
	text   string
	items  []responsesItem
	before int // how many items are of earlier requests
}

// UnmarshalJSON implements json.Unmarshaler.
func (in *responsesInput) UnmarshalJSON(b []byte) error {
	if b[0] == '"' {
		return json.Unmarshal(b, &in.text)
	}
	if string(b) == "null" {
		return nil
	}
	if !bytes.HasPrefix(b, []byte("[")) {
		return bus.Errorf(bus.CodeInvalid, "want a text, or a list of items")
	}
	return json.Unmarshal(b, &in.items)
}

// responsesItem is a message, a call of a tool, its result, what was thought, or a reference to one of these by its ID.
type responsesItem struct {
	ID      string        `json:"id"`
	Type    string        `json:"type"`
	Role    string        `json:"role"`
	Content openAIContent `json:"content"`
	// Name, Namespace, Arguments and CallID are of a function_call, Output of its function_call_output.
	Name      string        `json:"name"`
	Namespace string        `json:"namespace"`
	Arguments string        `json:"arguments"`
	CallID    string        `json:"call_id"`
	Output    openAIContent `json:"output"`
	// Summary and EncryptedContent are what was thought, which a node tells in both.
	Summary          []struct{ Text string } `json:"summary"`
	EncryptedContent string                  `json:"encrypted_content"`
}

// readIn puts text in the place of files.
func (in responsesInput) readIn(d *documents) error {
	for i := range in.items[in.before:] { // what was before has text already
		item := &in.items[in.before+i]
		for _, content := range []*openAIContent{&item.Content, &item.Output} {
			if err := responseParts.readIn(d, content); err != nil {
				return notRead(fmt.Sprintf("input[%d]", i), err)
			}
		}
	}
	return nil
}

// messages makes a conversation of the input.
func (in responsesInput) messages(instructions *string) (out []bus.Message, err error) {
	if s := orEmpty(instructions); s != "" {
		out = append(out, bus.Message{Role: "system", Content: s})
	}
	if in.text != "" {
		out = append(out, bus.Message{Role: "user", Content: in.text})
	}
	var thoughts []string // go with what the assistant says next
	turn := in.turn()
	for i, item := range in.items {
		items, found := item.kept()
		switch {
		case found && i < turn:
			continue // the answer behind it tells what was found
		case found:
		case item.Type == "reasoning":
			thoughts = append(thoughts, item.thoughts()...)
		default:
			items = []responsesItem{item}
		}
		for _, item := range items {
			was := len(out)
			if out, err = item.add(out, len(thoughts) == 0); err != nil {
				return nil, misfit(fmt.Sprintf("input[%d]", i-in.before), "%s", bus.AsError(err).Message)
			}
			if last := len(out) - 1; len(out) > was && out[last].Role == "assistant" {
				out[last].Thinking, thoughts = strings.Join(thoughts, ""), nil
			}
		}
	}
	if len(out) == 0 || in.text == "" && len(in.items) == 0 {
		return nil, misfit("input", "want a text, or at least one item")
	}
	return out, nil
}

// turn is where the assistant's turn begins that is under way: behind the last of the user's messages.
func (in responsesInput) turn() int {
	for i, item := range slices.Backward(in.items) {
		if item.Role == "user" {
			return i + 1
		}
	}
	return 0
}

// thoughts are the texts of what was thought.
func (item responsesItem) thoughts() (out []string) {
	for _, s := range item.Summary {
		out = append(out, s.Text)
	}
	for _, p := range item.Content.parts { // as gpt-oss thinks at other servers
		if len(item.Summary) == 0 && p.Type == "reasoning_text" {
			out = append(out, p.Text)
		}
	}
	if len(out) == 0 && item.EncryptedContent != "" {
		out = append(out, item.EncryptedContent)
	}
	return out
}

// add adds an item to a conversation. A call of a tool goes with what the assistant said before, if join.
func (item responsesItem) add(to []bus.Message, join bool) ([]bus.Message, error) {
	switch {
	case item.Type == "message", item.Type == "" && item.Role != "":
		m := bus.Message{Role: roleOf(item.Role)}
		err := responseParts.read(item.Content, &m)
		return append(to, m), err
	case item.Type == "function_call":
		args, err := argumentsOf(item.Arguments)
		if err != nil {
			return to, err
		}
		if n := len(to); n == 0 || to[n-1].Role != "assistant" || !join {
			to = append(to, bus.Message{Role: "assistant"})
		}
		m := &to[len(to)-1]
		m.ToolCalls = append(m.ToolCalls, bus.ToolCall{ID: item.CallID, Index: len(m.ToolCalls), Name: nameWithin(item.Namespace, item.Name), Arguments: args})
		return to, nil
	case item.Type == "function_call_output":
		m := bus.Message{Role: "tool", ToolCallID: item.CallID, ToolName: calledName(to, item.CallID)}
		err := responseParts.read(item.Output, &m)
		return append(to, m), err
	}
	if item.Type == "web_search_call" { // the answer behind it tells what was found
		return to, nil
	}
	return nil, bus.Errorf(bus.CodeInvalid, "the type %q: want message, function_call, function_call_output, web_search_call, reasoning or item_reference", item.Type)
}
