package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

// A picture or a document that is piped in does not become a prompt of signs that stand for its bytes.
func TestPromptIsText(t *testing.T) {
	t.Parallel()
	d := setup(t)
	got := answers(d, done(1, bus.InferenceResult{Text: "yes", Model: "a"}))
	const hint = "try: myco ask --file FILE PROMPT is for documents, and myco ask --image FILE PROMPT for pictures"
	docx, err := os.ReadFile(filepath.Join("..", "..", "handlers", "file", "testdata", "report.docx"))
	must(t, err)
	for in, kind := range map[string]string{
		"\x89PNG\r\n\x1a\n\xff": "image/png", "%PDF-1.7\n%\xe2\xe3\xcf\xd3\n": "application/pdf", string(docx): "application/zip",
		"\x7fELF\x02\x01\x00": "data with zero bytes",
		"BM\x36\x00\xff":      "data with zero bytes", "ID3\x04\x00\xff": "data with zero bytes",
	} {
		for _, args := range []string{"ask what", "chat", "research"} {
			d.mycoIn(t.Context(), in, strings.Fields(args)...).want(t, 2, "what is piped in is no text, but "+kind, hint)
		}
	}
	for _, in := range []string{"\xff\xfeH\x00i\x00", "\xfe\xff\x00H\x00i", "\xff\xfe\x60\x4f\x7d\x59"} { // the last is Chinese, and has no zero bytes
		d.mycoIn(t.Context(), in, "ask").want(t, 2, "what is piped in is text in UTF-16", "try: myco ask --file FILE PROMPT, which reads it")
	}
	for _, in := range []string{"BMW or ID3?", "OTTO", "BMW f\xe4hrt", "ID3 f\xfcr alle", "OTTO h\xf6rt", "caf\xe9", "\x1b[31mred\x1b[0m a\bb\a", "%!PS-Adobe-3.0"} {
		d.mycoIn(t.Context(), in, "ask").want(t, 0)
		<-got
	}
}

// A prompt that is beyond the model, whatever its words, is refused before an engine has read it for a minute.
func TestPromptFitsSomeModel(t *testing.T) {
	t.Parallel()
	node := func(id bus.NodeID, context int) bus.NodeInfo {
		return bus.NodeInfo{ID: id, State: bus.NodeReady, Types: []string{bus.TypeInference}, Models: []bus.ModelInfo{{Name: "m", ContextLength: context}}}
	}
	long := strings.Repeat("x", longPrompt+1)
	for _, c := range []struct {
		prompt string
		nodes  []bus.NodeInfo
		task   bus.Task
		err    string
	}{
		{long, []bus.NodeInfo{node(self, 4096), node(other, 32768)}, bus.Task{}, "the prompt has 33554433 bytes, and m reads 32768 tokens at once, which are 4194304 bytes at most"},
		{long, []bus.NodeInfo{node(self, 4096), node(other, 1<<20)}, bus.Task{}, ""},
		{long, []bus.NodeInfo{node(self, 4096), node(other, 1<<20)}, bus.Task{Node: self}, "and m reads 4096 tokens"},
		{long, []bus.NodeInfo{node(self, 4096), node(other, 1<<20)}, bus.Task{Model: "m", Node: self}, "and m reads 4096 tokens"},
		{long, []bus.NodeInfo{node(self, 0), node(other, 4096)}, bus.Task{}, ""}, // nobody knows
		{long, nil, bus.Task{}, ""}, // which its placing tells
		{long[1:], []bus.NodeInfo{node(self, 4096)}, bus.Task{}, ""},
	} {
		err := fits(bus.Status{Nodes: c.nodes}, c.task, c.prompt)
		if e := bus.AsError(err); (e == nil) != (c.err == "") || e != nil && (!strings.Contains(e.Message, c.err) || e.Code != bus.CodeTooLarge) {
			t.Errorf("%v at %v: error %v, want %q", c.task, c.nodes, err, c.err)
		}
	}

	d := setup(t)
	small := []bus.NodeInfo{node(self, 4096)}
	d.nodes.Store(&small)
	d.mycoIn(t.Context(), long, "ask", "what is it?").want(t, 2, "m reads 4096 tokens at once", "try: myco summarize FILE, which takes it in parts")
}

// Without a daemon there is no older node that takes less: an engine of this machine is asked about a picture of any size.
func TestLargeQuestionWithoutADaemon(t *testing.T) {
	t.Setenv("OLLAMA_HOST", "127.0.0.1:9") // nothing listens there, and the demo model answers
	d := setup(t)
	d.end()
	d.mycoIn(t.Context(), strings.Repeat("long ", 1<<18), "ask").want(t, 2, "No daemon is running", "the prompt is too long for the model's context")
}
