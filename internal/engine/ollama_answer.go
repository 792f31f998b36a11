package engine

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

type ollamaLine struct {
	Message bus.OllamaMessage
	// Response, Thinking, ToolCalls and Context are what /api/generate says in place of Message.
	Response  string
	Thinking  string
	ToolCalls []bus.OllamaCall `json:"tool_calls"`
	Context   json.RawMessage
	Logprobs  []bus.Logprob
	Error     string

	Done               bool
	DoneReason         string        `json:"done_reason"`
	LoadDuration       time.Duration `json:"load_duration"`
	PromptEvalCount    int           `json:"prompt_eval_count"`
	PromptEvalDuration time.Duration `json:"prompt_eval_duration"`
	EvalCount          int           `json:"eval_count"`
	EvalDuration       time.Duration `json:"eval_duration"`
}

func (l *ollamaLine) chunk() bus.InferenceChunk {
	c := bus.InferenceChunk{Text: l.Message.Content + l.Response, Thinking: l.Message.Thinking + l.Thinking}
	for _, call := range append(l.Message.ToolCalls, l.ToolCalls...) {
		c.ToolCalls = append(c.ToolCalls, call.ToolCall())
	}
	return c
}

func (l *ollamaLine) figures(r *bus.InferenceResult) {
	r.PromptTokens, r.OutputTokens = l.PromptEvalCount, l.EvalCount
	r.Loading, r.Reading, r.Writing = l.LoadDuration, l.PromptEvalDuration, l.EvalDuration
	r.Context = l.Context
}

// ollamaOptions returns the options of a request by their names in Ollama.
func ollamaOptions(req bus.InferenceRequest) map[string]any {
	out := map[string]any{}
	for name, v := range req.Options {
		out[name] = v
	}
	setSampling(out, req, "num_predict")
	if req.Threads > 0 {
		out["num_thread"] = req.Threads
	}
	return out
}

// setSampling sets what req asks for of what all engines call the same, but for the number of tokens, which is most.
func setSampling(body map[string]any, req bus.InferenceRequest, most string) {
	if req.Temperature != nil {
		body["temperature"] = *req.Temperature
	}
	if req.Seed != nil {
		body["seed"] = *req.Seed
	}
	if len(req.Stop) > 0 {
		body["stop"] = req.Stop
	}
	if req.MaxTokens > 0 {
		body[most] = req.MaxTokens
	}
}

// setJSON sets those values that there are.
func setJSON(body map[string]any, values map[string]json.RawMessage) {
	for name, v := range values {
		if len(v) > 0 {
			body[name] = v
		}
	}
}

// ollamaBody returns the path and the body that stand for req. num_ctx and keep_alive are sent only
// where the client names them: a request that differs in them makes the server load the model again.
func ollamaBody(model string, req bus.InferenceRequest) (path string, body map[string]any) {
	// Truncate and Shift false make the server say when a prompt or an answer does not
	// fit into the context. Otherwise it forgets the beginning in silence.
	body = map[string]any{"truncate": req.Truncate, "shift": req.Shift}
	if req.Dialect == KindOllama {
		setJSON(body, req.Extra)
	}
	maps.Copy(body, map[string]any{"model": model, "stream": true, "options": ollamaOptions(req)})
	setJSON(body, map[string]json.RawMessage{
		"format": req.Format, "think": req.Think, "keep_alive": req.KeepAlive,
	})
	wantLogprobs(body, req)
	if req.Mode == bus.ModeChat && !req.Raw && !req.Load {
		setJSON(body, map[string]json.RawMessage{"tools": req.Tools})
		body["messages"] = ollamaMessages(req.Conversation())
		return "/api/chat", body
	}
	setJSON(body, map[string]json.RawMessage{"context": req.Context})
	for name, s := range map[string]string{"prompt": req.Prompt, "system": req.System, "suffix": req.Suffix, "template": req.Template} {
		if s != "" {
			body[name] = s
		}
	}
	if req.Raw {
		body["raw"] = true
	}
	if len(req.Images) > 0 {
		body["images"] = req.Images
	}
	return "/api/generate", body
}

func ollamaMessages(in []bus.Message) []bus.OllamaMessage {
	out := make([]bus.OllamaMessage, len(in))
	for i, m := range in {
		out[i] = m.InOllama()
	}
	return out
}

