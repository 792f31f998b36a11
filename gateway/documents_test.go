package gateway_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/gateway"
)

// newReader is an oracle with a node that makes text of files, of what the file says.
func newReader(t *testing.T, read func(bus.FileRequest) (any, error)) (*oracle, *gateway.Gateway) {
	t.Helper()
	answer := paris()
	o, g := newOracle(t, func(task bus.Task, out func(bus.Chunk) error) (any, error) {
		if task.Type != bus.TypeFile {
			return answer(task, out)
		}
		var req bus.FileRequest
		if err := json.Unmarshal(task.Payload, &req); err != nil {
			return nil, err
		}
		return read(req)
	})
	o.nodes[1].Types = append(slices.Clone(managing), bus.TypeFile)
	return o, g
}

// aloud reads a file out, with what it is said to be.
func aloud(req bus.FileRequest) (any, error) {
	return bus.FileResult{Text: fmt.Sprintf("%s %s %s", req.Name, req.MediaType, req.Content), Kind: "application/pdf", PagesEmpty: []int{2, 3}}, nil
}

// inference is the only request to a model that came, beside so many others.
func (o *oracle) inference(t *testing.T, others int) (req bus.InferenceRequest) {
	t.Helper()
	i := slices.IndexFunc(o.tasks, func(t bus.Task) bool { return t.Type == bus.TypeInference })
	if i < 0 || len(o.tasks) != 1+others {
		t.Fatalf("%d tasks, want %d", len(o.tasks), 1+others)
	}
	if err := json.Unmarshal(o.tasks[i].Payload, &req); err != nil {
		t.Fatal(err)
	}
	return req
}

