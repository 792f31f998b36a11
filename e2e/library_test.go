//go:build e2e && linux

package e2e_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// A node that neither reads documents nor has a model keeps a library by what another does, asks a real Ollama about it,
// and finds by words when the other is off.
func TestRealOllamaAnswersFromALibrary(t *testing.T) {
	o := launchOllama(t)
	o.createWide(t)
	heard := o.overhear(t)
	s := harness.New(t, programs)
	a := s.Found(t, "a", "--no-files")
	b := s.Join(t, a, "b", "--engine", heard.url)
	harness.Settle(t, a, b)
	awaitModel(t, a, "b", "wide", true)
	docs := filepath.Join(a.Home, "docs")
	if err := os.Mkdir(docs, 0o700); err != nil {
		t.Fatal(err)
	}
	pdf, err := os.ReadFile("../handlers/file/testdata/report.pdf")
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"report.pdf": pdf, "boiler.md": []byte("The boiler was replaced in May.\n\nIt cost 3,200 euros.\n"), "photo.png": []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"),
	} {
		if err := os.WriteFile(filepath.Join(docs, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := a.Myco(t, "library", "add", "papers", docs, "-m", "wide")
	for _, want := range []string{"report.pdf, 3 passages, read by b, vectors by b", "boiler.md, 1 passage, read by b, vectors by b", "2 documents, 4 passages"} {
		if r.Code != 0 || !strings.Contains(r.Stderr, want) {
			t.Fatalf("%s\nwant %q", r, want)
		}
	}
	if r := a.Myco(t, "library", "update", "papers"); r.Code != 0 || !strings.Contains(r.Stderr, "0 read now") {
		t.Errorf("%s\nwant nothing to be read anew", r)
	}

	report := filepath.Join(docs, "report.pdf") + ", page 1"
	r = a.Myco(t, "ask", "--library", "papers", "Which flowers do the bees want: willow or crocus?")
	if q := heard.take(); r.Code != 0 || len(q) != 1 || !strings.Contains(q[0].prompt(), "] report.pdf, page 1:\nBees in the garden") ||
		!strings.HasSuffix(q[0].prompt(), "\n\nQuestion: Which flowers do the bees want: willow or crocus?") || !strings.Contains(r.Stderr, "] "+report+"\n") {
		t.Errorf("%s\nasked %+v", r, q)
	}
	var found struct {
		Passages []struct {
			File string
			Page int
			Text string
		}
	}
	r = a.Myco(t, "library", "search", "--json", "papers", "-n", "4", "what did the boiler cost")
	if err := json.Unmarshal([]byte(r.Stdout), &found); err != nil || len(found.Passages) != 4 || !strings.Contains(r.Stdout, "3,200 euros") {
		t.Errorf("%s\nwant all four passages, ranked by vectors as well: %v", r, err)
	}

	b.Kill()
	harness.Poll(t, harness.Patience, "a sees b lost", func() string {
		if state := a.View(t).Node("b").State; state != bus.NodeLost {
			return string(state)
		}
		return ""
	})
	r = a.Myco(t, "library", "search", "papers", "boiler euros")
	if r.Code != 0 || !strings.Contains(r.Stderr, "passages are found by their words alone") || !strings.HasPrefix(r.Stdout, "==> "+filepath.Join(docs, "boiler.md")+" <==\n") {
		t.Errorf("%s\nwant the passage by its words", r)
	}
}
