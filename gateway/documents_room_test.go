package gateway_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/gateway"
)

// inChat is a streamed question about a file, without its end.
const inChat = `{"model":"m","messages":[{"role":"user","content":[{"type":"file","file":{"filename":"a","file_data":"aGk="}}]}],"stream":true`

// A document is read once for all answers that are wanted, each of which has its text.
func TestDocumentOfSeveralAnswers(t *testing.T) {
	t.Parallel()
	for _, stream := range []string{"true", "false"} {
		o, g := newReader(t, aloud)
		if w := local(t, g, "POST", "/v1/chat/completions", strings.Replace(inChat, "true", stream, 1)+`,"n":3}`); w.Code != http.StatusOK {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		var texts int
		for _, task := range o.tasks[1:] {
			var req bus.InferenceRequest
			if err := json.Unmarshal(task.Payload, &req); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(req.Messages[0].Content, "<document>\na\n\na  hi") {
				texts++
			}
		}
		if o.tasks[0].Type != bus.TypeFile || len(o.tasks) != 4 || texts != 3 {
			t.Errorf("stream %s: %d tasks, of which %d have the text", stream, len(o.tasks), texts)
		}
	}
}

// A large document counts in the room for large requests until it is read, and its text then, once for each answer.
func TestDocumentsWithinTheRoom(t *testing.T) {
	t.Parallel()
	const document, long = 2 << 20, 1<<20 + 1<<19
	for _, c := range []struct {
		what         string
		text, n      int
		status, free int // MiB beside it, while it is answered
	}{
		{"one answer", 10, 1, 200, 4},
		{"many", 10, 16, 200, 4},
		{"a long text", long, 1, 200, 3},
		{"many of a long text", long, 3, 200, 1},
		{"more than there is ever room for", long, 9, 413, 0},
	} {
		o, _ := newReader(t, func(bus.FileRequest) (any, error) { return bus.FileResult{Text: strings.Repeat("x", c.text)}, nil })
		g, err := gateway.New(gateway.Config{Swarm: o, Key: key, BodyRoom: 4 << 20})
		if err != nil {
			t.Fatal(err)
		}
		say, took := o.say, make(chan struct{}, 1)
		took <- struct{}{}
		o.say = func(task bus.Task, out func(bus.Chunk) error) (any, error) {
			if task.Type == bus.TypeInference {
				select {
				case <-took: // the first one tries
					for mib, want := range map[int]int{c.free: 200, c.free + 1: 429} {
						if mib > 4 {
							continue // one alone may have more
						}
						if w := local(t, g, "POST", "/v1/completions", `{"model":"m","prompt":"`+strings.Repeat("x", mib<<20)+`"}`); w.Code != want {
							t.Errorf("%s: %d MiB beside it: %d %.100s, want %d", c.what, mib, w.Code, w.Body, want)
						}
					}
				default:
				}
			}
			return say(task, out)
		}
		data := base64.StdEncoding.EncodeToString(make([]byte, document))
		body := fmt.Sprintf(`{"model":"m","n":%d,"messages":[{"role":"user","content":[{"type":"file","file":{"filename":"a","file_data":"%s"}}]}]}`, c.n, data)
		if w := local(t, g, "POST", "/v1/chat/completions", body); w.Code != c.status {
			t.Errorf("%s: %d %.200s, want %d", c.what, w.Code, w.Body, c.status)
		}
	}
}
