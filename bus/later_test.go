package bus_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

// What a later version says in an object stays in it, whatever it looks like.
func TestUnknownFieldsAreKept(t *testing.T) {
	t.Parallel()
	for _, later := range []string{
		`"n":1`, `"s":"a \"quoted\" } ] \\"`, `"o":{"a":[1,{"b":"}"}]}`, `"n": null , "t":true`, `"esc\"aped":"x"`, `"f":-1.5e3`, `"a":[]`, `"html":"<&>"`,
		"",
	} {
		own := `"type":"ping","payload":{"unknown":"of the payload"}`
		for _, in := range []string{"{" + own + "," + later + "}", " { " + later + " , " + own + " } ", "{" + later + "}"} {
			in := strings.ReplaceAll(in, "{,", "{")
			in = strings.ReplaceAll(in, ",}", "}")
			in = strings.Replace(in, " {  , ", "{", 1)
			var task bus.Task
			if err := json.Unmarshal([]byte(in), &task); err != nil {
				t.Fatalf("%s: %v", in, err)
			}
			again, err := json.Marshal(bus.SubmitRequest{Task: task})
			if err != nil {
				t.Fatalf("%s: %v", in, err)
			}
			want, got := map[string]any{"type": ""}, struct{ Task map[string]any }{}
			if err := json.Unmarshal([]byte(in), &want); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(again, &got); err != nil {
				t.Fatalf("%s became %s: %v", in, again, err)
			}
			if a, b := encoded(t, want), encoded(t, got.Task); a != b {
				t.Errorf("%s became %s, want %s", in, b, a)
			}
			if n := len(task.Unknown()); n != len(want)-len(known(want)) {
				t.Errorf("%s: %d unknown fields: %q", in, n, task.Unknown())
			}
		}
	}
	var task bus.Task
	if err := json.Unmarshal([]byte(`{"type":"ping","TIMEOUT_NS":5}`), &task); err != nil || task.Timeout != 5 || task.Unknown() != nil {
		t.Errorf("a name in capitals: %+v, %v", task, err)
	}
	if err := json.Unmarshal([]byte(`null`), &task); err != nil || task.Unknown() != nil {
		t.Errorf("null: %v", err)
	}
	for _, bad := range []string{`,"a":1`, `[1]`, `{"a":}`} {
		task := bus.Task{Type: "ping", Later: bus.Later(bad)}
		if err := task.Validate(); !errors.Is(err, &bus.Error{Code: bus.CodeInvalid}) {
			t.Errorf("unknown fields %s: %v", bad, err)
		}
	}
	for over := range 2 {
		field := `,"large":"` + strings.Repeat("x", bus.MaxLater-len(`{"large":""}`)+over) + `"`
		if err := json.Unmarshal([]byte(`{"type":"ping"`+field+`}`), &task); err != nil {
			t.Fatal(err)
		}
		err := task.Validate()
		if (err != nil) != (over > 0) || err != nil && (!errors.Is(err, &bus.Error{Code: bus.CodeTooLarge}) || !strings.Contains(err.Error(), "65536")) {
			t.Errorf("an unknown field %d over the limit: %v", over, err)
		}
	}
}

func known(m map[string]any) (names []string) {
	for _, k := range []string{"type", "payload"} {
		if _, ok := m[k]; ok {
			names = append(names, k)
		}
	}
	return names
}

