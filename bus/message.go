package bus

import (
	"encoding/json"
	"slices"
	"strings"
)

// Message is one turn of a conversation.
type Message struct {
	Role    string `json:"role"` // "system", "user", "assistant", "tool", or "control" of some models
	Content string `json:"content"`
	// Thinking is what an assistant thought before it said Content.
	Thinking string `json:"thinking,omitempty"`
	// Images are files as they are, of a format that the model knows: PNG, JPEG.
	Images [][]byte `json:"images,omitempty"`
	// ToolCalls are what an assistant wants done.
	ToolCalls []ToolCall `json:"tool_calls,omitempty"`
	// ToolName and ToolCallID tell of which call a message of role "tool" is the result.
	ToolName   string `json:"tool_name,omitempty"`
	ToolCallID string `json:"tool_call_id,omitempty"`
}

// ToolCall is a model's wish that a tool be called.
type ToolCall struct {
	ID    string `json:"id,omitempty"` // empty where the engine gives none
	Index int    `json:"index,omitempty"`
	Name  string `json:"name"`
	// Arguments is a JSON object. In a request it may be a text, where what a model once said is none.
	Arguments json.RawMessage `json:"arguments,omitempty"`
}

// Limits of what a request may ask of the engine of another node.
const (
	maxTokens   = 1 << 20
	maxThreads  = 1024
	maxStops    = 64
	maxStopSize = 1024 // bytes
	maxNamed    = 128  // entries of Options and of Extra
	maxNameSize = 64   // bytes of the name of such an entry
	maxCallName = 256  // bytes of the name, and of the id, of a tool's call
)

// Validate reports an empty prompt, an unknown role, a number, a stop text or a field of JSON out of
// range, or a prompt over MaxPrompt.
func (r InferenceRequest) Validate() error {
	for _, check := range []func() error{r.validateOptions, r.validateFields, r.validatePrompt} {
		if err := check(); err != nil {
			return err
		}
	}
	if n := r.size(); n > MaxPrompt {
		return Errorf(CodeTooLarge, "the prompt has %d bytes, the limit is %d", n, MaxPrompt)
	}
	return nil
}

func (r InferenceRequest) validatePrompt() error {
	empty := Errorf(CodeInvalid, "the prompt is empty").WithHint("myco ask \"What is the capital of France?\"")
	switch asks := r.Prompt != "" || len(r.Images) > 0 || r.Suffix != ""; {
	case r.Load && !asks && len(r.Messages) == 0:
		return nil
	case asks == (len(r.Messages) > 0), r.Load:
		return empty
	}
	for _, m := range r.Messages {
		if err := m.validate(); err != nil {
			return err
		}
	}
	if r.Mode == ModeChat && !r.Raw && len(r.Images) == 0 && len(r.Messages) == 0 && strings.TrimSpace(r.Prompt) == "" {
		return empty
	}
	return nil
}

func (m Message) validate() error {
	switch m.Role {
	case "system", "user", "assistant", "tool", "control":
	default:
		return Errorf(CodeInvalid, "message role %q: want system, user, assistant or tool", m.Role)
	}
	for _, c := range m.ToolCalls {
		switch {
		case c.Name == "" || len(c.Name) > maxCallName || len(c.ID) > maxCallName:
			return Errorf(CodeInvalid, "the call of a tool wants a name of 1 to %d bytes, and an id no longer", maxCallName)
		case len(c.Arguments) > 0 && !isJSON(c.Arguments, '{', '"'):
			return Errorf(CodeInvalid, "the arguments of a call of %q are not a JSON object", c.Name)
		}
	}
	if len(m.ToolName) > maxCallName || len(m.ToolCallID) > maxCallName {
		return Errorf(CodeInvalid, "the name and the id of a tool's call have at most %d bytes", maxCallName)
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
	case r.Temperature != nil && !(*r.Temperature >= 0 && *r.Temperature <= 100): // it may be NaN
		return Errorf(CodeInvalid, "temperature %g: want 0 to 100", *r.Temperature)
	case len(r.Stop) > maxStops || slices.ContainsFunc(r.Stop, long):
		return Errorf(CodeInvalid, "stop: want at most %d texts of at most %d bytes", maxStops, maxStopSize)
	case r.TopLogprobs < 0 || r.TopLogprobs > MaxTopLogprobs:
		return Errorf(CodeInvalid, "top_logprobs %d: want 0 to %d", r.TopLogprobs, MaxTopLogprobs)
	case r.Mode != ModeChat && r.Mode != ModeGenerate && r.Mode != ModeComplete:
		return Errorf(CodeInvalid, "mode %q: want nothing, %q or %q", r.Mode, ModeGenerate, ModeComplete)
	}
	return nil
}

// validateFields looks at what is JSON within the request.
func (r InferenceRequest) validateFields() error {
	for _, f := range []struct {
		name  string
		value json.RawMessage
		kinds string // what its first byte may be
		want  string
	}{
		{"context", r.Context, "[", "a list of tokens"},
		{"tools", r.Tools, "[", "a list"},
		{"format", r.Format, "{\"", `"json", or a JSON schema`},
		{"think", r.Think, "tf\"", "true, false, or how much"},
		{"keep_alive", r.KeepAlive, "\"-0123456789", `seconds, or a time such as "5m"`},
	} {
		if len(f.value) > 0 && !isJSON(f.value, []byte(f.kinds)...) {
			return Errorf(CodeInvalid, "%s: %s: want %s", f.name, clip(f.value), f.want)
		}
	}
	for name, m := range map[string]map[string]json.RawMessage{"options": r.Options, "extra": r.Extra} {
		if len(m) > maxNamed {
			return Errorf(CodeInvalid, "%s: %d entries, want at most %d", name, len(m), maxNamed)
		}
		for k, v := range m {
			if k == "" || len(k) > maxNameSize || !json.Valid(v) {
				return Errorf(CodeInvalid, "%s: the entry %q is not valid", name, clip([]byte(k)))
			}
		}
	}
	return nil
}

// isJSON reports whether v is JSON that begins with one of kinds.
func isJSON(v json.RawMessage, kinds ...byte) bool {
	return len(v) > 0 && slices.Contains(kinds, v[0]) && json.Valid(v)
}

// clip shortens what a person reads in an error.
func clip(b []byte) string {
	const most = 40
	if len(b) > most {
		return strings.ToValidUTF8(string(b[:most]), "") + "..."
	}
	return string(b)
}

// size is how much r gives the model to read, in bytes, and what else is long in it.
func (r InferenceRequest) size() int {
	n := len(r.System) + len(r.Prompt) + len(r.Suffix) + len(r.Template) + len(r.Context) + len(r.Tools) + len(r.Format)
	for _, b := range r.Images {
		n += len(b)
	}
	for _, m := range r.Messages {
		n += len(m.Content) + len(m.Thinking)
		for _, b := range m.Images {
			n += len(b)
		}
		for _, c := range m.ToolCalls {
			n += len(c.Arguments)
		}
	}
	for _, m := range []map[string]json.RawMessage{r.Options, r.Extra} {
		for _, v := range m {
			n += len(v)
		}
	}
	return n
}
