package engine

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/mycoswarm/mycoswarm/bus"
)

const (
	// maxLogprobs is how many bytes the probabilities of an answer may take as JSON: an answer with more
	// ends with the reason "length". With 20 others for each token it is one of about 40,000.
	maxLogprobs = 64 << 20
	// maxToken is the longest token in bytes.
	maxToken = 1 << 10
)

// told notes probabilities as part of the result.
func (a *answer) told(odds []bus.Logprob) {
	a.result.Logprobs = append(a.result.Logprobs, odds...)
	for _, l := range odds {
		a.odds += logprobSize(l)
	}
}

// cutLogprobs takes as many off in as fit into a piece beside its text.
func cutLogprobs(in []bus.Logprob) (piece, rest []bus.Logprob) {
	size := 0
	for i, l := range in {
		if size += logprobSize(l); i > 0 && size > maxPiece {
			return in[:i:i], in[i:]
		}
	}
	return in, nil
}

// logprobSize is about the length of l as JSON.
func logprobSize(l bus.Logprob) int {
	n := tokenSize(l.TokenLogprob)
	for _, t := range l.Top {
		n += tokenSize(t)
	}
	return n
}

func tokenSize(t bus.TokenLogprob) int {
	const names = len(`{"token":"","logprob":-12.345678901234567,"bytes":[]},`)
	return names + jsonSize(t.Token) + len(t.Bytes)*len("255,")
}

// wanted are those probabilities that were asked for. What is sound from no engine is an error.
func (a *answer) wanted(odds []bus.Logprob) ([]bus.Logprob, error) {
	if !a.tells {
		return nil, nil
	}
	long := func(t bus.TokenLogprob) bool { return max(len(t.Token), len(t.Bytes)) > maxToken }
	for i := range odds {
		l := &odds[i]
		l.Top = l.Top[:min(a.top, len(l.Top))]
		if long(l.TokenLogprob) || slices.ContainsFunc(l.Top, long) {
			return nil, fmt.Errorf("a token has more than %d bytes", maxToken)
		}
	}
	return odds, nil
}

// openAILogprobs are the two ways in which servers tell probabilities: that of a chat, which some use
// for completions too, and lists. KoboldCpp tells the same in both.
// https://platform.openai.com/docs/api-reference/completions/object
type openAILogprobs struct {
	Content []bus.Logprob

	Tokens        []string
	TokenLogprobs []*float64           `json:"token_logprobs"`
	TopLogprobs   []map[string]float64 `json:"top_logprobs"`
}

// openAIOdds are the probabilities that a server tells, in one way. What is of another shape, such as
// numbers of tokens in place of their texts, tells none: some say it also where nobody asks.
func (a *answer) openAIOdds(told json.RawMessage) ([]bus.Logprob, error) {
	var o openAILogprobs
	if a.tells && len(told) > 0 && bus.Unmarshal(told, &o) == nil {
		return a.wanted(o.all())
	}
	return nil, nil
}

// all are the probabilities in one way.
func (o *openAILogprobs) all() []bus.Logprob {
	if len(o.Content) > 0 {
		return o.Content
	}
	var out []bus.Logprob
	for i, token := range o.Tokens {
		l := bus.Logprob{TokenLogprob: bus.TokenLogprob{Token: token}}
		if i < len(o.TokenLogprobs) && o.TokenLogprobs[i] != nil {
			l.Logprob = *o.TokenLogprobs[i]
		}
		if i < len(o.TopLogprobs) {
			for _, other := range slices.Sorted(maps.Keys(o.TopLogprobs[i])) {
				l.Top = append(l.Top, bus.TokenLogprob{Token: other, Logprob: o.TopLogprobs[i][other]})
			}
			slices.SortStableFunc(l.Top, func(a, b bus.TokenLogprob) int { return cmp.Compare(b.Logprob, a.Logprob) })
		}
		out = append(out, l)
	}
	return out
}

// wantLogprobs asks for probabilities, as Ollama and OpenAI's chats are asked.
func wantLogprobs(body map[string]any, req bus.InferenceRequest) {
	if !req.Logprobs {
		return
	}
	body["logprobs"] = true
	if req.TopLogprobs > 0 {
		body["top_logprobs"] = req.TopLogprobs
	}
}

// complete reports whether probabilities are those of just the tokens of a text. Engines may leave out
// blanks that it begins with.
func complete(text string, odds []bus.Logprob) bool {
	var all bytes.Buffer
	for _, l := range odds {
		if l.Bytes == nil {
			all.WriteString(l.Token)
		}
		for _, b := range l.Bytes {
			all.WriteByte(byte(b))
		}
	}
	return strings.TrimLeftFunc(all.String(), unicode.IsSpace) == strings.TrimLeftFunc(text, unicode.IsSpace)
}
