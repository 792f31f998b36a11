package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// responsesQuestion is a request to /v1/responses:
// https://platform.openai.com/docs/api-reference/responses
type responsesQuestion struct {
	question
	echo   responsesEcho
	spaced map[string]spaced // functions of namespaces, by what the model calls them

	calls   int  // how often the swarm's own tools may be called
	sources bool // told with each search
	seen    seen

	id       string
	created  int64
	previous *string               // the id of the response that it goes on from
	store    func(*responsesReply) // stores an answer, nil where that is not wanted
	// seq is the number of the next event, done the items that are whole, open the one that is not.
	seq  int
	done []responsesOutput
	open *responsesOutput
	text strings.Builder // of open
	odds []bus.Logprob   // of the message so far, of which the client has told
	told int
}

// responsesEcho is what an answer repeats of its request.
type responsesEcho struct {
	Instructions    *string         `json:"instructions"`
	Tools           []responsesTool `json:"tools"`
	ToolChoice      json.RawMessage `json:"tool_choice"`
	Truncation      string          `json:"truncation"`
	TopP            json.RawMessage `json:"top_p"`
	Temperature     json.RawMessage `json:"temperature"`
	MaxOutputTokens *int            `json:"max_output_tokens"`
	MaxToolCalls    *int            `json:"max_tool_calls"`
	// ParallelToolCalls is true unless told.
	ParallelToolCalls bool `json:"parallel_tool_calls"`
	Text              struct {
		Format responsesFormat `json:"format"`
	} `json:"text"`
	Reasoning *struct {
		Effort  *string `json:"effort"`
		Summary *string `json:"summary"`
	} `json:"reasoning"`
}

type responsesFormat struct {
	Type   string          `json:"type"`
	Name   string          `json:"name,omitempty"`
	Schema json.RawMessage `json:"schema,omitempty"`
	Strict *bool           `json:"strict,omitempty"`
}

// responsesReply is an answer, whole or as far as it is made.
type responsesReply struct {
	ID                 string            `json:"id"`
	Object             string            `json:"object"`
	CreatedAt          int64             `json:"created_at"`
	CompletedAt        *int64            `json:"completed_at"`
	Status             string            `json:"status"`
	IncompleteDetails  map[string]string `json:"incomplete_details"`
	Model              string            `json:"model"`
	PreviousResponseID *string           `json:"previous_response_id"`
	Output             []responsesOutput `json:"output"`
	Error              map[string]string `json:"error"`
	responsesEcho
	PresencePenalty  float64        `json:"presence_penalty"`
	FrequencyPenalty float64        `json:"frequency_penalty"`
	TopLogprobs      int            `json:"top_logprobs"`
	Usage            map[string]any `json:"usage"`
	Store            bool           `json:"store"`
	Background       bool           `json:"background"`
	ServiceTier      string         `json:"service_tier"`
	Metadata         map[string]any `json:"metadata"`
	SafetyIdentifier *string        `json:"safety_identifier"`
	PromptCacheKey   *string        `json:"prompt_cache_key"`
}

// responsesOutput is an item of an answer: a message, a call of a tool, or what was thought.
type responsesOutput struct {
	ID      string            `json:"id"`
	Type    string            `json:"type"`
	Status  string            `json:"status,omitempty"`
	Role    string            `json:"role,omitempty"`
	Content *[]map[string]any `json:"content,omitempty"`
	CallID  string            `json:"call_id,omitempty"`
	Name    string            `json:"name,omitempty"`
	// Namespace is that of a function which the client has named within one.
	Namespace string `json:"namespace,omitempty"`
	// Arguments are JSON in a text.
	Arguments        *string              `json:"arguments,omitempty"`
	Summary          *[]map[string]string `json:"summary,omitempty"`
	EncryptedContent string               `json:"encrypted_content,omitempty"`
	// Action is what a web_search_call does.
	Action map[string]any `json:"action,omitempty"`
}

// begins names the answer.
func (q *responsesQuestion) begins() {
	// By its id a response is got later, so that it is not that of the task, which everybody may see.
	q.id, q.task, q.created = string(bus.NewTaskID()), bus.NewTaskID(), time.Now().Unix()
	q.done = []responsesOutput{}
}

func (q *responsesQuestion) reply(status string) responsesReply {
	return responsesReply{
		ID: responseID(q.id), Object: "response", CreatedAt: q.created, Status: status, Model: q.model, PreviousResponseID: q.previous, Output: q.done,
		TopLogprobs: q.req.TopLogprobs, responsesEcho: q.echo, Store: q.store != nil, ServiceTier: "default", Metadata: map[string]any{},
	}
}

