package bus_test

import (
	"encoding/json"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Probabilities tell how many tokens an answer is, whichever pieces its text comes in; without them each
// piece counts as one.
func TestSaidIn(t *testing.T) {
	t.Parallel()
	said, ok := bus.SaidIn([]json.RawMessage{
		raw(`{}`), raw(`{"logprobs":[{"token":"b","logprob":-1}]}`), raw(`{"text":"b"}`),
		raw(`{"text":"cd","logprobs":[{"token":"c","logprob":-2},{"token":"d","logprob":-3}]}`),
	})
	if !ok || said.Text != "bcd" || said.Tokens != 3 || len(said.Logprobs) != 3 || said.Logprobs[2].Token != "d" {
		t.Errorf("%+v, %v", said, ok)
	}
	if said, ok := bus.SaidIn([]json.RawMessage{raw(`{}`), raw(`{"text":"b"}`), raw(`{"text":"cd"}`)}); !ok || said.Tokens != 2 {
		t.Errorf("without probabilities: %+v, %v", said, ok)
	}
	if _, ok := bus.SaidIn([]json.RawMessage{raw(`[]`)}); ok {
		t.Error("a list is a piece of an answer")
	}
}

// What is asked for beyond what engines tell is refused.
func TestTopLogprobs(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]bus.Code{-1: bus.CodeInvalid, 0: "", bus.MaxTopLogprobs: "", bus.MaxTopLogprobs + 1: bus.CodeInvalid} {
		if got := codeOf(bus.InferenceRequest{Prompt: "x", Logprobs: true, TopLogprobs: n}.Validate()); got != want {
			t.Errorf("%d others: %q, want %q", n, got, want)
		}
	}
}
