package gateway_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

// The page on which people ask is told who answers: no model that makes vectors alone, none of a node that takes no
// work, and the one that would be chosen.
func TestChatPage(t *testing.T) {
	t.Parallel()
	o, g := newOracle(t, answers)
	o.nodes = []bus.NodeInfo{
		{ID: self, Name: "laptop", State: bus.NodeReady, Models: []bus.ModelInfo{{Name: "tiny", Demo: true}}, Embedders: []bus.ModelInfo{{Name: "vec"}}},
		{ID: other, Name: "tower", State: bus.NodeReady, Types: []string{bus.TypeSearch}, Models: []bus.ModelInfo{
			{Name: "small", SizeBytes: 1, Can: bus.Answers},
			{Name: "large", SizeBytes: 2, Can: bus.Answers | bus.Sees},
			{Name: "caller", Can: bus.Answers | bus.Tools},
			{Name: "served", Engine: "openai", Can: bus.Answers},
		}},
		{ID: "myco-000000000000", Name: "attic", State: bus.NodeDraining, Models: []bus.ModelInfo{{Name: "drained", SizeBytes: 3}}},
	}
	w := local(t, g, http.MethodGet, "/ui/chat/swarm", "")
	want := `{"name":"","models":[{"name":"caller","searches":true},{"name":"large","sees":true},{"name":"served","searches":true},{"name":"small"},{"name":"tiny","demo":true}],"choice":"large",` +
		`"nodes":{"myco-000000000000":"attic","` + string(self) + `":"laptop","` + string(other) + `":"tower"}}`
	if got := strings.TrimSpace(w.Body.String()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}

	w = local(t, g, http.MethodGet, "/ui/chat", "")
	if w.Code != http.StatusOK || !strings.Contains(w.Header().Get("Content-Security-Policy"), "require-trusted-types-for 'script'") {
		t.Errorf("the page: %d, %v", w.Code, w.Header())
	}
	if strings.Contains(w.Body.String(), "tower") {
		t.Error("the page tells everybody of the swarm")
	}
}

// The page has documents read once, and keeps their text.
func TestChatPageReadsDocuments(t *testing.T) {
	t.Parallel()
	o, g := newReader(t, func(req bus.FileRequest) (any, error) {
		if req.Name == "noise.bin" {
			return nil, bus.Errorf(bus.CodeInvalid, "noise.bin is none").WithHint("send a PDF")
		}
		return aloud(req)
	})
	const read = `{"text":"\n\u003cdocument\u003e\nb.pdf\n\nb.pdf application/pdf hi\n\n[pages without text, whose pictures are not shown: 2 3]\n\u003c/document\u003e\n"}`
	for body, want := range map[string]struct {
		status int
		says   string
	}{
		`{"filename":"b.pdf","file_data":"data:application/pdf;base64,aGk="}`: {http.StatusOK, read},
		`{"filename":"noise.bin","file_data":"aGk="}`:                         {http.StatusBadRequest, `"message":"noise.bin is none. Next: send a PDF"`},
		`{"filename":"b.pdf","file_data":"aGk"}`:                              {http.StatusBadRequest, "not in base64"},
		`{"filename":"b.pdf","file_data":"data:,"}`:                           {http.StatusBadRequest, "file_data"},
		`{"filename":"b.pdf"}`:                                                {http.StatusBadRequest, "file_data: want a file"},
		`{"filename":["b.pdf"],"file_data":"aGk="}`:                           {http.StatusBadRequest, "filename"},
		`{"filename":"b.pdf","file_data":""}`:                                 {http.StatusBadRequest, "want a file"},
		`none`:                                                                {http.StatusBadRequest, "want a JSON object"},
	} {
		w := local(t, g, http.MethodPost, "/ui/chat/document", body)
		if w.Code != want.status || !strings.Contains(w.Body.String(), want.says) {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
	}
	if len(o.tasks) != 2 || !o.tasks[0].Part {
		t.Errorf("the tasks are %+v", o.tasks)
	}
}
