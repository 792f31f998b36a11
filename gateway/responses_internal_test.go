package gateway

import (
	"net/http/httptest"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

// What a piece of an answer costs does not grow with what was told before.
func TestPiecesTellOnlyNewProbabilities(t *testing.T) { // counts what is allocated: not in parallel
	q := &responsesQuestion{id: "1"}
	out := newEvents(httptest.NewRecorder(), "")
	defer out.end()
	piece := bus.InferenceChunk{Text: "a", Logprobs: []bus.Logprob{{TokenLogprob: bus.TokenLogprob{Token: "a"}, Top: make([]bus.TokenLogprob, 20)}}}
	tell := func() {
		if err := q.piece(out, piece); err != nil {
			t.Error(err)
		}
	}
	tell()
	few := testing.AllocsPerRun(10, tell)
	for range 2000 {
		tell()
	}
	if many := testing.AllocsPerRun(10, tell); many > few+200 {
		t.Errorf("a piece takes %v allocations, and %v behind 2000 others", few, many)
	}
}
