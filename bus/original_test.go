package bus_test

import (
	"encoding/json"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

// In the process that made a task its payload is not decoded: whoever reads it gets the original, as long as
// that is what the payload says.
func TestPayloadIsTheOriginal(t *testing.T) {
	t.Parallel()
	task, err := bus.NewTask(bus.TypeInference, bus.InferenceRequest{Prompt: "hi", Stop: []string{"a"}})
	if err != nil || string(task.Payload) != `{"prompt":"hi","stop":["a"]}` {
		t.Fatalf("%s, %v", task.Payload, err)
	}
	original, _ := bus.OriginalPayload[bus.InferenceRequest](&task)
	same := func(t *bus.Task) bool {
		got, err := bus.Payload[bus.InferenceRequest](t)
		return err == nil && &got.Stop[0] == &original.Stop[0]
	}
	copied := task.Copied()
	if !same(&task) || !same(&copied) || &task.Payload[0] == &copied.Payload[0] {
		t.Error("it is decoded")
	}
	var sent bus.Task
	if data, err := json.Marshal(task); err != nil || json.Unmarshal(data, &sent) != nil || same(&sent) {
		t.Errorf("over the wire: %s, %v", data, err)
	}
	task.Payload = json.RawMessage(`{"prompt":"ho","stop":["a"]}`)
	copied = task.Copied()
	for _, other := range []*bus.Task{&task, &copied} {
		if got, err := bus.Payload[bus.InferenceRequest](other); err != nil || got.Prompt != "ho" || same(other) {
			t.Errorf("with another payload: %+v, %v", got, err)
		}
	}
	if _, err := bus.Payload[[]int](&task); err == nil {
		t.Error("an object is read as a list")
	}
	task.DropPayload()
	if _, err := bus.Payload[bus.InferenceRequest](&task); err == nil || task.Payload != nil {
		t.Errorf("dropped, it is %s, %v", task.Payload, err)
	}
	if _, err := bus.NewTask("x", func() {}); err == nil {
		t.Error("a function has become JSON")
	}
}

// So with output.
func TestPieceIsTheOriginal(t *testing.T) {
	t.Parallel()
	original := bus.InferenceChunk{Text: "ab", Cuts: []int{1}}
	c := bus.Chunk{Data: json.RawMessage(`{"text":"ab","cuts":[1]}`)}
	for own, c := range map[bool]bus.Chunk{false: c, true: c.From(original)} {
		got, err := bus.Piece[bus.InferenceChunk](c)
		if err != nil || got.Text != "ab" || (&got.Cuts[0] == &original.Cuts[0]) != own {
			t.Errorf("own %v: %+v, %v", own, got, err)
		}
	}
}

// Who writes a payload by hand is told what does not fit in words of JSON.
func TestPayloadThatIsNoRequest(t *testing.T) {
	t.Parallel()
	for payload, says := range map[string]string{
		``:                             "the task has no payload",
		`"hi"`:                         "read the payload, want a JSON object: there is a JSON string",
		`{"prompt":5}`:                 "read the payload: prompt: a JSON number does not fit",
		`{"messages":[{"role":true}]}`: "read the payload: messages.0.role: a JSON bool does not fit",
	} {
		_, err := bus.Request[bus.InferenceRequest](&bus.Task{Type: bus.TypeInference, Payload: json.RawMessage(payload)})
		if e := bus.AsError(err); err == nil || e.Code != bus.CodeInvalid || e.Message != says {
			t.Errorf("%s: %v, want %s", payload, err, says)
		}
	}
}
