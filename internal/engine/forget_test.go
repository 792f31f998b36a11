package engine_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/engine"
)

const capital = "What is the capital of France?"

// long is a conversation of so many turns, and a question.
func long(turns int) (out []bus.Message) {
	for range turns {
		out = append(out, bus.Message{Role: "user", Content: capital}, bus.Message{Role: "assistant", Content: " The capital of France is Paris."})
	}
	return append(out, bus.Message{Role: "user", Content: capital})
}

// What llama-server or vLLM refuses as too long is asked without its beginning, where the client allows it:
// what the system says and the last question stay, and a tool's result stays with its call.
func TestOpenAIForgetsTheBeginning(t *testing.T) {
	t.Parallel()
	const most = 5
	var asked [][]bus.Message
	s := openAI(t, func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Messages []bus.Message }
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		asked = append(asked, body.Messages)
		if len(body.Messages) > most {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"error":{"code":400,"message":"the request exceeds the available context size","type":"exceed_context_size_error"}}`)
			return
		}
		fmt.Fprint(w, event("Paris")+finish+doneEvent)
	})
	e := probe(t, s)
	messages := long(8)
	messages[1] = bus.Message{Role: "assistant", ToolCalls: []bus.ToolCall{{ID: "c", Name: "look"}}}
	messages[2] = bus.Message{Role: "tool", Content: "Paris", ToolCallID: "c"}
	req := bus.InferenceRequest{System: "Be brief.", Messages: messages, Truncate: true}
	res, err := e.Generate(t.Context(), "vllm", req, func(bus.InferenceChunk) error { return nil })
	if err != nil || res.Text != "Paris" {
		t.Fatalf("%+v, %v", res, err)
	}
	if last := asked[len(asked)-1]; len(asked) != 3 || last[0].Content != "Be brief." || last[1].Role != "user" || last[len(last)-1].Content != capital {
		t.Errorf("asked %d times, at last %+v", len(asked), last)
	}
	for name, req := range map[string]bus.InferenceRequest{
		"not allowed": {Messages: messages},
		"one turn":    {Messages: append([]bus.Message{{Role: "user", Content: capital}}, messages[1], messages[2], messages[2], messages[2], messages[2]), Truncate: true},
		"a text":      {Mode: bus.ModeGenerate, Messages: messages, Truncate: true},
	} {
		asked = nil
		_, err := e.Generate(t.Context(), "vllm", req, func(bus.InferenceChunk) error { return nil })
		if wantError(t, err, bus.CodeTooLarge, false, "too long"); len(asked) != 1 {
			t.Errorf("%s: asked %d times", name, len(asked))
		}
	}
}

// Pictures may be all that a user has said: what is asked again is shorter each time, so that it comes to an end.
func TestOpenAIForgetsPicturesWithoutWords(t *testing.T) {
	t.Parallel()
	var asked []int
	s := openAI(t, func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Messages []json.RawMessage }
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		if asked = append(asked, len(body.Messages)); len(asked) == 10 {
			fmt.Fprint(w, event("again and again")+finish+doneEvent)
			return
		}
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"error":{"message":"too long","type":"exceed_context_size_error"}}`)
	})
	picture := bus.Message{Role: "user", Images: [][]byte{{1}}}
	req := bus.InferenceRequest{System: "Be brief.", Messages: []bus.Message{picture, picture, picture}, Truncate: true}
	_, err := probe(t, s).Generate(t.Context(), "vllm", req, func(bus.InferenceChunk) error { return nil })
	if wantError(t, err, bus.CodeTooLarge, false, "too long"); !slices.Equal(asked, []int{4, 3, 2}) {
		t.Errorf("asked with %v messages", asked)
	}
}

// The demo model leaves room for its answer as well.
func TestDemoForgetsTheBeginning(t *testing.T) {
	t.Parallel()
	d, err := engine.NewDemo()
	if err != nil {
		t.Fatal(err)
	}
	for turns := range 40 {
		req := bus.InferenceRequest{Messages: long(turns), Truncate: true}
		res, err := d.Generate(t.Context(), "tinylm", req, func(bus.InferenceChunk) error { return nil })
		if err != nil || res.DoneReason != "stop" || !strings.HasSuffix(res.Text, ".") {
			t.Fatalf("%d turns: %+v, %v", turns, res, err)
		}
	}
	_, err = d.Generate(t.Context(), "tinylm", bus.InferenceRequest{Messages: long(40)}, func(bus.InferenceChunk) error { return nil })
	wantError(t, err, bus.CodeTooLarge, false, "too long for the model's context")
	// One question alone is answered where it fits at all.
	req := bus.InferenceRequest{Messages: []bus.Message{{Role: "user", Content: strings.Repeat("a ", 210)}}, Truncate: true, MaxTokens: 5}
	res, err := d.Generate(t.Context(), "tinylm", req, func(bus.InferenceChunk) error { return nil })
	if err != nil || res.OutputTokens == 0 || res.PromptTokens < 200 {
		t.Errorf("a long question: %+v, %v", res, err)
	}
}
