package gateway

import (
	"unicode/utf8"

	"github.com/mycoswarm/mycoswarm/bus"
)

// takeLogprobs takes what asks for probabilities: in a chat whether, and how many others of each token;
// in a completion how many others.
func (q *openAIQuestion) takeLogprobs(f *fields) {
	if !q.chat {
		if string(f.left["logprobs"]) == "false" {
			f.drop("logprobs")
		}
		var others *int
		f.take("logprobs", &others)
		f.refuse("top_logprobs")
		if others != nil {
			q.req.Logprobs, q.req.TopLogprobs = true, *others
		}
		if f.err == nil && (q.req.TopLogprobs < 0 || q.req.TopLogprobs > bus.MaxTopLogprobs) {
			f.err = misfit("logprobs", "want 0 to %d", bus.MaxTopLogprobs)
		}
		return
	}
	f.take("logprobs", &q.req.Logprobs)
	f.take("top_logprobs", &q.req.TopLogprobs)
	if f.err == nil && q.req.TopLogprobs > 0 && !q.req.Logprobs {
		f.err = misfit("top_logprobs", "want logprobs to be true with it")
	}
}

// openAILogprobs are the probabilities of a piece of a chat.
type openAILogprobs struct {
	Content []openAILogprob `json:"content"`
	Refusal *string         `json:"refusal"`
}

type openAILogprob struct {
	openAIToken
	Top []openAIToken `json:"top_logprobs"`
}

type openAIToken struct {
	Token   string  `json:"token"`
	Logprob float64 `json:"logprob"`
	Bytes   []int   `json:"bytes"` // null where the engine does not tell
}

// completionLogprobs are those of a piece of a completion: of each token in each list.
type completionLogprobs struct {
	Tokens        []string             `json:"tokens"`
	TokenLogprobs []float64            `json:"token_logprobs"`
	TopLogprobs   []map[string]float64 `json:"top_logprobs"` // null where none are wanted
	TextOffset    []int                `json:"text_offset"`  // characters of the answer before the token
}

// ofTokens spells the probabilities of each token; empty where there are none.
func ofTokens(odds []bus.Logprob) []openAILogprob {
	out := make([]openAILogprob, len(odds))
	for i, l := range odds {
		out[i] = openAILogprob{openAIToken(l.TokenLogprob), make([]openAIToken, len(l.Top))}
		for j, t := range l.Top {
			out[i].Top[j] = openAIToken(t)
		}
	}
	return out
}

// ofText are those of odds that are of a text and not of the thought before it.
func ofText(odds []bus.Logprob, thought, text string) []bus.Logprob {
	at, size := len(odds), len(text)
	if thought == "" {
		return odds
	}
	for ; at > 0 && size > 0; at-- {
		if l := odds[at-1]; l.Bytes != nil {
			size -= len(l.Bytes)
		} else {
			size -= len(l.Token)
		}
	}
	return odds[at:]
}

// logprobs spells probabilities; null where there are none.
func (q *openAIQuestion) logprobs(odds []bus.Logprob) any {
	if len(odds) == 0 {
		return nil
	}
	if q.chat {
		return openAILogprobs{Content: ofTokens(odds)}
	}
	var out completionLogprobs
	for _, l := range odds {
		out.Tokens = append(out.Tokens, l.Token)
		out.TokenLogprobs = append(out.TokenLogprobs, l.Logprob)
		out.TextOffset = append(out.TextOffset, q.runes)
		q.runes += utf8.RuneCountInString(l.Token)
		if q.req.TopLogprobs > 0 {
			top := map[string]float64{}
			for _, t := range l.Top {
				top[t.Token] = t.Logprob
			}
			out.TopLogprobs = append(out.TopLogprobs, top)
		}
	}
	return out
}
