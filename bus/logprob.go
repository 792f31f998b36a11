package bus

// MaxTopLogprobs is how many tokens, at most, a request may ask about in place of each, as with Ollama
// and OpenAI.
const MaxTopLogprobs = 20

// Logprob tells of a token of an answer how likely it was, and how likely others were, most likely first.
type Logprob struct {
	TokenLogprob
	Top []TokenLogprob `json:"top_logprobs,omitempty"`
}

// TokenLogprob is the natural logarithm of a token's probability, in the words of Ollama and OpenAI.
type TokenLogprob struct {
	Token   string  `json:"token"`
	Logprob float64 `json:"logprob"`
	// Bytes are those of Token, which may be a part of a character; nil where the engine does not tell.
	Bytes []int `json:"bytes,omitempty"`
}
