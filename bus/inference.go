package bus

import (
	"encoding/json"
	"time"
	"unicode/utf8"
)

// Types of task that every daemon knows.
const (
	TypePing      = "ping"
	TypeInference = "inference"
)

// MaxPrompt is the largest prompt, all messages together, in bytes: what MaxPayload holds of text that
// JSON need not escape, with the rest of the request. What the model makes of it is another matter.
const MaxPrompt = MaxPayload - 1<<20

// Mode is what an engine makes of a Prompt.
type Mode string

// The modes. The others differ where an engine has an interface of its own for them.
const (
	// ModeChat makes it the turn of a conversation.
	ModeChat Mode = ""
	// ModeGenerate is Ollama's /api/generate: one question in the model's template, or in Template.
	ModeGenerate Mode = "generate"
	// ModeComplete is OpenAI's /v1/completions: the text is continued.
	ModeComplete Mode = "complete"
)

// InferenceRequest is the payload of a task of TypeInference.
type InferenceRequest struct {
	// Prompt is a single question; Messages is a conversation. Exactly one is set, or Load.
	Prompt   string    `json:"prompt,omitempty"`
	System   string    `json:"system,omitempty"`
	Messages []Message `json:"messages,omitempty"`
	// Temperature, Seed, MaxTokens, Stop and Threads are the engine's own when unset.
	Temperature *float64 `json:"temperature,omitempty"`
	Seed        *int64   `json:"seed,omitempty"`
	MaxTokens   int      `json:"max_tokens,omitempty"`
	Stop        []string `json:"stop,omitempty"`
	Threads     int      `json:"threads,omitempty"`

	Mode Mode `json:"mode,omitempty"`
	// Load asks for no answer: the model is loaded, or with a KeepAlive of 0 unloaded.
	Load bool `json:"load,omitempty"`
	// Raw gives Prompt to the model as it is, without a template.
	Raw bool `json:"raw,omitempty"`
	// Suffix is what comes after the answer; Template stands for the model's own; Images belong to
	// Prompt; Context is what an answer of ModeGenerate gave back: a list of tokens.
	Suffix   string          `json:"suffix,omitempty"`
	Template string          `json:"template,omitempty"`
	Images   [][]byte        `json:"images,omitempty"`
	Context  json.RawMessage `json:"context,omitempty"`
	// Tools is the list of tools that the model may call, each {"type": "function", "function": {...}}.
	Tools json.RawMessage `json:"tools,omitempty"`
	// Format is "json", or a JSON schema that the answer keeps to.
	Format json.RawMessage `json:"format,omitempty"`
	// Think is true, false, or how much: "low", "medium", "high".
	Think json.RawMessage `json:"think,omitempty"`
	// Logprobs asks how likely each token of the answer was, and TopLogprobs how likely so many others, 20
	// at most, were in its place. Engines that do not tell answer without.
	Logprobs    bool `json:"logprobs,omitempty"`
	TopLogprobs int  `json:"top_logprobs,omitempty"`
	// KeepAlive is how long the model stays loaded: seconds, or a text such as "5m". It does not
	// change the answer.
	KeepAlive json.RawMessage `json:"keep_alive,omitempty"`
	// Truncate and Shift let the engine forget the beginning of what does not fit into the context.
	Truncate bool `json:"truncate,omitempty"`
	Shift    bool `json:"shift,omitempty"`
	// Options are more options of sampling and of the model, by the names that engines have for them:
	// "top_p", "top_k", "num_ctx".
	Options map[string]json.RawMessage `json:"options,omitempty"`
	// Extra are fields of a request in Dialect, "ollama" or "openai", that have no word here. Engines
	// of that kind get them as they are, others do not.
	Dialect string                     `json:"dialect,omitempty"`
	Extra   map[string]json.RawMessage `json:"extra,omitempty"`
}

// Conversation returns the request as messages, system prompt first.
func (r InferenceRequest) Conversation() []Message {
	var m []Message
	if r.System != "" {
		m = append(m, Message{Role: "system", Content: r.System})
	}
	if r.Prompt != "" || len(r.Images) > 0 {
		m = append(m, Message{Role: "user", Content: r.Prompt, Images: r.Images})
	}
	return append(m, r.Messages...)
}

