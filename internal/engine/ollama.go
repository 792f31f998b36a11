package engine

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Ollama is a client of one Ollama server. Make it with NewOllama.
//
// API: https://github.com/ollama/ollama/blob/main/docs/api.md
type Ollama struct {
	c *client

	mu    sync.Mutex
	shown map[string]traits // what /api/show said, by model name and digest
}

// traits is what does not change as long as a model's digest stays.
type traits struct {
	context int // tokens
	answers bool
}

// NewOllama returns a client of the Ollama server at base. It connects to nothing.
func NewOllama(base *url.URL) *Ollama {
	return &Ollama{c: newClient(KindOllama, base), shown: map[string]traits{}}
}

// Kind returns KindOllama.
func (o *Ollama) Kind() string { return KindOllama }

// URL returns the server's address.
func (o *Ollama) URL() string { return o.c.base.Redacted() }

// Version asks the server for its version.
func (o *Ollama) Version(ctx context.Context) (string, error) {
	var v struct{ Version string }
	if err := o.c.get(ctx, "/api/version", &v); err != nil {
		return "", err
	}
	return v.Version, nil
}

type ollamaModel struct {
	Name          string
	Size          int64
	Digest        string
	ContextLength int `json:"context_length"`
	Details       struct {
		Family        string
		ParameterSize string `json:"parameter_size"`
		Quantization  string `json:"quantization_level"`
	}
}

type ollamaModels struct{ Models []ollamaModel }

// Models lists the installed models that can answer questions, loaded ones marked.
func (o *Ollama) Models(ctx context.Context) ([]bus.ModelInfo, error) {
	var installed, loaded ollamaModels
	if err := o.c.get(ctx, "/api/tags", &installed); err != nil {
		return nil, err
	}
	if err := o.c.get(ctx, "/api/ps", &loaded); err != nil {
		return nil, err
	}
	var out []bus.ModelInfo
	for _, m := range installed.Models {
		t, err := o.traits(ctx, m)
		if err != nil {
			return nil, err
		}
		if !t.answers {
			continue
		}
		info := bus.ModelInfo{
			Name: m.Name, SizeBytes: m.Size, ContextLength: t.context, Engine: KindOllama,
			ParameterSize: m.Details.ParameterSize, Quantization: m.Details.Quantization, Family: m.Details.Family,
		}
		if i := slices.IndexFunc(loaded.Models, func(l ollamaModel) bool { return l.Name == m.Name }); i >= 0 {
			info.Loaded = true
			if n := loaded.Models[i].ContextLength; n > 0 {
				info.ContextLength = n
			}
		}
		out = append(out, info)
	}
	return out, nil
}

// traits asks about a model once, and again when its digest changes.
func (o *Ollama) traits(ctx context.Context, m ollamaModel) (traits, error) {
	key := m.Name + "@" + m.Digest
	o.mu.Lock()
	t, ok := o.shown[key]
	o.mu.Unlock()
	if ok {
		return t, nil
	}
	var show struct {
		ModelInfo    map[string]any `json:"model_info"`
		Capabilities []string
	}
	err := o.c.call(ctx, http.MethodPost, "/api/show", map[string]string{"model": m.Name}, &show)
	var refused *bus.Error
	switch {
	case errors.As(err, &refused) && !bus.IsRetry(err) && ctx.Err() == nil:
		// A model that the server lists and cannot describe is broken or just gone.
		return traits{}, nil
	case err != nil:
		return traits{}, err
	}
	// Servers before capabilities were told served models that answer, mostly.
	t.answers = len(show.Capabilities) == 0 || slices.Contains(show.Capabilities, "completion")
	for k, v := range show.ModelInfo {
		if n, ok := v.(float64); ok && strings.HasSuffix(k, ".context_length") {
			t.context = int(n)
		}
	}
	o.mu.Lock()
	o.shown[key] = t
	o.mu.Unlock()
	return t, nil
}

type ollamaOptions struct {
	Temperature *float64 `json:"temperature,omitempty"`
	Seed        *int64   `json:"seed,omitempty"`
	Stop        []string `json:"stop,omitempty"`
	NumPredict  int      `json:"num_predict,omitempty"`
	NumThread   int      `json:"num_thread,omitempty"`
}

type ollamaRequest struct {
	Model    string        `json:"model"`
	Messages []bus.Message `json:"messages"`
	Stream   bool          `json:"stream"`
	// Truncate and Shift false make the server say when a prompt or an answer does not
	// fit into the context. Otherwise it forgets the beginning in silence.
	Truncate bool          `json:"truncate"`
	Shift    bool          `json:"shift"`
	Options  ollamaOptions `json:"options"`
}

type ollamaLine struct {
	Message struct{ Content, Thinking string }
	Error   string

	Done            bool
	DoneReason      string `json:"done_reason"`
	PromptEvalCount int    `json:"prompt_eval_count"`
	EvalCount       int    `json:"eval_count"`
}

// Generate implements Engine over /api/chat. num_ctx and keep_alive are never sent:
// a request that differs in them makes the server load the model again.
func (o *Ollama) Generate(ctx context.Context, model string, req bus.InferenceRequest, emit func(bus.InferenceChunk) error) (bus.InferenceResult, error) {
	a := newAnswer(KindOllama, model, emit)
	resp, err := o.c.do(ctx, http.MethodPost, "/api/chat", ollamaRequest{
		Model: model, Messages: req.Conversation(), Stream: true,
		Options: ollamaOptions{
			Temperature: req.Temperature, Seed: req.Seed, Stop: req.Stop,
			NumPredict: req.MaxTokens, NumThread: req.Threads,
		},
	})
	if err != nil {
		return bus.InferenceResult{}, modelMissing(err, o.c, model, "ollama pull "+model)
	}
	defer resp.Body.Close()
	return o.read(ctx, resp.Body, a)
}

// read takes an answer from the lines of a stream.
func (o *Ollama) read(ctx context.Context, body io.Reader, a *answer) (bus.InferenceResult, error) {
	lines := bufio.NewScanner(body)
	lines.Buffer(make([]byte, 0, 4<<10), maxLine)
	var same repetition
	for lines.Scan() {
		var line ollamaLine
		if len(lines.Bytes()) == 0 {
			continue
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return bus.InferenceResult{}, o.c.garbled(err)
		}
		if line.Error != "" {
			return bus.InferenceResult{}, o.c.broken(shorten(line.Error))
		}
		if !a.add(bus.InferenceChunk{Text: line.Message.Content, Thinking: line.Message.Thinking}) {
			if a.emitErr != nil {
				return bus.InferenceResult{}, a.emitErr
			}
			return a.done(reasonLength), nil
		}
		if line.Done {
			a.result.PromptTokens, a.result.OutputTokens = line.PromptEvalCount, line.EvalCount
			return a.done(line.DoneReason), nil
		}
		same.add(line.Message.Content)
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

func (r *repetition) add(piece string) {
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

// modelMissing turns a 404 into an error about the model. It is worth a try on
// another node: this one was thought to have the model.
func modelMissing(err error, c *client, model, command string) error {
	var e *bus.Error
	if !errors.As(err, &e) || e.Code != bus.CodeNotFound {
		return err
	}
	return bus.Retry(bus.Errorf(bus.CodeNotFound, "%s does not have the model %q", c, model).WithHint("%s", command))
}
