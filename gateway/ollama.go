package gateway

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// ollamaDialect is Ollama's interface: https://github.com/ollama/ollama/blob/main/docs/api.md
var ollamaDialect = &dialect{prefix: "/api/", lax: true, anyCase: true, failure: func(_ string, _ int, e *bus.Error, _ string) any {
	return map[string]string{"error": sentence(e)}
}}

// rootRoute is where Ollama's clients look whether there is one, and people with a browser for the dashboard.
const rootRoute = "GET /{$}"

var ollamaRoutes = []route{
	{rootRoute, forLocal, ollamaDialect.handle((*Gateway).ollamaRoot)},
	{"GET /api/version", forLocal, ollamaDialect.handle((*Gateway).ollamaVersion)},
	{"GET /api/tags", forLocal, ollamaDialect.handle((*Gateway).ollamaTags)},
	{"GET /api/ps", forLocal, ollamaDialect.handle((*Gateway).ollamaPS)},
	{"POST /api/show", forLocal, ollamaDialect.handle((*Gateway).ollamaShow)},
	{"POST /api/chat", forLocal, ollamaDialect.handle((*Gateway).ollamaChat)},
	{"POST /api/generate", forLocal, ollamaDialect.handle((*Gateway).ollamaGenerate)},
}

// ollamaReply is an answer, or a piece of one.
type ollamaReply struct {
	Model     string    `json:"model"`
	CreatedAt time.Time `json:"created_at"`
	// Message is what /api/chat says, Response, Thinking and Context what /api/generate does.
	Message  *bus.OllamaMessage `json:"message,omitempty"`
	Response *string            `json:"response,omitempty"`
	Thinking string             `json:"thinking,omitempty"`
	Context  json.RawMessage    `json:"context,omitempty"`
	Logprobs []bus.Logprob      `json:"logprobs,omitempty"`

	// Restarted is of a stream whose client asked for it, see headerOnLoss.
	Restarted bool `json:"myco_restarted,omitempty"`

	Done               bool          `json:"done"`
	DoneReason         string        `json:"done_reason,omitempty"`
	TotalDuration      time.Duration `json:"total_duration,omitempty"`
	LoadDuration       time.Duration `json:"load_duration,omitempty"`
	PromptEvalCount    int           `json:"prompt_eval_count,omitempty"`
	PromptEvalDuration time.Duration `json:"prompt_eval_duration,omitempty"`
	EvalCount          int           `json:"eval_count,omitempty"`
	EvalDuration       time.Duration `json:"eval_duration,omitempty"`
}

// ollamaQuestion is a request to /api/chat or /api/generate.
type ollamaQuestion struct {
	task   bus.TaskID // that is to answer
	model  string
	stream bool
	chat   bool
	req    bus.InferenceRequest
}

// reply spells what the model said.
func (q *ollamaQuestion) reply(c bus.InferenceChunk) ollamaReply {
	out := ollamaReply{Model: q.model, CreatedAt: time.Now().UTC(), Restarted: c.Restarted, Logprobs: c.Logprobs}
	if !q.chat {
		out.Response, out.Thinking = &c.Text, c.Thinking
		return out
	}
	m := bus.Message{Role: "assistant", Content: c.Text, Thinking: c.Thinking, ToolCalls: c.ToolCalls}.InOllama()
	out.Message = &m
	return out
}

// last is the reply that ends an answer.
func (q *ollamaQuestion) last(c bus.InferenceChunk, r bus.InferenceResult) ollamaReply {
	out := q.reply(c)
	out.Done, out.DoneReason = true, r.DoneReason
	if q.req.Load { // Ollama tells no figures of that
		return out
	}
	out.TotalDuration, out.LoadDuration, out.PromptEvalDuration, out.EvalDuration = r.Duration, r.Loading, r.Reading, r.Writing
	out.PromptEvalCount, out.EvalCount = r.PromptTokens, r.OutputTokens
	if !q.chat {
		out.Context = r.Context
	}
	return out
}

func (g *Gateway) ollamaChat(w http.ResponseWriter, r *http.Request) error {
	f, err := ollamaDialect.readFields(r)
	if err != nil {
		return err
	}
	q := ollamaQuestion{chat: true}
	q.takeCommon(f)
	var messages []bus.OllamaMessage
	f.fewMessages("messages")
	f.take("messages", &messages)
	f.take("tools", &q.req.Tools)
	if string(q.req.Tools) == "[]" {
		q.req.Tools = nil
	}
	for _, m := range messages {
		to := m.Message
		to.Role = roleOf(strings.ToLower(m.Role))
		for _, c := range m.ToolCalls {
			call := c.ToolCall()
			switch args := call.Arguments; {
			case len(args) == 0, string(args) == "null":
				call.Arguments = nil
			case args[0] != '{' && f.err == nil:
				f.err = misfit("messages", "the arguments of a call of %q are not a JSON object", call.Name)
			}
			to.ToolCalls = append(to.ToolCalls, call)
		}
		q.req.Messages = append(q.req.Messages, to)
	}
	q.req.Load = len(messages) == 0
	return g.ollamaAnswer(w, r, f, &q)
}

