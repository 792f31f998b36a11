package gateway

import (
	"encoding/json"
	"net/http"

	"github.com/mycoswarm/mycoswarm/bus"
)

// anthropicDialect is Anthropic's interface: https://docs.anthropic.com/en/api/messages
var anthropicDialect = &dialect{prefix: "/v1/messages", failure: anthropicFailure, requestID: "Request-Id"}

var anthropicRoutes = []route{
	{"POST /v1/messages", forLocal, anthropicDialect.handle((*Gateway).anthropicMessages)},
}

// bytesAToken is how much text makes a token, about.
const bytesAToken = 4

// anthropicErrors are the types of errors by status.
var anthropicErrors = map[int]string{
	http.StatusBadRequest: "invalid_request_error", http.StatusUnauthorized: "authentication_error", http.StatusForbidden: "permission_error",
	http.StatusNotFound: "not_found_error", http.StatusRequestEntityTooLarge: "request_too_large", http.StatusTooManyRequests: "rate_limit_error",
	http.StatusServiceUnavailable: "overloaded_error", http.StatusGatewayTimeout: "timeout_error",
}

// anthropicFailure spells an error.
func anthropicFailure(id string, status int, e *bus.Error, _ string) any {
	kind, ok := anthropicErrors[status]
	switch {
	case ok:
	case status < 500:
		kind = "invalid_request_error"
	default:
		kind = "api_error"
	}
	return map[string]any{
		"type": "error", "error": map[string]string{"type": kind, "message": sentence(e)}, "request_id": id,
	}
}

// anthropicQuestion is a request to /v1/messages.
type anthropicQuestion struct {
	question
	id string
	// estimate is the length of the prompt in bytes, of which a stream tells a guess at its start.
	estimate int
	begun    bool
	// open is the type of the block that is being written, and blocks how many are whole.
	open   string
	blocks int
	// content are the blocks of an answer that is told at once, but for its last ones.
	content []any
	// searches and fetches are how often the model called for them.
	searches, fetches int
}

// anthropicReply is an answer.
type anthropicReply struct {
	ID           string         `json:"id"`
	Type         string         `json:"type"`
	Role         string         `json:"role"`
	Model        string         `json:"model"`
	Content      []any          `json:"content"`
	StopReason   *string        `json:"stop_reason"`
	StopSequence *string        `json:"stop_sequence"`
	Usage        map[string]any `json:"usage"`
}

// begins names the answer.
func (q *anthropicQuestion) begins() {
	q.task, q.content = bus.NewTaskID(), []any{}
	q.id = "msg_" + string(q.task)
}

func (q *anthropicQuestion) reply(content []any, usage map[string]any) anthropicReply {
	return anthropicReply{ID: q.id, Type: "message", Role: "assistant", Model: q.model, Content: content, Usage: usage}
}

func (q *anthropicQuestion) usage(r bus.InferenceResult) map[string]any {
	out := map[string]any{"input_tokens": max(0, r.PromptTokens-r.CachedTokens), "output_tokens": r.OutputTokens}
	if r.CachedTokens > 0 { // all that it read is the sum of both
		out["cache_read_input_tokens"] = r.CachedTokens
	}
	if q.hosted != nil {
		out["server_tool_use"] = map[string]int{"web_search_requests": q.searches, "web_fetch_requests": q.fetches}
	}
	return out
}

// stopReason tells why the answer ended. Engines do not tell which text to stop at was met.
func stopReason(r bus.InferenceResult) *string {
	reason := "end_turn"
	switch {
	case len(r.ToolCalls) > 0:
		reason = "tool_use"
	case r.DoneReason == "length":
		reason = "max_tokens"
	}
	return &reason
}

func anthropicCall(c bus.ToolCall, input json.RawMessage) map[string]any {
	id := c.ID
	if id == "" {
		id = "toolu_" + string(bus.NewTaskID())
	}
	return map[string]any{"type": "tool_use", "id": id, "name": c.Name, "input": input}
}

var noInput = json.RawMessage("{}")

func inputOf(c bus.ToolCall) json.RawMessage {
	if len(c.Arguments) == 0 {
		return noInput
	}
	return c.Arguments
}

