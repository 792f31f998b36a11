package bus

import (
	"slices"
	"strings"
	"time"
)

// Types of task that every daemon knows.
const (
	TypePing      = "ping"
	TypeInference = "inference"
)

// MaxPrompt is the largest prompt, all messages together, in bytes: what MaxPayload holds of text that
// JSON need not escape, with the rest of the request. What the model makes of it is another matter.
const MaxPrompt = MaxPayload - 1<<20

// Message is one turn of a conversation.
type Message struct {
	Role    string `json:"role"` // "system", "user" or "assistant"
	Content string `json:"content"`
}

// InferenceRequest is the payload of a task of TypeInference.
type InferenceRequest struct {
	// Prompt is a single question; Messages is a conversation. Exactly one is set.
	Prompt   string    `json:"prompt,omitempty"`
	System   string    `json:"system,omitempty"`
	Messages []Message `json:"messages,omitempty"`
	// Temperature, Seed, MaxTokens, Stop and Threads are the engine's own when unset.
	Temperature *float64 `json:"temperature,omitempty"`
	Seed        *int64   `json:"seed,omitempty"`
	MaxTokens   int      `json:"max_tokens,omitempty"`
	Stop        []string `json:"stop,omitempty"`
	Threads     int      `json:"threads,omitempty"`
}

// Conversation returns the request as messages, system prompt first.
func (r InferenceRequest) Conversation() []Message {
	var m []Message
	if r.System != "" {
		m = append(m, Message{Role: "system", Content: r.System})
	}
	if r.Prompt != "" {
		m = append(m, Message{Role: "user", Content: r.Prompt})
	}
	return append(m, r.Messages...)
}

// Limits of what a request may ask of the engine of another node.
const (
	maxTokens   = 1 << 20
	maxThreads  = 1024
	maxStops    = 64
	maxStopSize = 1024 // bytes
)

// Validate reports an empty prompt, an unknown role, a number or a stop text out of range, or a
// prompt over MaxPrompt.
func (r InferenceRequest) Validate() error {
	if err := r.validateOptions(); err != nil {
		return err
	}
	if (r.Prompt == "") == (len(r.Messages) == 0) {
		return Errorf(CodeInvalid, "the prompt is empty").WithHint("myco ask \"What is the capital of France?\"")
	}
	n := len(r.System) + len(r.Prompt)
	for _, m := range r.Messages {
		if m.Role != "system" && m.Role != "user" && m.Role != "assistant" {
			return Errorf(CodeInvalid, "message role %q: want system, user or assistant", m.Role)
		}
		n += len(m.Content)
	}
	if n > MaxPrompt {
		return Errorf(CodeTooLarge, "the prompt has %d bytes, the limit is %d", n, MaxPrompt)
	}
	if strings.TrimSpace(r.Prompt) == "" && len(r.Messages) == 0 {
		return Errorf(CodeInvalid, "the prompt is empty").WithHint("myco ask \"What is the capital of France?\"")
	}
	return nil
}

func (r InferenceRequest) validateOptions() error {
	long := func(s string) bool { return len(s) > maxStopSize }
	switch {
	case r.MaxTokens < 0 || r.MaxTokens > maxTokens:
		return Errorf(CodeInvalid, "max_tokens %d: want 0 to %d", r.MaxTokens, maxTokens)
	case r.Threads < 0 || r.Threads > maxThreads:
		return Errorf(CodeInvalid, "threads %d: want 0 to %d", r.Threads, maxThreads)
	case r.Temperature != nil && (*r.Temperature < 0 || *r.Temperature > 100):
		return Errorf(CodeInvalid, "temperature %g: want 0 to 100", *r.Temperature)
	case len(r.Stop) > maxStops || slices.ContainsFunc(r.Stop, long):
		return Errorf(CodeInvalid, "stop: want at most %d texts of at most %d bytes", maxStops, maxStopSize)
	}
	return nil
}

// InferenceChunk is one piece of an answer as it is made.
type InferenceChunk struct {
	Text     string `json:"text,omitempty"`
	Thinking string `json:"thinking,omitempty"`
}

// InferenceResult is the result of a task of TypeInference.
type InferenceResult struct {
	Text  string `json:"text"`
	Model string `json:"model"`
	// Demo tells that the built-in demo model answered, which invents what it was not taught.
	Demo         bool   `json:"demo"`
	Engine       string `json:"engine,omitempty"`
	PromptTokens int    `json:"prompt_tokens,omitempty"`
	OutputTokens int    `json:"output_tokens,omitempty"`
	// DoneReason is "stop" or "length".
	DoneReason string `json:"done_reason,omitempty"`
	// TTFT is the engine's time to its first token; Duration the whole.
	TTFT     time.Duration `json:"ttft_ns,omitempty"`
	Duration time.Duration `json:"duration_ns,omitempty"`
}

// CanonicalModel returns name as engines list it: a name without a tag means ":latest".
// Two names mean the same model when their canonical forms are equal.
func CanonicalModel(name string) string {
	if name == "" || strings.Contains(name[strings.LastIndexByte(name, '/')+1:], ":") {
		return name
	}
	return name + ":latest"
}

// SameModel reports whether two names mean the same model.
func SameModel(a, b string) bool { return CanonicalModel(a) == CanonicalModel(b) }
