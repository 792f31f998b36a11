package gateway

import (
	"encoding/json"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/mycoswarm/mycoswarm/bus"
)

// someAnswer is the pieces of an answer of few words, which often begins as another does.
func someAnswer(r *rand.Rand) (out []bus.InferenceChunk) {
	word := func() string { return []string{"a", "b", "ab", "aa", ""}[r.IntN(5)] }
	for range r.IntN(3) {
		out = append(out, bus.InferenceChunk{Thinking: word()})
	}
	for range r.IntN(4) {
		out = append(out, bus.InferenceChunk{Text: word()})
	}
	for range r.IntN(2) {
		out = append(out, bus.InferenceChunk{ToolCalls: []bus.ToolCall{{Name: word(), Arguments: json.RawMessage(`{}`)}}})
	}
	return out
}

// Whatever nodes begin an answer, however far each comes, and whichever pieces are gone before they are
// read: a client whose answer ends well has the result, and one that takes an answer in other words, or is
// told none, has it always.
func TestFollowsToTheResult(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20_000) {
		r := rand.New(rand.NewPCG(seed, 1))
		var told spoken
		f := &follower{restarts: r.IntN(2) == 0, out: func(_ bus.NodeID, c bus.InferenceChunk) error {
			if c.Restarted {
				told = spoken{}
			}
			told.add(c)
			return nil
		}}
		var err error
		differs, slow := false, r.IntN(4) == 0
		pieces := someAnswer(r)
		for attempt := range 1 + r.IntN(3) {
			if r.IntN(2) == 0 {
				pieces, differs = someAnswer(r), true // in other words
			}
			for seq, c := range pieces[:r.IntN(len(pieces)+1)] {
				data, merr := json.Marshal(c)
				if merr != nil {
					t.Fatal(merr)
				}
				if err == nil && (!slow || r.IntN(2) == 0) {
					err = f.chunk(bus.Chunk{Attempt: attempt + 1, Seq: seq, Data: data})
				}
			}
		}
		var whole spoken
		for _, c := range pieces {
			whole.add(c)
		}
		if all := whole.all(); err == nil {
			err = f.end("myco-a", bus.InferenceResult{Text: all.Text, Thinking: all.Thinking, ToolCalls: all.ToolCalls})
		}
		d := cmp.Diff(whole.all(), told.all(), cmpopts.EquateEmpty())
		if err == nil && d != "" || err != nil && (f.restarts || !differs) {
			t.Fatalf("seed %d, restarts %v: %v\n%s", seed, f.restarts, err, d)
		}
	}
}