func (q *anthropicQuestion) whole(r bus.InferenceResult) any {
	q.add(r)
	for _, c := range r.ToolCalls {
		q.content = append(q.content, anthropicCall(c, inputOf(c)))
	}
	out := q.reply(q.content, q.usage(r))
	out.StopReason = stopReason(r)
	return out
}

// add adds what the model said to the answer.
func (q *anthropicQuestion) add(r bus.InferenceResult) {
	if r.Thinking != "" {
		q.content = append(q.content, map[string]string{"type": "thinking", "thinking": r.Thinking, "signature": ""})
	}
	if r.Text != "" {
		q.content = append(q.content, map[string]string{"type": "text", "text": r.Text})
	}
}

// start tells that the answer begins, once.
func (q *anthropicQuestion) start(out *stream) error {
	if q.begun {
		return nil
	}
	q.begun = true
	usage := map[string]any{"input_tokens": max(1, q.estimate/bytesAToken), "output_tokens": 0}
	return out.event("message_start", map[string]any{"type": "message_start", "message": q.reply([]any{}, usage)})
}

func (q *anthropicQuestion) piece(out *stream, c bus.InferenceChunk) error {
	if err := q.start(out); err != nil {
		return err
	}
	for _, s := range []struct{ kind, text string }{{"thinking", c.Thinking}, {"text", c.Text}} {
		if s.text == "" {
			continue
		}
		if q.open != s.kind {
			block := map[string]any{"type": s.kind, s.kind: ""}
			if s.kind == "thinking" {
				block["signature"] = ""
			}
			if err := q.begin(out, s.kind, block); err != nil {
				return err
			}
		}
		if err := q.delta(out, map[string]any{"type": s.kind + "_delta", s.kind: s.text}); err != nil {
			return err
		}
	}
	for _, c := range c.ToolCalls {
		if err := q.called(out, anthropicCall(c, noInput), inputOf(c)); err != nil {
			return err
		}
	}
	return nil
}

// called writes the call of a tool, a block of its own, and its input behind it.
func (q *anthropicQuestion) called(out *stream, call map[string]any, input json.RawMessage) error {
	if err := q.begin(out, "tool_use", call); err != nil {
		return err
	}
	if err := q.delta(out, map[string]any{"type": "input_json_delta", "partial_json": string(input)}); err != nil {
		return err
	}
	return q.end(out)
}

// begin opens a block, after the one that is open.
func (q *anthropicQuestion) begin(out *stream, kind string, block any) error {
	if err := q.end(out); err != nil {
		return err
	}
	q.open = kind
	return out.event("content_block_start", map[string]any{"type": "content_block_start", "index": q.blocks, "content_block": block})
}

func (q *anthropicQuestion) delta(out *stream, delta any) error {
	return out.event("content_block_delta", map[string]any{"type": "content_block_delta", "index": q.blocks, "delta": delta})
}

// end closes the open block, if there is one. What was thought is signed with nothing: clients that hear of no signature do not
// send it again.
func (q *anthropicQuestion) end(out *stream) error {
	switch q.open {
	case "":
		return nil
	case "thinking":
		if err := q.delta(out, map[string]string{"type": "signature_delta", "signature": ""}); err != nil {
			return err
		}
	}
	q.open = ""
	at := q.blocks
	q.blocks++
	return out.event("content_block_stop", map[string]any{"type": "content_block_stop", "index": at})
}

func (q *anthropicQuestion) ends(out *stream, r bus.InferenceResult) error {
	if err := q.start(out); err != nil {
		return err
	}
	if err := q.end(out); err != nil {
		return err
	}
	delta := map[string]any{"stop_reason": stopReason(r), "stop_sequence": nil}
	if err := out.event("message_delta", map[string]any{"type": "message_delta", "delta": delta, "usage": q.usage(r)}); err != nil {
		return err
	}
	return out.event("message_stop", map[string]string{"type": "message_stop"})
}

func (q *anthropicQuestion) fails(out *stream, status int, e *bus.Error) error {
	return out.event("error", anthropicFailure(requestID(out.w), status, e, ""))
}
