package gateway

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
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

// A tool takes no more memory than a few times its request, however deep it is: each level within another would be a copy of all
// that is below.
func TestNestedTools(t *testing.T) {
	t.Parallel()
	const depth = 1000
	text := strings.Repeat(`{"type":"namespace","name":"n","tools":[`, depth) + `{"type":"` + strings.Repeat("x", 1<<16) + `"}` + strings.Repeat("]}", depth)
	var tool responsesTool
	if err := json.Unmarshal([]byte(text), &tool); err != nil {
		t.Fatal(err)
	}
	var held func(responsesTool) int
	held = func(t responsesTool) int {
		n := len(t.raw)
		for _, in := range t.tools {
			n += held(in)
		}
		return n
	}
	if n := held(tool); n > 3*len(text) {
		t.Errorf("a tool of %d bytes holds %d", len(text), n)
	}
}