// ended is the answer at its end.
func (q *responsesQuestion) ended(r bus.InferenceResult) responsesReply {
	out := q.reply("completed")
	if r.DoneReason == "length" {
		out.Status, out.IncompleteDetails = "incomplete", map[string]string{"reason": "max_output_tokens"}
	}
	now := time.Now().Unix()
	out.CompletedAt = &now
	out.Usage = map[string]any{
		"input_tokens": r.PromptTokens, "output_tokens": r.OutputTokens, "total_tokens": r.PromptTokens + r.OutputTokens,
		"input_tokens_details":  cachedTokens{r.CachedTokens},
		"output_tokens_details": map[string]int{"reasoning_tokens": 0},
	}
	if q.store != nil {
		q.store(&out)
	}
	return out
}

func (q *responsesQuestion) reasoningID() string { return fmt.Sprintf("rs_%s_%d", q.id, len(q.done)) }

func summaryText(text string) map[string]string {
	return map[string]string{"type": "summary_text", "text": text}
}

func (q *responsesQuestion) thoughts(text string) responsesOutput {
	return responsesOutput{ID: q.reasoningID(), Type: "reasoning", EncryptedContent: text, Summary: &[]map[string]string{summaryText(text)}}
}

func (q *responsesQuestion) outputText(text string, odds []bus.Logprob) map[string]any {
	return map[string]any{"type": "output_text", "text": text, "annotations": q.citations(text), "logprobs": ofTokens(odds)}
}

func (q *responsesQuestion) message(text string, odds []bus.Logprob) responsesOutput {
	return responsesOutput{
		ID: fmt.Sprintf("msg_%s_%d", q.id, len(q.done)), Type: "message", Status: "completed", Role: "assistant", Content: &[]map[string]any{q.outputText(text, odds)},
	}
}

func (q *responsesQuestion) whole(r bus.InferenceResult) any {
	if q.add(r); r.Text == "" && len(r.ToolCalls) == 0 {
		q.done = append(q.done, q.message("", ofText(r.Logprobs, r.Thinking, "")))
	}
	for _, c := range r.ToolCalls {
		q.done = append(q.done, q.call(c))
	}
	return q.ended(r)
}

// add adds what the model said to the answer.
func (q *responsesQuestion) add(r bus.InferenceResult) {
	if r.Thinking != "" {
		q.done = append(q.done, q.thoughts(r.Thinking))
	}
	if r.Text != "" {
		q.done = append(q.done, q.message(r.Text, ofText(r.Logprobs, r.Thinking, r.Text)))
	}
}

// send writes an event of a type, which is its number's too.
func (q *responsesQuestion) send(out *stream, kind string, event map[string]any) error {
	event["type"], event["sequence_number"] = kind, q.seq
	q.seq++
	return out.event(kind, event)
}

// start tells that the answer begins, once.
func (q *responsesQuestion) start(out *stream) error {
	if q.seq > 0 {
		return nil
	}
	if err := q.send(out, "response.created", map[string]any{"response": q.reply("in_progress")}); err != nil {
		return err
	}
	return q.send(out, "response.in_progress", map[string]any{"response": q.reply("in_progress")})
}

func (q *responsesQuestion) piece(out *stream, c bus.InferenceChunk) error {
	if err := q.start(out); err != nil {
		return err
	}
	q.odds = append(q.odds, ofText(c.Logprobs, c.Thinking, c.Text)...) // those without a text go with the next one
	for _, s := range []struct{ kind, text, event string }{
		{"reasoning", c.Thinking, "response.reasoning_summary_text.delta"},
		{"message", c.Text, "response.output_text.delta"},
	} {
		if s.text == "" {
			continue
		}
		if err := q.begin(out, s.kind); err != nil {
			return err
		}
		q.text.WriteString(s.text)
		delta := q.part(map[string]any{"delta": s.text})
		if s.kind == "message" { // only what is new: all of them with each piece would be too many
			delta["logprobs"], q.told = ofTokens(q.odds[q.told:]), len(q.odds)
		}
		if err := q.send(out, s.event, delta); err != nil {
			return err
		}
	}
	for _, c := range c.ToolCalls {
		if err := q.called(out, c); err != nil {
			return err
		}
	}
	return nil
}

// part says in an event which part of which item it is about.
func (q *responsesQuestion) part(event map[string]any) map[string]any {
	event["item_id"], event["output_index"] = q.open.ID, len(q.done)
	if q.open.Type == "reasoning" {
		event["summary_index"] = 0
		return event
	}
	event["content_index"] = 0
	return event
}