// What a client sends along for the model to read is there as text, in each interface's way.
func TestDocuments(t *testing.T) {
	t.Parallel()
	const pages = "\n\n[pages without text, whose pictures are not shown: 2 3]"
	document := func(lines ...string) string {
		return "\n<document>\n" + strings.Join(lines, "\n") + "\n</document>\n"
	}
	message := func(content string) string {
		return `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[` + content + `]}]}`
	}
	result := func(content string) string {
		return `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"tool_use","id":"c","name":"f","input":{}}]},
			{"role":"user","content":[{"type":"tool_result","tool_use_id":"c","content":[` + content + `]}]}]}`
	}
	const pdf = `{"type":"document","title":"T","source":{"type":"base64","media_type":"application/pdf","data":"aGk="}}`
	const found = `{"type":"search_result","title":"T","source":"https://a.example","content":[{"type":"text","text":"r"}]}`
	const file = `"filename":"/tmp/a.pdf","file_data":"data:application/pdf;base64,aGk="`
	for name, c := range map[string]struct {
		path, body, want string
		files            int
	}{
		"a PDF":               {"/v1/messages", message(pdf + `,{"type":"text","text":"q"}`), document("T", "", "T application/pdf hi"+pages) + "q", 1},
		"a title of any kind": {"/v1/messages", message(`{"type":"document","title":"/a\nb/c\nd","source":{"type":"base64","data":"aGk="}}`), document("/a\nb/c\nd", "", "c d  hi"+pages), 1},
		"a PDF, of a tool":    {"/v1/messages", result(pdf), document("T", "", "T application/pdf hi"+pages), 1},
		"a text":              {"/v1/messages", message(`{"type":"document","title":"T","context":"C","citations":{"enabled":true},"source":{"type":"text","media_type":"text/plain","data":"aGk="}}`), document("T", "C", "", "aGk="), 0},
		"blocks":              {"/v1/messages", message(`{"type":"document","source":{"type":"content","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}}`), document("", "a", "b"), 0},
		"no blocks":           {"/v1/messages", message(`{"type":"document","source":{"type":"content","content":"a"}}`), document("", "a"), 0},
		"what was found":      {"/v1/messages", message(found), document("T", "https://a.example", "", "r"), 0},
		"found by a tool":     {"/v1/messages", result(found), document("T", "https://a.example", "", "r"), 0},
		"a tool that is told": {"/v1/messages", result(`{"type":"tool_reference","tool_name":"g"}`), "The tool g is there to be called.\n", 0},
		"a file of a chat":    {"/v1/chat/completions", message(`{"type":"file","file":{` + file + `}},{"type":"text","text":"q"}`), document("/tmp/a.pdf", "", "a.pdf application/pdf hi"+pages) + "\nq", 1},
		"a file of responses": {"/v1/responses", `{"model":"m","input":[{"role":"user","content":[{"type":"input_file",` + file + `}]}]}`, document("/tmp/a.pdf", "", "a.pdf application/pdf hi"+pages), 1},
		"a file of a function": {
			"/v1/responses", `{"model":"m","input":[{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c","output":[{"type":"input_file","file_data":"aGk="}]}]}`,
			document("", "  hi"+pages), 1,
		},
	} {
		o, g := newReader(t, aloud)
		if w := local(t, g, "POST", c.path, c.body); w.Code != 200 {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
			continue
		}
		messages := o.inference(t, c.files).Messages
		if got := messages[len(messages)-1].Content; got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// A document of which there is no text is refused, and the client is told why.
func TestDocumentsRefused(t *testing.T) {
	t.Parallel()
	document := func(source string) string {
		return `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[{"type":"document","source":{` + source + `}}]}]}`
	}
	pdf := document(`"type":"base64","media_type":"application/pdf","data":"aGk="`)
	many := strings.Repeat(`{"type":"document","source":{"type":"base64","data":"aGk="}},`, 33)
	empty := func(bus.FileRequest) (any, error) { return bus.FileResult{PagesEmpty: []int{1}}, nil }
	odd := func(bus.FileRequest) (any, error) { return nil, bus.Errorf(bus.CodeFailed, "it is a picture") }
	large := func(bus.FileRequest) (any, error) { return nil, bus.Errorf(bus.CodeTooLarge, "it has 65 MiB") }
	file := `{"model":"m","messages":[{"role":"user","content":[{"type":"file","file":{"filename":"/","file_data":"aGk="}}]}]}`
	busy := func(bus.FileRequest) (any, error) { return nil, bus.Errorf(bus.CodeBusy, "too much") }
	for name, c := range map[string]struct {
		path, body string
		read       func(bus.FileRequest) (any, error)
		status     int
		says       string
	}{
		"an address":     {"/v1/messages", document(`"type":"url","url":"https://a.example/x.pdf"`), aloud, 400, "messages[0]: a document whose source is of the type"},
		"no base64":      {"/v1/messages", document(`"type":"base64","data":"*"`), aloud, 400, "messages[0]: a document is not in base64"},
		"a picture":      {"/v1/messages", document(`"type":"content","content":[{"type":"image"}]`), aloud, 400, "messages[0]: a document: a block of the type"},
		"pages as such":  {"/v1/messages", pdf, empty, 400, "messages[0]: a document without text"},
		"another kind":   {"/v1/messages", pdf, odd, 400, "messages[0]: a document: it is a picture"},
		"too large":      {"/v1/chat/completions", file, large, 413, "messages[0]: a document: it has"},
		"no room":        {"/v1/messages", pdf, busy, 429, "too much"},
		"too many":       {"/v1/messages", strings.Replace(pdf, `"content":[`, `"content":[`+many, 1), aloud, 400, "more than 32 documents"},
		"a file's id":    {"/v1/chat/completions", `{"model":"m","messages":[{"role":"user","content":[{"type":"file","file":{"file_id":"x"}}]}]}`, aloud, 400, "messages[0]: a file: only those within the request"},
		"its address":    {"/v1/responses", `{"model":"m","input":[{"role":"user","content":[{"type":"input_file","file_url":"https://a.example"}]}]}`, aloud, 400, "input[0]: a file: only those within"},
		"a file, broken": {"/v1/chat/completions", `{"model":"m","messages":[{"role":"user","content":[{"type":"file","file":{"file_data":"data:application/pdf;base64,*"}}]}]}`, aloud, 400, "messages[0]: a file is not in base64"},
	} {
		_, g := newReader(t, c.read)
		w := local(t, g, "POST", c.path, c.body)
		if msg, _ := at(object(t, w), "error", "message").(string); w.Code != c.status || !strings.Contains(msg, c.says) {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	_, g := newOracle(t, paris())
	if w := local(t, g, "POST", "/v1/messages", pdf); w.Code != 400 || !strings.Contains(w.Body.String(), "no node of the swarm reads files") {
		t.Errorf("without a node that reads: %d %s", w.Code, w.Body)
	}
}
