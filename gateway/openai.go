package gateway

import (
	"net/http"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// openAIDialect is OpenAI's interface: https://platform.openai.com/docs/api-reference
var openAIDialect = &dialect{prefix: "/v1/", failure: openAIFailure, requestID: "X-Request-Id"}

var openAIRoutes = []route{
	{"GET /v1/models", forLocal, ofModels((*Gateway).openAIModels, (*Gateway).anthropicModels)},
	{"GET /v1/models/{model...}", forLocal, ofModels((*Gateway).openAIModel, (*Gateway).anthropicModel)},
	{"POST /v1/chat/completions", forLocal, openAIDialect.handle((*Gateway).openAIChat)},
	{"POST /v1/completions", forLocal, openAIDialect.handle((*Gateway).openAICompletion)},
	{"POST /v1/responses", forLocal, openAIDialect.handle((*Gateway).openAIResponse)},
}

// openAIFailure spells an error; field is its param.
func openAIFailure(_ string, status int, e *bus.Error, field string) any {
	kind, code := "api_error", any(nil)
	switch {
	case status == http.StatusUnauthorized:
		kind, code = "authentication_error", "invalid_api_key"
	case status == http.StatusForbidden:
		kind = "permission_error"
	case status == http.StatusNotFound && e.Code == bus.CodeNoWorker:
		kind, code = "invalid_request_error", "model_not_found"
	case status == http.StatusTooManyRequests:
		kind, code = "rate_limit_error", "rate_limit_exceeded"
	case status == http.StatusBadRequest && e.Code == bus.CodeTooLarge:
		kind, code = "invalid_request_error", "context_length_exceeded"
	case e.Code == bus.CodeCancelled:
		code = "cancelled"
	case status < 500:
		kind = "invalid_request_error"
	}
	param := any(nil)
	if field != "" {
		param = field
	}
	return map[string]any{"error": map[string]any{"message": sentence(e), "type": kind, "param": param, "code": code}}
}

// openAIQuestion is a request to /v1/chat/completions or /v1/completions.
type openAIQuestion struct {
	question
	usage bool // a stream tells the usage at its end
	chat  bool
	web   searched
	// choices are how many answers are wanted to each prompt, and prompts all prompts where there are several.
	choices int
	prompts []string

	id      string
	created int64
	index   int  // of the answer among several
	beside  int  // bytes of the prompts of the others
	begun   bool // the client knows the role
	calls   int  // calls of tools that the client has
	runes   int  // characters whose probabilities the client of a completion has
}

type openAIDelta struct {
	Role    string  `json:"role,omitempty"`
	Content *string `json:"content,omitempty"`
	openAIThought
	ToolCalls []openAIToolCall `json:"tool_calls,omitempty"`
	// Annotations come with the end.
	Annotations []openAIAnnotation `json:"annotations,omitempty"`
}

// openAIThought is what a model thought, by both names: clients know one of them, or both and take the first.
type openAIThought struct {
	Reasoning        string `json:"reasoning,omitempty"`
	ReasoningContent string `json:"reasoning_content,omitempty"`
}

type openAIToolCall struct {
	Index    int    `json:"index"`
	ID       string `json:"id"`
	Type     string `json:"type"`
	Function struct {
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	} `json:"function"`
}

type openAIChoice struct {
	Index int `json:"index"`
	// Delta is a piece of a chat, Message all of it, Text either of a completion.
	Delta        *openAIDelta   `json:"delta,omitempty"`
	Message      *openAIMessage `json:"message,omitempty"`
	Text         *string        `json:"text,omitempty"`
	FinishReason *string        `json:"finish_reason"`
	Logprobs     any            `json:"logprobs"`
}

// openAIMessage is the answer of a chat.
type openAIMessage struct {
	Role    string  `json:"role"`
	Content *string `json:"content"`
	openAIThought
	ToolCalls   []openAIToolCall   `json:"tool_calls,omitempty"`
	Refusal     *string            `json:"refusal"`
	Annotations []openAIAnnotation `json:"annotations,omitempty"`
}

type openAIUsage struct {
	PromptTokens     int `json:"prompt_tokens"`
	CompletionTokens int `json:"completion_tokens"`
	TotalTokens      int `json:"total_tokens"`
	// Details are told where the engine tells them.
	Details *cachedTokens `json:"prompt_tokens_details,omitempty"`
}

// cachedTokens is how much of a prompt an engine had read before.
type cachedTokens struct {
	N int `json:"cached_tokens"`
}

// openAIReply is an answer, or a piece of one.
type openAIReply struct {
	ID                string `json:"id"`
	Object            string `json:"object"`
	Created           int64  `json:"created"`
	Model             string `json:"model"`
	SystemFingerprint string `json:"system_fingerprint"`
	// Restarted is of a stream whose client asked for it, see headerOnLoss.
	Restarted bool           `json:"myco_restarted,omitempty"`
	Choices   []openAIChoice `json:"choices"`
	Usage     *openAIUsage   `json:"usage,omitempty"`
}

func (q *openAIQuestion) reply(choices ...openAIChoice) openAIReply {
	object := "text_completion"
	switch {
	case q.chat && q.stream:
		object = "chat.completion.chunk"
	case q.chat:
		object = "chat.completion"
	}
	if choices == nil {
		choices = []openAIChoice{}
	}
	for i := range choices {
		choices[i].Index = q.index
	}
	return openAIReply{ID: q.id, Object: object, Created: q.created, Model: q.model, SystemFingerprint: "fp_mycoswarm", Choices: choices}
}

// toolCalls spells calls of tools; each has an id, for the result to name.
func (q *openAIQuestion) toolCalls(in []bus.ToolCall) []openAIToolCall {
	out := make([]openAIToolCall, len(in))
	for i, c := range in {
		out[i] = openAIToolCall{Index: q.calls, ID: c.ID, Type: "function"}
		if c.ID == "" {
			out[i].ID = "call_" + string(bus.NewTaskID())
		}
		out[i].Function.Name, out[i].Function.Arguments = c.Name, string(c.Arguments)
		if len(c.Arguments) == 0 {
			out[i].Function.Arguments = "{}"
		}
		q.calls++
	}
	return out
}

// chunk spells one piece of an answer.
func (q *openAIQuestion) chunk(c bus.InferenceChunk) openAIReply {
	if c.Restarted {
		c.Restarted, q.calls, q.runes = false, 0, 0
		out := q.chunk(c)
		out.Restarted = true
		return out
	}
	if !q.chat {
		return q.reply(openAIChoice{Text: &c.Text, Logprobs: q.logprobs(c.Logprobs)})
	}
	c.Text = q.says(c.Text)
	d := openAIDelta{openAIThought: openAIThought{c.Thinking, c.Thinking}, ToolCalls: q.toolCalls(c.ToolCalls)}
	if c.Text != "" || !q.begun {
		d.Content = &c.Text
	}
	if !q.begun {
		q.begun, d.Role = true, "assistant"
	}
	return q.reply(openAIChoice{Delta: &d, Logprobs: q.logprobs(c.Logprobs)})
}

func (q *openAIQuestion) finish(r bus.InferenceResult) *string {
	reason := r.DoneReason
	switch {
	case len(r.ToolCalls) > 0:
		reason = "tool_calls"
	case reason != "length":
		reason = "stop"
	}
	return &reason
}

func usageOf(r bus.InferenceResult) *openAIUsage {
	out := &openAIUsage{PromptTokens: r.PromptTokens, CompletionTokens: r.OutputTokens, TotalTokens: r.PromptTokens + r.OutputTokens}
	if r.CachedTokens > 0 {
		out.Details = &cachedTokens{r.CachedTokens}
	}
	return out
}

// message spells an answer at once.
func (q *openAIQuestion) message(r bus.InferenceResult) openAIReply {
	r = q.all(r)
	choice := openAIChoice{FinishReason: q.finish(r), Text: &r.Text, Logprobs: q.logprobs(r.Logprobs)}
	if q.chat {
		choice.Text = nil
		choice.Message = &openAIMessage{
			Role: "assistant", Content: &r.Text, openAIThought: openAIThought{r.Thinking, r.Thinking},
			ToolCalls: q.toolCalls(r.ToolCalls), Annotations: q.annotations(),
		}
		if r.Text == "" && len(r.ToolCalls) > 0 {
			choice.Message.Content = nil
		}
	}
	out := q.reply(choice)
	out.Usage = usageOf(r)
	return out
}

// whole implements teller.
func (q *openAIQuestion) whole(r bus.InferenceResult) any { return q.message(r) }

// piece implements teller.
func (q *openAIQuestion) piece(out *stream, c bus.InferenceChunk) error { return out.send(q.chunk(c)) }

// ends implements teller.
func (q *openAIQuestion) ends(out *stream, r bus.InferenceResult) error {
	if err := q.finishes(out, r); err != nil {
		return err
	}
	return q.over(out, usageOf(r))
}

// fails implements teller.
func (q *openAIQuestion) fails(out *stream, status int, e *bus.Error) error {
	return openAIDialect.fails(out, status, e)
}

// finishes writes what comes after the pieces of one answer, of those in a stream.
func (q *openAIQuestion) finishes(out *stream, r bus.InferenceResult) error {
	if q.chat && !q.begun { // nothing was said
		if err := q.piece(out, bus.InferenceChunk{}); err != nil {
			return err
		}
	}
	last := openAIChoice{FinishReason: q.finish(r), Delta: &openAIDelta{Annotations: q.annotations()}}
	if !q.chat {
		last.Delta, last.Text = nil, new(string)
	}
	return out.send(q.reply(last))
}

// over writes the end of a stream.
func (q *openAIQuestion) over(out *stream, usage *openAIUsage) error {
	if q.usage {
		total := q.reply()
		total.Usage = usage
		if err := out.send(total); err != nil {
			return err
		}
	}
	return out.text("[DONE]")
}

// openAIAnswer asks the swarm, and writes the answer.
func (g *Gateway) openAIAnswer(w http.ResponseWriter, r *http.Request, f *fields, q *openAIQuestion) error {
	if f.err != nil {
		return f.err
	}
	if q.model == "" {
		return wrong{err: bus.Errorf(bus.CodeInvalid, "you must provide a model parameter"), field: "model"}
	}
	if q.hosted != nil && r.Header.Get(headerOnLoss) == lossRestart {
		return wrong{err: bus.Errorf(bus.CodeInvalid, "%s: %s: an answer from the web cannot begin anew", headerOnLoss, lossRestart)}
	}
	if len(f.left) > 0 {
		q.req.Extra = f.left
	}
	q.task, q.created, q.restarts = bus.NewTaskID(), time.Now().Unix(), true
	if q.id = "chatcmpl-" + string(q.task); !q.chat {
		q.id = "cmpl-" + string(q.task)
	}
	if q.choices > 1 || len(q.prompts) > 1 {
		return g.openAISeveral(w, r, q)
	}
	return g.tell(w, r, &q.question, q)
}

// openAIListed is a model in a list.
type openAIListed struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	OwnedBy string `json:"owned_by"`
}

func listedModel(m bus.ModelInfo) openAIListed {
	out := openAIListed{ID: m.Name, Object: "model", OwnedBy: "mycoswarm"}
	if !m.ModifiedAt.IsZero() {
		out.Created = m.ModifiedAt.Unix()
	}
	return out
}

func (g *Gateway) openAIModels(w http.ResponseWriter, _ *http.Request) error {
	data := []openAIListed{}
	for _, m := range g.latest() {
		data = append(data, listedModel(m))
	}
	g.write(w, http.StatusOK, map[string]any{"object": "list", "data": data})
	return nil
}

func (g *Gateway) openAIModel(w http.ResponseWriter, r *http.Request) error {
	m, err := g.modelAsked(r.PathValue("model"))
	if err != nil {
		return err
	}
	g.write(w, http.StatusOK, listedModel(m))
	return nil
}