// begin opens an item of a kind, unless the open one is.
func (q *responsesQuestion) begin(out *stream, kind string) error {
	if q.open != nil && q.open.Type == kind {
		return nil
	}
	if err := q.end(out); err != nil {
		return err
	}
	item := responsesOutput{ID: q.reasoningID(), Type: kind, Summary: &[]map[string]string{}}
	if kind == "message" {
		item = q.message("", nil)
		item.Status, item.Content = "in_progress", &[]map[string]any{}
	}
	q.open = &item
	q.text.Reset()
	if err := q.send(out, "response.output_item.added", map[string]any{"output_index": len(q.done), "item": item}); err != nil {
		return err
	}
	if kind == "reasoning" {
		return q.send(out, "response.reasoning_summary_part.added", q.part(map[string]any{"part": summaryText("")}))
	}
	return q.send(out, "response.content_part.added", q.part(map[string]any{"part": q.outputText("", nil)}))
}

// end closes the open item, if there is one.
func (q *responsesQuestion) end(out *stream) error {
	if q.open == nil {
		return nil
	}
	text := q.text.String()
	item, ends := q.thoughts(text), q.endThoughts
	if q.open.Type == "message" {
		item, ends = q.message(text, q.odds), q.endMessage
	}
	if err := ends(out, text); err != nil {
		return err
	}
	q.open = nil
	return q.finish(out, item)
}

func (q *responsesQuestion) endThoughts(out *stream, text string) error {
	if err := q.send(out, "response.reasoning_summary_text.done", q.part(map[string]any{"text": text})); err != nil {
		return err
	}
	return q.send(out, "response.reasoning_summary_part.done", q.part(map[string]any{"part": summaryText(text)}))
}

func (q *responsesQuestion) endMessage(out *stream, text string) error {
	odds := q.odds
	q.odds, q.told = nil, 0
	if err := q.cite(out, text); err != nil {
		return err
	}
	if err := q.send(out, "response.output_text.done", q.part(map[string]any{"text": text, "logprobs": ofTokens(odds)})); err != nil {
		return err
	}
	return q.send(out, "response.content_part.done", q.part(map[string]any{"part": q.outputText(text, odds)}))
}

// finish tells that an item is whole.
func (q *responsesQuestion) finish(out *stream, item responsesOutput) error {
	at := len(q.done)
	q.done = append(q.done, item)
	return q.send(out, "response.output_item.done", map[string]any{"output_index": at, "item": item})
}

// called writes the call of a tool, which is an item of its own.
func (q *responsesQuestion) called(out *stream, c bus.ToolCall) error {
	if err := q.end(out); err != nil {
		return err
	}
	item := q.call(c)
	none, begun := "", item
	begun.Status, begun.Arguments = "in_progress", &none
	if err := q.send(out, "response.output_item.added", map[string]any{"output_index": len(q.done), "item": begun}); err != nil {
		return err
	}
	delta := map[string]any{"item_id": item.ID, "output_index": len(q.done), "delta": *item.Arguments}
	if err := q.send(out, "response.function_call_arguments.delta", delta); err != nil {
		return err
	}
	done := map[string]any{"item_id": item.ID, "output_index": len(q.done), "arguments": *item.Arguments}
	if err := q.send(out, "response.function_call_arguments.done", done); err != nil {
		return err
	}
	return q.finish(out, item)
}

func (q *responsesQuestion) ends(out *stream, r bus.InferenceResult) error {
	if err := q.start(out); err != nil {
		return err
	}
	if err := q.end(out); err != nil {
		return err
	}
	reply := q.ended(r)
	return q.send(out, "response."+reply.Status, map[string]any{"response": reply})
}

func (q *responsesQuestion) fails(out *stream, status int, e *bus.Error) error {
	if err := q.start(out); err != nil { // it may have been told that it waits, and nothing else
		return err
	}
	reply := q.reply("failed")
	reply.Store = false
	code := "server_error"
	switch {
	case status == http.StatusTooManyRequests:
		code = "rate_limit_exceeded"
	case e.Code == bus.CodeTooLarge && status == http.StatusBadRequest:
		code = "context_length_exceeded"
	case status == http.StatusBadRequest, status == http.StatusRequestEntityTooLarge: // else clients ask again
		code = "invalid_prompt"
	}
	reply.Error = map[string]string{"code": code, "message": sentence(e)}
	return q.send(out, "response.failed", map[string]any{"response": reply})
}