func encoded(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func FuzzUnknownFields(f *testing.F) {
	f.Add(`{"a":1,"type":"ping","b":{"c":"\\\""}}`)
	f.Add(`{ "\u0061" : [ "]" ] }`)
	f.Fuzz(func(t *testing.T, in string) {
		var task bus.Task
		if json.Unmarshal([]byte(in), &task) != nil {
			return
		}
		out, err := json.Marshal(task)
		if err != nil || !json.Valid(out) {
			t.Fatalf("%q became %q: %v", in, out, err)
		}
		task.Unknown()
	})
}

func BenchmarkTaskRoundTrip(b *testing.B) {
	in := []byte(`{"id":"t-0123456789abcdef","type":"inference","model":"gemma3:1b","lane":"batch","priority":5,"payload":{"prompt":"` + strings.Repeat("word ", 60) + `"}}`)
	for b.Loop() {
		var task bus.Task
		if err := bus.Unmarshal(in, &task); err != nil {
			b.Fatal(err)
		}
		if _, err := bus.Marshal(task); err != nil {
			b.Fatal(err)
		}
	}
}

// A node's protocol is told by two numbers.
func TestWire(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b bus.Wire
		ok   bool
	}{
		{bus.Wire{}, bus.Wire{}, true},
		{bus.Wire{}, bus.Wire{Version: 1, Oldest: 1}, true},
		{bus.Wire{Version: 1, Oldest: 1}, bus.Wire{Version: 2, Oldest: 1}, true},
		{bus.Wire{Version: 1, Oldest: 1}, bus.Wire{Version: 3, Oldest: 2}, false},
		{bus.Wire{}, bus.Wire{Version: 2, Oldest: 2}, false},
		{bus.Wire{Version: 2, Oldest: 1}, bus.Wire{Version: 3, Oldest: 2}, true},
	} {
		if c.a.Speaks(c.b) != c.ok || c.b.Speaks(c.a) != c.ok {
			t.Errorf("%v and %v: want %t", c.a, c.b, c.ok)
		}
	}
	node := func(id bus.NodeID, name, version string, state bus.NodeState, w bus.Wire) bus.NodeInfo {
		return bus.NodeInfo{ID: id, Name: name, Version: version, State: state, Wire: w}
	}
	here := node("h", "here", "1.0", bus.NodeReady, bus.Wire{Version: 1, Oldest: 1})
	same := node("s", "same", "1.0", bus.NodeReady, bus.Wire{})
	away := node("l", "away", "0.9", bus.NodeLost, bus.Wire{})
	next := node("n", "next", "1.1", bus.NodeReady, bus.Wire{Version: 2, Oldest: 1})
	apart := node("a", "apart", "3.0", bus.NodeIncompatible, bus.Wire{Version: 3, Oldest: 2})
	if m := bus.MixOf([]bus.NodeInfo{here, same, away}, "h"); m != nil {
		t.Errorf("one version, and one that is away: %v", m)
	}
	m := bus.MixOf([]bus.NodeInfo{here, same, next}, "h")
	if m == nil || len(m.Apart) != 0 || m.String() != "The nodes run different versions: 1.0 (protocol 1) on here, same; 1.1 (protocol 2) on next. They work together; install one version of mycod on all." {
		t.Errorf("a newer one that speaks ours: %v", m)
	}
	m = bus.MixOf([]bus.NodeInfo{here, apart}, "h")
	if m == nil || len(m.Apart) != 1 || !strings.HasSuffix(m.String(), "apart (mycod 3.0) speaks versions 2 to 3 of the protocol, this node version 1: no work passes between them. Upgrade mycod on here.") {
		t.Errorf("a newer one that does not: %v", m)
	}
	here.State, apart.State = bus.NodeIncompatible, bus.NodeReady
	if m = bus.MixOf([]bus.NodeInfo{here, apart}, "a"); m == nil || m.Apart[0].Upgrade != "here" {
		t.Errorf("seen from the newer one: %v", m)
	}
}

// What fits into a message fits whatever its letters are: a payload is not longer on its way than it was.
func TestMarshalEscapesNoMoreThanJSONWants(t *testing.T) {
	t.Parallel()
	for _, payload := range []string{`"<&>"`, "\"\u2028\u2029\"", `"\u2028\u003c"`} {
		b, err := bus.Marshal(bus.Task{Type: "ping", Payload: json.RawMessage(payload)})
		if err != nil || !strings.Contains(string(b), `"payload":`+payload) {
			t.Errorf("the payload %s goes as %s, error %v", payload, b, err)
		}
	}
}
