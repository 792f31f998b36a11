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

// A node that begins an answer anew may tell other tokens together. What the client has not heard comes as from
// its engine, whatever of a piece it has heard.
func TestFollowsInTokens(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		first, second bus.InferenceChunk
		want          []string
	}{
		"two tokens of four":     {bus.InferenceChunk{Text: "The capital", Cuts: []int{3}}, bus.InferenceChunk{Text: "The capital of France", Cuts: []int{3, 11, 14}}, []string{"The", " capital", " of", " France"}},
		"all":                    {bus.InferenceChunk{Text: "The capital"}, bus.InferenceChunk{Text: "The capital", Cuts: []int{3}}, []string{"The capital"}},
		"to the middle of one":   {bus.InferenceChunk{Text: "The cap"}, bus.InferenceChunk{Text: "The capital of", Cuts: []int{3, 11}}, []string{"The cap", "ital", " of"}},
		"nothing":                {bus.InferenceChunk{}, bus.InferenceChunk{Text: "The capital", Cuts: []int{3}}, []string{"The", " capital"}},
		"thoughts, as much":      {bus.InferenceChunk{Thinking: "a"}, bus.InferenceChunk{Thinking: "abc", Cuts: []int{1, 2}}, []string{"a", "b", "c"}},
		"more than there is now": {bus.InferenceChunk{Text: "The capital of", Cuts: []int{3, 11}}, bus.InferenceChunk{Text: "The capital", Cuts: []int{3}}, []string{"The", " capital", " of"}},
	} {
		var got []string
		f := &follower{out: func(_ bus.NodeID, c bus.InferenceChunk) error {
			got = append(got, c.Text+c.Thinking)
			return nil
		}}
		for i, piece := range []bus.InferenceChunk{c.first, c.second} {
			data, err := json.Marshal(piece)
			if err == nil {
				err = f.chunk(bus.Chunk{Attempt: i + 1, Data: data})
			}
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
