//go:build e2e && linux

package e2e_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// A node that neither reads documents nor has a model keeps a library by what another does, asks a real Ollama about it,
// and finds by words when the other is off.
func TestRealOllamaAnswersFromALibrary(t *testing.T) {
	a, b, heard := besideOllama(t)
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

// A person takes up a library in the midst of a conversation, asks on, leaves it, and finds it again the next day.
func TestChatFromALibraryInATerminal(t *testing.T) {
	t.Parallel()
	s := harness.New(t, programs)
	e := startEngine(t, s, engine.Config{Name: "e", Ledger: &engine.Ledger{}, Script: func(r engine.Request) engine.Script {
		if strings.Contains(r.Prompt, "replaced in May") && strings.Contains(r.Prompt, "3,200 euros") {
			return engine.Script{Words: []string{"In **May** ", "[1]."}}
		}
		return engine.Script{Words: []string{"Nobody knows."}}
	}})
	n := s.Found(t, "tower", "--engine", e.URL())
	awaitModel(t, n, "tower", engine.Model, true)
	docs := filepath.Join(n.Home, "docs")
	if err := os.Mkdir(docs, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"boiler.md": "The boiler was replaced in May.", "invoice.txt": "Of the boiler: 3,200 euros.", "bees.md": "Two hives stand there."} {
		if err := os.WriteFile(filepath.Join(docs, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	x := openTerminal(t, n, nil, "chat", "-m", engine.Model)
	shows := func(what ...string) { // where a line is broken depends on how long the path is
		t.Helper()
		harness.Poll(t, harness.Patience, "the terminal shows "+strings.Join(what, ", "), func() string {
			screen := x.screen()
			for _, w := range what {
				if !strings.Contains(strings.ReplaceAll(screen, "\n", ""), w) {
					return "no " + w + " in\n" + screen
				}
			}
			return ""
		})
	}
	x.sees(">>>")
	x.typed("/library" + enter)
	x.sees("There are no libraries yet: myco library add papers FOLDER makes one." + ready)
	if r := n.Myco(t, "library", "add", "papers", docs); r.Code != 0 || !strings.Contains(r.Stderr, "3 documents, 3 passages") {
		t.Fatalf("%s", r)
	}
	x.typed("/library none" + enter)
	x.sees(`myco: there is no library "none"`)
	x.typed("/lib" + tab + "pa" + tab + enter)
	x.sees("Passages of papers come before each question from here on." + ready)
	x.typed("When was the boiler replaced?" + enter)
	shows("In May [1].-- tower, ", "[1] "+filepath.Join(docs, "boiler.md"), "[2] "+filepath.Join(docs, "invoice.txt"))
	x.typed("And what did that cost?" + enter) // what it is about the question before tells
	x.sees(">>> And what did that cost?\nIn May [1].\n-- tower, ")
	x.answered(2)
	x.typed(ctrlD)
	x.left()

	x = openTerminal(t, n, nil, "chat", "--resume")
	x.sees("2 answered so far")
	x.typed("/library" + enter)
	x.sees("*  papers" + ready)
	x.typed("What stands there?" + enter)
	shows("[1] " + filepath.Join(docs, "bees.md"))
	x.answered(1)
	x.typed(`/library ""` + enter)
	x.sees("Answers are made from no library." + ready)
	x.typed("When was the boiler replaced?" + enter)
	x.sees(">>> When was the boiler replaced?\nNobody knows.\n-- tower, ")
	x.typed("/bye" + enter)
	x.left()
}

// A daemon that ends in the midst of a long add is waited for: it goes on with the one that comes after it.
func TestLibraryOutlastsItsDaemon(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*testing.T, *harness.Node){
		"killed": func(_ *testing.T, n *harness.Node) { n.Kill() }, "stopped": func(t *testing.T, n *harness.Node) { t.Helper(); n.Stop(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := harness.New(t, programs)
			held, open := make(chan struct{}, 64), make(chan struct{})
			a := s.Found(t, "a")
			b := s.Join(t, a, "b", "--engine", holding(t, startEngine(t, s, engine.Config{Name: "e"}).URL(), held, open))
			harness.Settle(t, a, b)
			awaitModel(t, a, "b", engine.Model, true)
			docs := filepath.Join(a.Home, "docs")
			if err := os.Mkdir(docs, 0o700); err != nil {
				t.Fatal(err)
			}
			for _, file := range []string{"boiler", "bees"} {
				if err := os.WriteFile(filepath.Join(docs, file+".txt"), []byte("Of "+file), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			add := a.LaunchMyco(t, "library", "add", "papers", docs, "-m", engine.Model)
			select {
			case <-held:
			case <-time.After(harness.Patience):
				t.Fatalf("no vectors are made:\n%s", add.Log(20))
			}
			end(t, a)
			harness.Poll(t, harness.Patience, "the command tells that it waits", func() string {
				if log := add.Log(20); !strings.Contains(log, ": waiting for it, 1m0s at most]") {
					return log
				}
				return ""
			})
			close(open)
			a.Start(t)
			if code, err := add.Wait(harness.Patience); code != 0 || err != nil || !strings.Contains(add.Log(20), "the library papers: 2 documents, 2 passages") {
				t.Errorf("exit code %d, error %v\n%s", code, err, add.Log(20))
			}
		})
	}
}

// holding is a way to an engine on which the vectors of passages wait until open is closed, which held tells.
func holding(t *testing.T, to string, held chan<- struct{}, open <-chan struct{}) string {
	t.Helper()
	target, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	first := make(chan struct{}, 1) // asks whether there is such a model
	first <- struct{}{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/embed" {
			select {
			case <-first:
			default:
				held <- struct{}{}
				select {
				case <-open:
				case <-r.Context().Done():
					return
				}
			}
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL
}