// Generate implements Engine over /api/chat and, for the modes that it is for, /api/generate.
func (o *Ollama) Generate(ctx context.Context, model string, req bus.InferenceRequest, emit func(bus.InferenceChunk) error) (bus.InferenceResult, error) {
	a := newAnswer(KindOllama, model, req, emit)
	load, keepAlive := req.Load, req.KeepAlive // the rest of req, which may be large, is not kept during the answer
	path, body := ollamaBody(model, req)
	resp, err := o.c.do(ctx, http.MethodPost, path, asks{body, req.JSONSize()}) //nolint:bodyclose // leave does
	if err != nil {
		return bus.InferenceResult{}, modelMissing(err, o.c, model, "myco pull "+model)
	}
	res, err := o.read(ctx, resp.Body, a)
	leave(resp.Body, err == nil)
	if err == nil && load {
		res = a.loaded(keepAlive, reasonStop)
	}
	return res, err
}

// read takes an answer from a stream.
func (o *Ollama) read(ctx context.Context, body io.Reader, a *answer) (bus.InferenceResult, error) {
	return a.finish(o.lines(ctx, a.paced(ctx, body), a))
}

// lines takes an answer from the lines of a stream.
func (o *Ollama) lines(ctx context.Context, body io.Reader, a *answer) (bus.InferenceResult, error) {
	lines := bufio.NewScanner(body)
	lines.Buffer(make([]byte, 0, 4<<10), maxLine)
	var same repetition
	for lines.Scan() {
		var line ollamaLine
		if len(lines.Bytes()) == 0 {
			continue
		}
		if err := bus.Unmarshal(lines.Bytes(), &line); err != nil {
			return bus.InferenceResult{}, o.c.garbled(err)
		}
		if line.Error != "" {
			return bus.InferenceResult{}, o.c.broken(line.Error)
		}
		odds, err := a.wanted(line.Logprobs)
		if err != nil {
			return bus.InferenceResult{}, o.c.garbled(err)
		}
		piece := line.chunk()
		piece.Logprobs = odds
		if !a.add(piece) {
			if a.emitErr != nil {
				return bus.InferenceResult{}, a.emitErr
			}
			return a.done(reasonLength), nil
		}
		if line.Done {
			if a.asks && (line.DoneReason == reasonLoad || line.DoneReason == reasonUnload) {
				return bus.InferenceResult{}, bus.Retry(o.c.broken("it did not see the prompt, and says that the model is loaded"))
			}
			line.figures(&a.result)
			return a.done(line.DoneReason), nil
		}
		same.add(line.Message.Content + line.Response + line.Message.Thinking + line.Thinking)
	}
	if lines.Err() == nil && same.times >= repeatLimit {
		return a.done(reasonLength), nil
	}
	return bus.InferenceResult{}, o.c.ended(ctx, lines.Err(), "no line with done: true")
}

// repeatLimit is how often in a row Ollama lets a model repeat a piece. At the next
// repetition it ends the stream in good order, but without a last line: the one
// case in which that is not a crash.
const repeatLimit = 30

// repetition counts how often the last piece was repeated.
type repetition struct {
	last  string
	times int
}

// add notes a piece; a line that says nothing is none.
func (r *repetition) add(piece string) {
	if piece == "" {
		return
	}
	if piece = strings.TrimSpace(piece); piece == r.last {
		r.times++
	} else {
		r.last, r.times = piece, 0
	}
}

// ended makes an error of a stream that is over without its end marker.
func (c *client) ended(ctx context.Context, err error, missing string) error {
	switch {
	case ctx.Err() != nil:
		return c.unreachable(ctx, err)
	case errors.Is(err, bufio.ErrTooLong):
		return c.garbled(fmt.Errorf("a line is longer than %d bytes", maxLine))
	case err != nil:
		return c.broken(err.Error())
	}
	return c.broken(missing)
}

// modelMissing turns a 404 into an error about the model. It is worth a few tries, on other nodes first: this one was thought to
// have the model, or lists what it does not serve.
func modelMissing(err error, c *client, model, command string) error {
	var e *bus.Error
	if !errors.As(err, &e) || e.Code != bus.CodeNotFound {
		return err
	}
	return bus.RetryFew(bus.Errorf(bus.CodeNotFound, "%s does not have the model %q", c, model).WithHint("%s", command))
}
