package bus

import (
	"encoding/json"
	"time"
)

// TypeEmbed is the type of task that turns texts into vectors.
const TypeEmbed = "embed"

// Limits of an EmbedRequest.
const (
	// MaxInputs is how many texts one request may have.
	MaxInputs = 1 << 15
	// maxDimensions is the longest vector that a request may ask for.
	maxDimensions = 1 << 16
)

// EmbedRequest is the payload of a task of TypeEmbed.
type EmbedRequest struct {
	// Inputs are texts, each of which becomes a vector. Without any the model is loaded.
	Inputs []string `json:"inputs"`
	// Dimensions asks for vectors that are no longer; 0 means as long as the model makes them.
	Dimensions int `json:"dimensions,omitempty"`
	// Truncate lets the engine cut a text that does not fit into the context.
	Truncate bool `json:"truncate,omitempty"`
	// Plain asks for vectors as the model makes them, not of length 1, where the engine can.
	Plain bool `json:"plain,omitempty"`
	// KeepAlive, Options, Dialect and Extra are as in InferenceRequest.
	KeepAlive json.RawMessage            `json:"keep_alive,omitempty"`
	Options   map[string]json.RawMessage `json:"options,omitempty"`
	Dialect   string                     `json:"dialect,omitempty"`
	Extra     map[string]json.RawMessage `json:"extra,omitempty"`
}

// Validate reports too many texts, or too long ones, and what else is out of range.
func (r EmbedRequest) Validate() error {
	if len(r.Inputs) > MaxInputs {
		return Errorf(CodeInvalid, "%d inputs, want at most %d", len(r.Inputs), MaxInputs)
	}
	if r.Dimensions < 0 || r.Dimensions > maxDimensions {
		return Errorf(CodeInvalid, "dimensions %d: want 0 to %d", r.Dimensions, maxDimensions)
	}
	n := 0
	for _, s := range r.Inputs {
		n += len(s)
	}
	if n > MaxPrompt {
		return Errorf(CodeTooLarge, "the inputs have %d bytes, the limit is %d", n, MaxPrompt)
	}
	return InferenceRequest{KeepAlive: r.KeepAlive, Options: r.Options, Extra: r.Extra}.validateFields()
}

// EmbedResult is the result of a task of TypeEmbed.
type EmbedResult struct {
	// Vectors has one vector for each input, in their order.
	Vectors [][]float32 `json:"vectors"`
	Model   string      `json:"model"`
	// Digest is the model's, as in ModelInfo; empty where the engine does not tell, or the node is too old to.
	Digest string `json:"digest,omitempty"`
	Engine string `json:"engine,omitempty"`
	// PromptTokens is how many tokens the inputs have together; 0 where the engine does not tell.
	PromptTokens int `json:"prompt_tokens,omitempty"`
	// Loading is how long the engine took to load the model, 0 where it does not tell; Duration the whole.
	Loading  time.Duration `json:"loading_ns,omitempty"`
	Duration time.Duration `json:"duration_ns,omitempty"`
}
