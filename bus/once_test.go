package bus_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mycoswarm/mycoswarm/bus"
)

// What is long is encoded as what is short, into memory of about its size.
func TestLongRequestsAreEncodedOnce(t *testing.T) {
	long := func(s string) string { return strings.Repeat(s, 2<<20/len(s)) }
	for what, v := range map[string]bus.Sized{
		"text":    bus.InferenceRequest{Prompt: long("The sky is blue. ")},
		"program": bus.InferenceRequest{Messages: []bus.Message{{Role: "user", Content: long("\tif a < b && c {\r\n\t\treturn \"x\\n\"\n\t}\n")}}},
		"image":   bus.InferenceRequest{Messages: []bus.Message{{Role: "user", Content: "hi", Images: [][]byte{[]byte(long("\x89PNG\xff")), {}, nil}}}},
		"odd": bus.InferenceRequest{
			System: "\xff<b>\u2028", Prompt: long("y"), Stop: []string{}, Tools: json.RawMessage(`[ {"a": 1} ]`),
			Extra: map[string]json.RawMessage{"b": json.RawMessage(`{"x":1,"x":2}`), "a": json.RawMessage("null")},
		},
		"document": bus.FileRequest{Name: "<a>.pdf", MediaType: "application/pdf", Content: []byte(long("%PDF\xff")), Pages: "1-3"},
		"inputs":   bus.EmbedRequest{Inputs: strings.SplitAfter(long("a few words. "), " ")},
	} {
		want, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		got, err := bus.MarshalOnce(v)
		if err != nil || cap(got) > len(got)*3/2 {
			t.Errorf("%s: %d bytes in %d, error %v", what, len(got), cap(got), err)
		}
		var is, wants any
		if json.Unmarshal(got, &is) != nil || json.Unmarshal(want, &wants) != nil || !cmp.Equal(is, wants) {
			t.Errorf("%s: encoded as %.200s, want %.200s", what, got, want)
		}
	}
}