// InferenceChunk is one piece of an answer as it is made.
type InferenceChunk struct {
	Text     string `json:"text,omitempty"`
	Thinking string `json:"thinking,omitempty"`
	// ToolCalls are whole, with their arguments.
	ToolCalls []ToolCall `json:"tool_calls,omitempty"`
	// Logprobs are of tokens of this piece, or of text that comes with a later one: together they are
	// those of the answer, in order.
	Logprobs []Logprob `json:"logprobs,omitempty"`
	// Cuts tell where the pieces end that an engine has made of Text, or of Thinking, in bytes, where several
	// were put together; the last one's end is left out. See Parts.
	Cuts []int `json:"cuts,omitempty"`
	// Demo is as in InferenceResult.
	Demo bool `json:"demo,omitempty"`
	// Loading tells, in a piece that says nothing, that the model must be loaded first.
	Loading bool `json:"loading,omitempty"`
	// Restarted tells a client that wants it, and no other, that the answer begins anew with this
	// piece: what it heard before is void.
	Restarted bool `json:"-"`
	// More tells that another part of the same piece follows, see Parts.
	More bool `json:"-"`
}

// Parts takes c apart into the pieces of its engine. Where Cuts do not fit what c says it is one piece.
func (c InferenceChunk) Parts() []InferenceChunk {
	cuts, s := c.Cuts, c.Text+c.Thinking
	c.Cuts = nil
	if c.Text != "" && c.Thinking != "" || len(c.ToolCalls)+len(c.Logprobs) > 0 || !divide(cuts, s) {
		return []InferenceChunk{c}
	}
	parts := make([]InferenceChunk, 0, len(cuts)+1)
	for from, i := 0, 0; i <= len(cuts); i++ {
		part, to := c, len(s)
		if i < len(cuts) {
			to = cuts[i]
		}
		if part.Text, part.More = "", i < len(cuts); c.Thinking != "" {
			part.Thinking = s[from:to]
		} else {
			part.Text = s[from:to]
		}
		parts = append(parts, part)
		from = to
	}
	return parts
}

// divide reports whether cuts divide s into pieces that all say something, between two characters.
func divide(cuts []int, s string) bool {
	from := 0
	for _, to := range cuts {
		if to <= from || to >= len(s) || !utf8.RuneStart(s[to]) {
			return false
		}
		from = to
	}
	return true
}

// Empty reports whether c says nothing.
func (c InferenceChunk) Empty() bool {
	return c.Text == "" && c.Thinking == "" && len(c.ToolCalls) == 0 && len(c.Logprobs) == 0
}

// Said is the beginning of an answer: what clients have of it.
type Said struct {
	InferenceChunk
	// Tokens is how many the model made for it; where pieces do not tell, one a piece.
	Tokens int
}

// SaidIn gathers the pieces of an answer. ok is false for what is no such piece.
func SaidIn(pieces []json.RawMessage) (s Said, ok bool) {
	for _, p := range pieces {
		var c InferenceChunk
		if json.Unmarshal(p, &c) != nil {
			return s, false
		}
		s.Text += c.Text
		s.Thinking += c.Thinking
		s.ToolCalls = append(s.ToolCalls, c.ToolCalls...)
		s.Logprobs = append(s.Logprobs, c.Logprobs...)
		if !c.Empty() {
			s.Tokens += len(c.Parts())
		}
	}
	if n := len(s.Logprobs); n > 0 { // a token may be told in one piece and its text come in another
		s.Tokens = n
	}
	return s, true
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
	// CachedTokens are those of PromptTokens that the engine had read before; 0 where it does not tell.
	CachedTokens int `json:"cached_tokens,omitempty"`
	// DoneReason is "stop" or "length", and of a request to Load "load" or "unload".
	DoneReason string `json:"done_reason,omitempty"`
	// TTFT is the engine's time to its first token; Duration the whole.
	TTFT     time.Duration `json:"ttft_ns,omitempty"`
	Duration time.Duration `json:"duration_ns,omitempty"`

	Thinking  string     `json:"thinking,omitempty"`
	ToolCalls []ToolCall `json:"tool_calls,omitempty"`
	// Logprobs are those of the answer's tokens, where they were asked for and the engine tells them.
	Logprobs []Logprob `json:"logprobs,omitempty"`
	// Context is for the Context of the next request.
	Context json.RawMessage `json:"context,omitempty"`
	// Loading, Reading and Writing are the engine's times for the model, the prompt and the answer;
	// 0 where it does not tell.
	Loading time.Duration `json:"loading_ns,omitempty"`
	Reading time.Duration `json:"reading_ns,omitempty"`
	Writing time.Duration `json:"writing_ns,omitempty"`
}
