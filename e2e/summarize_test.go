//go:build e2e && linux

package e2e_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// wideContext is how many tokens the model of createWide says that it can read: more than Ollama gives a model.
const wideContext = 8192

// createWide gives it the demo model with a longer context, under the name wide. What it writes is nonsense.
func (o ollamaServer) createWide(t *testing.T) {
	t.Helper()
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	model, err := os.ReadFile(filepath.Join(root, "internal/engine/demo/tinylm.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	// In GGUF a key is followed by its type, 4 for uint32, and its value, both of 4 bytes, little-endian:
	// https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
	_, value, found := bytes.Cut(model, []byte("llama.context_length"))
	if !found || binary.LittleEndian.Uint32(value) != 4 {
		t.Fatal("the demo model does not say how long its context is")
	}
	binary.LittleEndian.PutUint32(value[4:], wideContext)
	file, err := os.ReadFile(filepath.Join(root, "e2e/testdata/Modelfile"))
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"tinylm.gguf": model, "Modelfile": file} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if r := harness.Run(t.Context(), t, dir, o.env, []string{o.bin, "create", "wide", "-f", "Modelfile"}, ""); r.Code != 0 {
		t.Fatalf("%s", r)
	}
}

// heardQuestion is what a server of Ollama was asked over /api/chat.
type heardQuestion struct {
	Messages []struct{ Role, Content string }
	Options  map[string]any
	status   int // of its answer
}

// prompt is the text of the user's message.
func (q heardQuestion) prompt() string { return q.Messages[len(q.Messages)-1].Content }

// overheard is a way to the server that remembers the questions, in the order in which their answers began.
type overheard struct {
	url string

	mu        sync.Mutex
	questions []heardQuestion
}

// overhear listens between nodes and the server.
func (o ollamaServer) overhear(t *testing.T) *overheard {
	t.Helper()
	target, err := url.Parse(o.url)
	if err != nil {
		t.Fatal(err)
	}
	h := &overheard{}
	type asked struct{}
	proxy := &httputil.ReverseProxy{
		FlushInterval: -1, // each line at once
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ModifyResponse: func(r *http.Response) error {
			body, ok := r.Request.Context().Value(asked{}).([]byte)
			if !ok {
				return nil
			}
			q := heardQuestion{status: r.StatusCode}
			if err := json.Unmarshal(body, &q); err != nil {
				return err
			}
			h.mu.Lock()
			defer h.mu.Unlock()
			h.questions = append(h.questions, q)
			return nil
		},
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/chat" {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return // the node left
			}
			r = r.WithContext(context.WithValue(r.Context(), asked{}, body))
			r.Body = io.NopCloser(bytes.NewReader(body))
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	h.url = s.URL
	return h
}

// take returns the questions since the last time.
func (h *overheard) take() []heardQuestion {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := h.questions
	h.questions = nil
	return all
}

// besideOllama is a node a that neither reads documents nor has a model, and a node b beside it with a real Ollama.
func besideOllama(t *testing.T) (a, b *harness.Node, heard *overheard) {
	t.Helper()
	o := launchOllama(t)
	o.createWide(t)
	heard = o.overhear(t)
	s := harness.New(t, programs)
	a = s.Found(t, "a", "--no-files")
	b = s.Join(t, a, "b", "--engine", heard.url)
	harness.Settle(t, a, b)
	awaitModel(t, a, "b", "wide", true)
	return a, b, heard
}

// A node without an engine has documents summarised, and asked about, by a real Ollama on another: what is
// longer than its context goes in parts, those that it refuses in smaller ones, and nothing is left out.
func TestRealOllamaSummarizes(t *testing.T) {
	a, b, heard := besideOllama(t)
	pdf, err := filepath.Abs("../handlers/file/testdata/report.pdf")
	if err != nil {
		t.Fatal(err)
	}
	const paragraphs = 100
	var text strings.Builder
	for i := range paragraphs {
		fmt.Fprintf(&text, "Paragraph <%d>. In that year the town kept %d bees, and their keeper wrote of honey, wax and the weather to her sister.\n\n", i, 7*i)
	}
	long := filepath.Join(a.Home, "long.txt")
	if err := os.WriteFile(long, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}

	r := a.Myco(t, "summarize", "--json", long)
	var got answer
	if lastObject(t, r, &got); r.Code != 0 || got.NodeID != b.Info.NodeID || got.Model != "wide:latest" || got.Demo {
		t.Fatalf("%s\nwant an answer of wide:latest on b", r)
	}
	for _, want := range []string{"long.txt, text/plain", "[2 parts of 9 KB at most]", "[2 of 2: part ", ", by b]"} {
		if !strings.Contains(r.Stderr, want) {
			t.Errorf("standard error does not say %q:\n%s", want, r.Stderr)
		}
	}
	asked, refused := heard.take(), 0
	for i := range paragraphs {
		n := 0
		for _, q := range asked {
			if q.status == http.StatusOK {
				n += strings.Count(q.prompt(), fmt.Sprintf("<%d>", i))
			}
		}
		if n != 1 {
			t.Errorf("paragraph %d is in %d questions that were answered", i, n)
		}
	}
	for _, q := range asked {
		if q.status == http.StatusBadRequest {
			refused++
		}
		if _, set := q.Options["num_ctx"]; set {
			t.Errorf("the model is loaded anew for a context of its own: %v", q.Options)
		}
		if part := strings.Contains(q.prompt(), "Paragraph <"); part != (q.Options["num_predict"] != nil) || q.Messages[0].Role != "system" {
			t.Errorf("a part (%v) with options %v, after %q", part, q.Options, q.Messages[0])
		}
	}
	// The words of this model are short ones: 9 KB of text are more than its 4096 tokens.
	if refused == 0 {
		t.Errorf("of %d questions none was too long for the model: this shows no more what becomes of those", len(asked))
	}
	if n := len(asked); n == 0 || !strings.HasPrefix(asked[n-1].prompt(), "Summarize the following text in about 200 words.\n\n<text-") || strings.Contains(asked[n-1].prompt(), "Paragraph <") {
		t.Errorf("the last question is none about the summaries: %+v", asked)
	}

	if r := a.MycoIn(t, "The shed is red.\n", "summarize", "-q", "--words", "20"); r.Code != 0 || r.Stderr != "" || strings.TrimSpace(r.Stdout) == "" {
		t.Errorf("%s\nwant a summary, and nothing beside it", r)
	}
	if q := heard.take(); len(q) != 1 || !strings.HasPrefix(q[0].prompt(), "Summarize the following text in about 20 words.\n\n<text-") || !strings.Contains(q[0].prompt(), ">\nThe shed is red.\n</text-") {
		t.Errorf("a short text is summarised by %+v", q)
	}
	if r := a.Myco(t, "ask", "--file", pdf, "Which sweet is it?"); r.Code != 0 || !strings.Contains(r.Stderr, "report.pdf, PDF, 3 pages") {
		t.Errorf("%s", r)
	}
	if q := heard.take(); len(q) != 1 || !strings.Contains(q[0].prompt(), "marzipan") || !strings.HasSuffix(q[0].prompt(), "\n\nWhich sweet is it?") {
		t.Errorf("the question about a PDF is %+v", q)
	}
	if r := a.Myco(t, "ask", "--file", long, "How many bees?"); r.Code != 2 || !strings.Contains(r.Stderr, "too long for the model") || !strings.Contains(r.Stderr, "summarize FILE") {
		t.Errorf("%s\nwant to hear that this is too long, and what helps", r)
	}
}