// roleOf is what engines call a role.
func roleOf(role string) string {
	if role == "developer" {
		return "system"
	}
	return role
}

func (g *Gateway) ollamaGenerate(w http.ResponseWriter, r *http.Request) error {
	f, err := ollamaDialect.readFields(r)
	if err != nil {
		return err
	}
	q := ollamaQuestion{}
	q.takeCommon(f)
	q.req.Mode = bus.ModeGenerate
	f.takeAll(
		field{"prompt", &q.req.Prompt}, field{"suffix", &q.req.Suffix}, field{"system", &q.req.System}, field{"template", &q.req.Template},
		field{"images", &q.req.Images}, field{"context", &q.req.Context}, field{"raw", &q.req.Raw},
	)
	if string(q.req.Context) == "[]" {
		q.req.Context = nil
	}
	q.req.Load = q.req.Prompt == "" && len(q.req.Images) == 0 && q.req.Suffix == ""
	return g.ollamaAnswer(w, r, f, &q)
}

// takeCommon takes what both kinds of request have.
func (q *ollamaQuestion) takeCommon(f *fields) {
	q.stream = true
	q.req.Dialect = "ollama"
	q.req.Truncate, q.req.Shift = true, true // as in Ollama
	f.takeAll(
		field{"model", &q.model}, field{"stream", &q.stream}, field{"format", &q.req.Format}, field{"think", &q.req.Think},
		field{"keep_alive", &q.req.KeepAlive}, field{"truncate", &q.req.Truncate}, field{"shift", &q.req.Shift},
		field{"logprobs", &q.req.Logprobs}, field{"top_logprobs", &q.req.TopLogprobs},
	)
	if string(q.req.Format) == `""` {
		q.req.Format = nil
	}
	if string(q.req.Think) == `""` {
		q.req.Think = nil
	}
	f.refuse("_debug_render_only")
	f.drop("width", "height", "steps")
	q.takeOptions(f)
}

// takeOptions takes those options that have a field of their own, and leaves the rest to the engine.
func (q *ollamaQuestion) takeOptions(f *fields) {
	opts := &fields{}
	f.take("options", &opts.left)
	for name, v := range opts.left {
		if string(v) == "null" {
			delete(opts.left, name)
		}
	}
	f.number("options.", opts.left, "temperature", "seed", "num_predict", "num_thread", "num_ctx", "top_p", "top_k", "min_p")
	within := func(least, most int64) func(int64) bool { return func(n int64) bool { return n >= least && n <= most } }
	var tokens, threads int64
	try(opts, "temperature", &q.req.Temperature, func(t *float64) bool { return t != nil && *t >= 0 && *t <= 100 })
	try(opts, "seed", &q.req.Seed, func(n *int64) bool { return n != nil })
	try(opts, "stop", &q.req.Stop, func(s []string) bool { return len(s) > 0 })
	try(opts, "num_predict", &tokens, within(1, 1<<20))
	try(opts, "num_thread", &threads, within(1, 1024))
	q.req.MaxTokens, q.req.Threads = int(tokens), int(threads)
	if len(opts.left) > 0 {
		q.req.Options = opts.left
	}
}

// ollamaAnswer asks the swarm, and writes the answer.
func (g *Gateway) ollamaAnswer(w http.ResponseWriter, r *http.Request, f *fields, q *ollamaQuestion) error {
	if f.err != nil {
		return f.err
	}
	if q.model == "" {
		return wrong{err: bus.Errorf(bus.CodeInvalid, "model is required")}
	}
	if len(f.left) > 0 {
		q.req.Extra = f.left
	}
	q.task = bus.NewTaskID()
	if !q.stream || q.req.Load { // what loads a model is one object, as in Ollama
		info, res, err := g.ask(r, q.task, q.model, &q.req, nil)
		if err != nil {
			return err
		}
		answered(w, q.task, info.NodeID, res.Demo)
		g.write(w, http.StatusOK, q.last(bus.InferenceChunk{Text: res.Text, Thinking: res.Thinking, ToolCalls: res.ToolCalls, Logprobs: res.Logprobs}, res))
		return nil
	}
	out := newNDJSON(w, q.task)
	defer out.end()
	info, res, err := g.ask(out.keepAlive(r), q.task, q.model, &q.req, func(node bus.NodeID, c bus.InferenceChunk) error {
		out.begin(node, c.Demo)
		out.more = c.More
		return out.send(q.reply(c))
	})
	return g.closes(r, out, err, ollamaDialect.fails, func() error {
		out.begin(info.NodeID, res.Demo)
		return out.send(q.last(bus.InferenceChunk{}, res))
	})
}
