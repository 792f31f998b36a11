package bus_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mycoswarm/mycoswarm/bus"
)

func TestParts(t *testing.T) {
	t.Parallel()
	call := []bus.ToolCall{{Name: "f"}}
	for name, c := range map[string]struct {
		chunk bus.InferenceChunk
		want  []bus.InferenceChunk
	}{
		"one piece": {bus.InferenceChunk{Text: "a"}, []bus.InferenceChunk{{Text: "a"}}},
		"text": {bus.InferenceChunk{Text: "abcd", Cuts: []int{1, 3}, Demo: true}, []bus.InferenceChunk{
			{Text: "a", Demo: true, More: true}, {Text: "bc", Demo: true, More: true}, {Text: "d", Demo: true},
		}},
		"thinking":         {bus.InferenceChunk{Thinking: "ab", Cuts: []int{1}}, []bus.InferenceChunk{{Thinking: "a", More: true}, {Thinking: "b"}}},
		"everything":       {bus.InferenceChunk{Text: "a", Thinking: "b", ToolCalls: call}, []bus.InferenceChunk{{Text: "a", Thinking: "b", ToolCalls: call}}},
		"both, and cuts":   {bus.InferenceChunk{Text: "a", Thinking: "b", Cuts: []int{1}}, []bus.InferenceChunk{{Text: "a", Thinking: "b"}}},
		"past the end":     {bus.InferenceChunk{Text: "ab", Cuts: []int{1, 3}}, []bus.InferenceChunk{{Text: "ab"}}},
		"before the start": {bus.InferenceChunk{Text: "ab", Cuts: []int{-1}}, []bus.InferenceChunk{{Text: "ab"}}},
		"backwards":        {bus.InferenceChunk{Text: "abc", Cuts: []int{2, 1}}, []bus.InferenceChunk{{Text: "abc"}}},
	} {
		if diff := cmp.Diff(c.want, c.chunk.Parts()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	raw, _ := json.Marshal(bus.InferenceChunk{Text: "abcd", Cuts: []int{1, 3}})
	if said, ok := bus.SaidIn([]json.RawMessage{raw, raw}); !ok || said.Tokens != 6 || said.Text != "abcdabcd" {
		t.Errorf("%+v, %v: want 6 tokens", said, ok)
	}
}
