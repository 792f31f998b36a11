package engine_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mycoswarm/mycoswarm/bus"
)

// saying asks a server with OpenAI's interface that says what is given.
func saying(t *testing.T, body string) (answer, error) {
	t.Helper()
	a := ask(t.Context(), probe(t, openAI(t, text(body))), "vllm", "x")
	return a, a.err
}

func ev(s string) string { return "data: " + s + "\n\n" }

func callBit(s string) string {
	return ev(`{"choices":[{"index":0,"delta":{"tool_calls":[` + s + `]}}]}`)
}

const finishCalls = `data: {"choices":[{"delta":{},"finish_reason":"tool_calls"}]}` + "\n\n" + doneEvent

// Servers spell the pieces of a call in their own ways.
func TestOpenAIToolCallsOfManyServers(t *testing.T) {
	t.Parallel()
	two := []bus.ToolCall{{ID: "a", Name: "f", Arguments: raw(`{"x":1}`)}, {ID: "b", Index: 1, Name: "g", Arguments: raw(`{"y":2}`)}}
	unnamed := []bus.ToolCall{{Name: "f", Arguments: raw(`{"x":1}`)}, {Index: 1, Name: "f", Arguments: raw(`{"y":2}`)}}
	none := []bus.ToolCall{{ID: "a", Name: "f", Arguments: raw(`{}`)}}
	for name, c := range map[string]struct {
		events string
		want   []bus.ToolCall
	}{
		"no index": {callBit(`{"id":"a","function":{"name":"f","arguments":"{\"x\":1}"}}`) +
			callBit(`{"id":"b","function":{"name":"g","arguments":"{\"y\":2}"}}`), two},
		"no index, in pieces": {callBit(`{"id":"a","function":{"name":"f","arguments":"{\"x\""}}`) + callBit(`{"function":{"arguments":":1}"}}`) +
			callBit(`{"id":"b","function":{"name":"g","arguments":"{\"y\""}},{"id":"b","function":{"arguments":":2}"}}`), two},
		"neither index nor id": {callBit(`{"function":{"name":"f","arguments":"{\"x\""}}`) + callBit(`{"function":{"name":"f","arguments":":1}"}}`) +
			callBit(`{"function":{"name":"f","arguments":"{\"y\":2}"}}`), unnamed},
		"one index for all": {callBit(`{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":1}"}}`) +
			callBit(`{"index":0,"id":"b","function":{"name":"g","arguments":"{\"y\""}}`) + callBit(`{"index":0,"function":{"arguments":":2}"}}`), two},
		"by turns": {callBit(`{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\""}},{"index":1,"id":"b","function":{"name":"g","arguments":""}}`) +
			callBit(`{"index":1,"function":{"arguments":"{\"y\":2}"}},{"index":0,"function":{"arguments":":1}"}}`), two},
		"id and name with every piece": {callBit(`{"index":0,"id":"a","function":{"name":"f","arguments":""}}`) +
			callBit(`{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":1}"}}`), two[:1]},
		"index from 1":            {callBit(`{"index":1,"id":"a","function":{"name":"f","arguments":"{\"x\":1}"}}`), two[:1]},
		"space before":            {callBit(`{"index":0,"id":"a","function":{"name":"f","arguments":" {\"x\":1}"}}`), two[:1]},
		"an object":               {callBit(`{"index":0,"id":"a","function":{"name":"f","arguments":{"x":1}}}`), two[:1]},
		"a call of nothing":       {callBit(`{"index":0}`) + callBit(`{"index":1,"id":"a","function":{"name":"f","arguments":"{\"x\":1}"}}`), two[:1]},
		"arguments null":          {callBit(`{"index":0,"id":"a","function":{"name":"f","arguments":null}}`), none},
		"arguments of four bytes": {callBit(`{"index":0,"id":"a","function":{"name":"f","arguments":"null"}}`), none},
	} {
		a, err := saying(t, c.events+finishCalls)
		if d := cmp.Diff(c.want, a.res.ToolCalls); err != nil || d != "" {
			t.Errorf("%s: %v\n%s", name, err, d)
		}
	}
}

// A call may take minutes to write: each piece of it shows that the engine is at work.
func TestOpenAIShowsThatACallIsBeingWritten(t *testing.T) {
	t.Parallel()
	events := callBit(`{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":\""}}`)
	for range 5 {
		events += callBit(`{"index":0,"function":{"arguments":"line"}}`)
	}
	signs := 0
	_, err := probe(t, openAI(t, text(events+callBit(`{"index":0,"function":{"arguments":"\"}"}}`)+finishCalls))).Generate(t.Context(), "vllm",
		bus.InferenceRequest{Prompt: "x"}, func(c bus.InferenceChunk) error {
			if c.Empty() {
				signs++
			}
			return nil
		})
	if err != nil || signs != 7 {
		t.Errorf("%d signs of life for 7 pieces of a call, %v", signs, err)
	}
}

func TestOpenAIStreamsOfManyServers(t *testing.T) {
	t.Parallel()
	said := ev(`{"choices":[{"delta":{"content":"x"}}]}`)
	for name, c := range map[string]struct{ body, thinking string }{
		"no end marker":             {ev(`{"choices":[{"delta":{"content":"x"},"finish_reason":"stop"}]}`), ""},
		"nulls":                     {ev(`{"choices":[],"usage":null}`) + said + ev(`{"choices":[{"delta":null,"finish_reason":"stop"}]}`) + doneEvent, ""},
		"no finish_reason":          {said + doneEvent, ""},
		"lines of two bytes":        {"data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\r\n\r\ndata: [DONE]\r\n\r\n", ""},
		"no empty line at the end":  {said + "data: [DONE]\n", ""},
		"no line at the end":        {said + "data: [DONE]", ""},
		"a space at the end":        {said + "data: [DONE] \n\n", ""},
		"message for delta":         {ev(`{"choices":[{"message":{"content":"x"},"finish_reason":"stop"}]}`) + doneEvent, ""},
		"all of it again":           {said + ev(`{"choices":[{"delta":{},"message":{"content":"x"},"finish_reason":"stop"}]}`) + doneEvent, ""},
		"an object":                 {"\n " + `{"choices":[{"message":{"content":"x","reasoning_content":"hm"},"finish_reason":"stop"}]}`, "hm"},
		"an object with a text":     {`{"choices":[{"text":"x","finish_reason":"stop"}]}`, ""},
		"a thought under two names": {ev(`{"choices":[{"delta":{"reasoning":"hm","reasoning_content":"hm"}}]}`) + said + doneEvent, "hm"},
	} {
		a, err := saying(t, c.body)
		if err != nil || a.res.Text != "x" || a.res.Thinking != c.thinking {
			t.Errorf("%s: %q, thinking %q, %v", name, a.res.Text, a.res.Thinking, err)
		}
	}
}
