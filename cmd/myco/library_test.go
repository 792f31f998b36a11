package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/library"
)

// librarian is what a daemon was asked for, and does: it reads documents as plain text, makes vectors of what texts are
// about, and answers.
type librarian struct {
	mu     sync.Mutex
	read   []string // names
	embeds []string // texts
	asked  []bus.InferenceRequest
	lanes  map[bus.Lane]bool
	gone   bool                        // the model of the vectors
	poison string                      // text at which it fails
	more   int                         // numbers that its vectors have beyond three
	digest func(bus.Task) string       // of the model; nil tells none
	embed  func()                      // is called before vectors are made
	refuse func(bus.SubmitRequest) any // is asked first; nil goes on
	room   int                         // what a question may have, in bytes
}

func (d *daemon) librarian() *librarian {
	l := &librarian{lanes: map[bus.Lane]bool{}, room: 1 << 20}
	on(d, payload(bus.VerbSubmit), func(r bus.SubmitRequest) any {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.refuse != nil {
			if answer := l.refuse(r); answer != nil {
				return answer
			}
		}
		end := bus.TaskInfo{ID: r.Task.ID, Type: r.Task.Type, State: bus.StateDone, Attempts: 1, NodeID: other}
		var result any
		switch r.Task.Type {
		case bus.TypeFile:
			var req bus.FileRequest
			_ = json.Unmarshal(r.Task.Payload, &req) // an empty document fails the test
			l.read, l.lanes[r.Task.Lane] = append(l.read, req.Name), true
			if req.Name == "bad.txt" {
				end.State, end.Error = bus.StateFailed, bus.Errorf(bus.CodeFailed, "%q is broken", req.Name)
			}
			r := bus.FileResult{Text: string(req.Content), Kind: "text/plain"}
			if req.Name == "pages.txt" {
				r.Pages, r.PagesEmpty, r.Truncated = 3, []int{3}, true
			}
			result = r
		case bus.TypeEmbed:
			if l.embed != nil {
				l.embed()
			}
			if l.gone {
				return bus.Errorf(bus.CodeNoWorker, "no node of the swarm has model %q", r.Task.Model)
			}
			var req bus.EmbedRequest
			_ = json.Unmarshal(r.Task.Payload, &req)
			l.embeds = append(l.embeds, req.Inputs...)
			res := bus.EmbedResult{Model: r.Task.Model}
			if l.digest != nil {
				res.Digest = l.digest(r.Task)
			}
			for _, text := range req.Inputs {
				if l.poison != "" && strings.Contains(text, l.poison) {
					end.State, end.Error = bus.StateFailed, bus.Errorf(bus.CodeFailed, "the engine choked")
				}
				res.Vectors = append(res.Vectors, append([]float32{
					float32(strings.Count(text, "bee") + strings.Count(text, "hive")), float32(strings.Count(text, "boiler") + strings.Count(text, "heating")), 0.1,
				}, make([]float32, l.more)...))
			}
			result = res
		default:
			var req bus.InferenceRequest
			_ = json.Unmarshal(r.Task.Payload, &req)
			l.asked = append(l.asked, req)
			if len(req.Prompt) > l.room {
				end.State, end.Error = bus.StateFailed, bus.Errorf(bus.CodeTooLarge, "the prompt is too long for the model")
			}
			result = bus.InferenceResult{Text: "So it is [1].", Model: "a", PromptTokens: 90_000}
		}
		end.Result, _ = json.Marshal(result) // strings and numbers
		d.send(r.Inbox, bus.Chunk{Attempt: 1, End: &end})
		return bus.SubmitReply{ID: r.Task.ID}
	})
	return l
}

// do looks at l, or changes it.
func (l *librarian) do(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

// took returns what was read since it was called last, in order.
func (l *librarian) took() (read []string) {
	l.do(func() { read, l.read = l.read, nil })
	slices.Sort(read)
	return read
}

// last is what was asked last.
func (l *librarian) last() (asked bus.InferenceRequest) {
	l.do(func() { asked = l.asked[len(l.asked)-1] })
	return asked
}

// folder makes a folder of documents, and what is none.
func folder(t *testing.T, d *daemon) string {
	t.Helper()
	dir := filepath.Join(d.dir, "docs")
	for name, content := range map[string]string{
		"bees.md":            "Two hives stand behind the shed. The bees want water.",
		"boiler.txt":         "The boiler was replaced in May, for 3,200 euros.",
		"sub/pages.txt":      "[page 1]\n\nOf the garden.\n\n[page 2]\n\nThe heating of the greenhouse is old.\n",
		"bad.txt":            "broken",
		".hidden.txt":        "hidden",
		".git/config":        "hidden",
		"empty.txt":          "",
		"photo.png":          "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00",
		"sub/program":        "\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00",
		"../outside/far.txt": "It is outside.",
	} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		must(t, os.MkdirAll(filepath.Dir(path), 0o700))
		writeFile(t, path, content)
	}
	return dir
}

func TestLibrary(t *testing.T) {
	t.Parallel()
	d := setup(t)
	l := d.librarian()
	dir := folder(t, d)
	is := func(what string, want ...string) {
		t.Helper()
		if read := l.took(); !slices.Equal(read, want) {
			t.Errorf("%s: read %q, want %q", what, read, want)
		}
	}
	d.myco("library", "add", "papers", dir, "-m", "nomic-embed-text").want(t, 0, "pages.txt, 2 passages, read by tower, vectors by tower, 1 page without text, cut at its longest]",
		"the library papers: 3 documents, 4 passages; 3 read now, 0 gone, 1 not readable", "bees.md, 1 passage, read by tower, vectors by tower",
		`bad.txt, not readable: "bad.txt" is broken`)
	is("at first", "bad.txt", "bees.md", "boiler.txt", "pages.txt")
	l.do(func() {
		if l.lanes[bus.Interactive] || !l.lanes[bus.Batch] {
			t.Errorf("lanes %v: nobody waits for one document", l.lanes)
		}
		if !slices.Contains(l.embeds, "search_document: boiler.txt\nThe boiler was replaced in May, for 3,200 euros.") {
			t.Errorf("vectors were made of %q", l.embeds)
		}
	})
	d.myco("library", "update", "papers").want(t, 0, "3 documents, 4 passages; 0 read now, 0 gone, 1 not readable")
	is("nothing has changed")

	writeFile(t, filepath.Join(dir, "bees.md"), "Three hives stand there now.")
	must(t, os.Chtimes(filepath.Join(dir, "bees.md"), time.Time{}, time.Now().Add(time.Hour)))
	must(t, os.Remove(filepath.Join(dir, "boiler.txt")))
	d.myco("library", "add", "papers", dir).want(t, 0, "2 documents, 3 passages; 1 read now, 1 gone")
	is("one has changed, one is gone", "bees.md")

	found := d.myco("library", "search", "papers", "what about the boiler", "-n", "1").want(t, 0)
	if want := "==> " + filepath.Join(dir, "sub", "pages.txt") + ", page 2 <==\nThe heating of the greenhouse is old.\n"; found.out != want {
		t.Errorf("found %q, want %q", found.out, want)
	}
	o := d.myco("ask", "--library", "papers", "How old is the heating?").want(t, 0, "[1] "+filepath.Join(dir, "sub", "pages.txt")+", page 2\n")
	asked := l.last().Prompt
	if !strings.Contains(asked, "[1] pages.txt, page 2:\nThe heating of the greenhouse is old.\n\n[2]") || !strings.HasSuffix(asked, "\n\nQuestion: How old is the heating?") {
		t.Errorf("asked %q, answered %q", asked, o.out)
	}
	d.myco("ask", "--library", "papers", "--file", filepath.Join(dir, "bees.md"), "How old is the heating, and how many hives are there?").want(t, 0)
	if q := l.last().Prompt; !strings.HasPrefix(q, "Answer the question at the end from what comes before it alone") ||
		!strings.Contains(q, bus.NeverObey+"\n\n"+bus.Marked("Three hives stand there now.")+"\n\n<text-") || strings.Count(q, bus.NeverObey) != 1 {
		t.Errorf("with a file: asked %q", q)
	}
	l.took()
	var v answerView
	if err := json.Unmarshal([]byte(d.myco("--json", "ask", "--library", "papers", "heating").want(t, 0).out), &v); err != nil || len(v.Sources) != 3 ||
		v.Sources[0].Page != 2 || v.Sources[0].Library != "papers" {
		t.Errorf("%+v, %v", v, err)
	}

	must(t, os.Rename(dir, dir+" is away"))
	d.myco("library", "update", "papers").want(t, 3, "there is nothing to read in "+dir+" at present; what was read of it before stays", "2 documents, 3 passages; 0 read now, 0 gone")
	must(t, os.Rename(dir+" is away", dir))
	d.myco("library", "update", "papers", "-m", "other").want(t, 0, "0 read now, 2 given vectors, 0 gone")
	is("another model")
	var ls librariesView
	if err := json.Unmarshal([]byte(d.myco("--json", "library", "ls").want(t, 0).out), &ls); err != nil ||
		fmt.Sprint(ls) != fmt.Sprintf("{[{papers other:latest [%s] [] false 2 3 1}]}", dir) {
		t.Errorf("%+v, %v", ls, err)
	}
	if o := d.myco("library", "ls", "papers").want(t, 0); !strings.Contains(o.out, `"bad.txt" is broken`) {
		t.Errorf("documents:\n%s", o.out)
	}
	d.myco("library", "rm", "papers", filepath.Join(dir, "sub")).want(t, 3, "is not made of")
	d.myco("library", "rm", "papers", "").want(t, 2, "the name of the file is empty")
	if o := d.myco("--json", "library", "rm", "papers", dir).want(t, 0, "3 documents fewer"); o.out != `{"name":"papers","deleted":false,"dropped":3}`+"\n" {
		t.Errorf("as JSON: %q", o.out)
	}
	d.myco("ask", "--library", "papers", "heating").want(t, 3, "nothing of that is in the library papers")
	if o := d.myco("--json", "library", "rm", "papers").want(t, 0, "is deleted"); o.out != `{"name":"papers","deleted":true,"dropped":0}`+"\n" {
		t.Errorf("as JSON: %q", o.out)
	}
	for _, args := range [][]string{{"library", "ls", "papers"}, {"library", "update", "papers"}, {"library", "rm", "papers"}, {"library", "search", "papers", "x"}, {"ask", "--library", "papers", "x"}} {
		d.myco(args...).want(t, 3, `there is no library "papers"`)
	}
	if _, err := os.Stat(filepath.Join(dir, "bees.md")); err != nil {
		t.Error(err)
	}
}

// The machine with the model may be off, and passages are found all the same.
func TestLibraryWithoutItsModel(t *testing.T) {
	t.Parallel()
	d := setup(t)
	l := d.librarian()
	dir := folder(t, d)
	d.myco("library", "add", "papers", filepath.Join(dir, "boiler.txt"), "-m", "m").want(t, 0)
	l.do(func() { l.gone = true })
	o := d.myco("library", "search", "papers", "Euros?").want(t, 0, "passages are found by their words alone")
	if !strings.Contains(o.out, "3,200 euros") {
		t.Errorf("found %q", o.out)
	}
	o = d.myco("library", "add", "papers", dir).want(t, 3, `with passages to be found by words alone: no node of the swarm has model "m:latest"`, "try: myco library update papers, once a node has the model",
		"2 read now, 0 gone, 1 not readable")
	if n := strings.Count(o.err, "no vectors of "); n == 0 {
		t.Errorf("it does not say of which document:\n%s", o.err)
	}
	if o := d.myco("library", "search", "papers", "bees").want(t, 0, "passages are found by their words alone"); !strings.Contains(o.out, "bees.md") {
		t.Errorf("what was read without the model is not found: %q", o.out)
	}
	d.myco("library", "update", "papers").want(t, 3, "0 read now, 0 gone", `no node of the swarm has model "m:latest"`)
	d.myco("library", "update", "papers", "-m", "slip").want(t, 3, `no node of the swarm has model "slip"`)
	if o := d.myco("library", "ls").want(t, 0); !strings.Contains(o.out, "m:latest") {
		t.Errorf("the model is another one:\n%s", o.out)
	}
	d.myco("library", "add", "words", dir).want(t, 0, "no node has a model for embeddings: passages are found by their words alone")
	d.myco("library", "search", "words", "euros").want(t, 0)
	if o := d.myco("ask", "--library", "words", "--library", "papers", "--library", "words", "euros").want(t, 0, "[1] "); strings.Contains(o.err, "[2] ") {
		t.Errorf("one passage counts twice:\n%s", o.err)
	}
	d.myco("library", "search", "words", "submarines").want(t, 3, "nothing of that is in the library words")
	d.myco("--json", "library", "search", "words", "submarines").want(t, 3)
	l.do(func() { l.gone = false })
	d.myco("library", "update", "papers").want(t, 0, "0 read now, 2 given vectors, 0 gone")
}

// A model that fails at one text does not keep the others out, nor that one for good.
func TestLibraryWithATextThatHasNoVector(t *testing.T) {
	t.Parallel()
	d := setup(t)
	l := d.librarian()
	dir := folder(t, d)
	writeBook(t, filepath.Join(dir, "sub", "pages.txt"), 1100)
	l.do(func() { l.poison = "boiler" })
	d.myco("library", "add", "papers", dir, "-m", "m").want(t, 1, "boiler.txt, 1 passage, read by tower, no vectors of 1 passage: the engine choked]",
		"bees.md, 1 passage, read by tower, vectors by tower]", "[pages.txt: vectors of 10", " of 1100 passages]\n", "3 documents, 1102 passages", "1 document with passages to be found by words alone: m:latest failed at their vectors", "try: myco library update papers")
	if o := d.myco("library", "search", "papers", "May euros", "-n", "1").want(t, 0); !strings.Contains(o.out, "boiler.txt") {
		t.Errorf("found %q", o.out)
	}
	l.took()
	l.do(func() { l.poison = "" })
	d.myco("library", "update", "papers").want(t, 0, "0 read now, 1 given vectors, 0 gone")
	if read := l.took(); len(read) > 0 {
		t.Errorf("read %q", read)
	}
	d.myco("library", "update", "papers").want(t, 0, "0 read now")
}

// In a conversation passages come before the open question alone: what is kept of it, and goes out again, is what was said.
func TestChatFromALibrary(t *testing.T) {
	t.Parallel()
	d := setup(t)
	l := d.librarian()
	dir := folder(t, d)
	d.myco("library", "add", "papers", dir, "-m", "m").want(t, 0)
	pages := filepath.Join(dir, "sub", "pages.txt")
	d.chatOf("How old is the heating?", "-s", "house", "--library", "papers").want(t, 0, "[1] "+pages+", page 2\n")
	d.chatOf("And what did it cost?", "--resume").want(t, 0, "[1] ")
	last := l.last().Messages
	if len(last) != 3 || last[0].Content != "How old is the heating?" || !strings.HasSuffix(last[2].Content, "\n\nQuestion: And what did it cost?") ||
		!strings.Contains(last[2].Content, "The heating of the greenhouse is old.") {
		t.Errorf("asked %+v", last)
	}
	var v answerEvent
	lines := strings.Split(strings.TrimSpace(d.chatOf("And when?", "--resume", "--json").want(t, 0).out), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &v); err != nil || len(v.Sources) == 0 || v.Sources[0].File == "" {
		t.Errorf("%q: %v", lines, err)
	}
	s, err := chatsOf(d).find("house")
	if err != nil || s.Library != "papers" || s.size() > 100 || s.Messages[2].Content != "And what did it cost?" {
		t.Errorf("kept %+v, %v", s, err)
	}
	d.chatOf("x", "--library", "none").want(t, 3, `there is no library "none"`)
	d.myco("library", "rm", "papers").want(t, 0)
	d.chatOf("And where?", "-s", "house").want(t, 3, `there is no library "papers"`, `try: go on without it: myco --data-dir `+d.dir+` chat --library ""`)
	d.chatOf("And where?", "-s", "house", "--library", "").want(t, 0, "Answers are made from no library.")
	d.chatOf("How old is the heating?", "--no-save").want(t, 0)
	if q := l.last().Messages; len(q) != 1 || q[0].Content != "How old is the heating?" {
		t.Errorf("without a library: asked %+v", q)
	}
}

func TestChatLibraryCommand(t *testing.T) {
	t.Parallel()
	d := setup(t)
	d.librarian()
	d.myco("library", "add", "papers", folder(t, d), "-m", "m").want(t, 0)
	var notes bytes.Buffer
	ch := &chat{app: &app{streams: streams{environ: []string{"XDG_STATE_HOME=" + d.dir}}}, s: &session{}, notes: &notes}
	for _, tt := range []struct{ line, says, library string }{
		{"/library papers", "Passages of papers come before each question", "papers"},
		{"/library", "*  papers", "papers"},
		{"/library none", `there is no library "none"`, "papers"},
		{`/library ""`, "from no library", ""},
	} {
		notes.Reset()
		l, err := parseChat(tt.line)
		must(t, err)
		said := ""
		if err := ch.command(t.Context(), l); err != nil {
			said = err.Error()
		}
		if said += notes.String(); !strings.Contains(said, tt.says) || ch.s.Library != tt.library {
			t.Errorf("%s: says %q, and the library is %q", tt.line, said, ch.s.Library)
		}
	}
}

// A model that reads less at once than it says gets fewer passages, the best ones.
func TestLibraryForASmallContext(t *testing.T) {
	t.Parallel()
	d := setup(t)
	l := d.librarian()
	dir := folder(t, d)
	d.myco("library", "add", "papers", dir).want(t, 0)
	l.do(func() { l.room = 450 })
	d.myco("ask", "--library", "papers", "bees of the garden and euros for the heating").want(t, 0)
	if asked := l.last().Prompt; strings.Contains(asked, "[2]") || !strings.Contains(asked, "[1]") {
		t.Errorf("asked at last %q", asked)
	}
	d.chatOf("submarines?", "--no-save", "--library", "papers").want(t, 0, "nothing of that is in the library papers")
	l.do(func() { l.room = 10 })
	d.myco("ask", "--library", "papers", "bees").want(t, 2, "too long for the model", "name a model with a longer context")
}

func TestLibraryRefuses(t *testing.T) {
	t.Parallel()
	d := setup(t)
	d.myco("library", "add", "Papers", d.dir).want(t, 2, "the name of a library has small letters")
	d.myco("library", "add", "papers", filepath.Join(d.dir, "nope")).want(t, 2, "there is no file or folder", "try: ls "+bus.ShellWord(d.dir))
	d.myco("library", "add", "papers", "").want(t, 2, "the name of the file is empty")
	d.myco("library", "search", "papers", "x", "-n", "0").want(t, 2, "-n 0: want 1 to 100")
	d.myco("library").want(t, 0, "no libraries yet")

	d.librarian()
	d.myco("library", "add", "papers", folder(t, d)).want(t, 0)
	libraries := filepath.Join(d.dir, "mycoswarm", "libraries")
	release, err := library.Hold(libraries, "papers")
	must(t, err)
	for _, args := range [][]string{{"add", "papers", d.dir}, {"update", "papers"}, {"rm", "papers"}} {
		d.myco(append([]string{"library"}, args...)...).want(t, 1, "another command is changing the library papers")
	}
	d.myco("library", "search", "papers", "boiler").want(t, 0)
	must(t, release())
	writeFile(t, filepath.Join(libraries, "papers", "library.json"), "{")
	for _, args := range [][]string{{"add", "papers", d.dir}, {"update", "papers"}, {"ls", "papers"}} {
		d.myco(append([]string{"library"}, args...)...).want(t, 1, "is damaged", "try: myco library rm papers, and myco library add papers FILE")
	}
	d.myco("library", "rm", "papers").want(t, 0, "the library papers is deleted")
}

func TestEmbedder(t *testing.T) {
	t.Parallel()
	model := func(name string, can bus.Abilities) bus.ModelInfo { return bus.ModelInfo{Name: name, Can: can} }
	node := func(s bus.NodeState, models ...bus.ModelInfo) bus.NodeInfo {
		return bus.NodeInfo{State: s, Embedders: models}
	}
	chat, b, a := model("gemma3:1b", bus.Answers|bus.Embeds), model("bge-m3", bus.Embeds), model("all-minilm", bus.Embeds)
	for name, tt := range map[string]struct {
		nodes []bus.NodeInfo
		want  string
	}{
		"none":                      {[]bus.NodeInfo{node(bus.NodeReady, chat)}, ""},
		"one that does only that":   {[]bus.NodeInfo{node(bus.NodeReady, chat, b)}, "bge-m3:latest"},
		"that most have":            {[]bus.NodeInfo{node(bus.NodeReady, a, b), node(bus.NodeReady, b)}, "bge-m3:latest"},
		"the first by name":         {[]bus.NodeInfo{node(bus.NodeReady, b, a)}, "all-minilm:latest"},
		"nodes that are away":       {[]bus.NodeInfo{node(bus.NodeLost, a), node(bus.NodeReady, b)}, "bge-m3:latest"},
		"the demo model is no help": {[]bus.NodeInfo{node(bus.NodeReady, bus.ModelInfo{Name: "tinylm", Can: bus.Embeds, Demo: true})}, ""},
	} {
		if got := embedder(tt.nodes); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

// Every word of a document is in one passage, which knows its page.
func TestPassagesOf(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	for page := range 5 {
		fmt.Fprintf(&text, "[page %d]\n\n", page+1)
		for i := range 100 {
			fmt.Fprintf(&text, "<%d-%d> tells of honey and of bees.\n\n", page+1, i)
		}
	}
	seen := map[string]int{}
	for _, p := range passagesOf(bus.FileResult{Text: "before\n\n" + text.String(), Pages: 5}) {
		if len(p.Text) > passageSize || strings.Contains(p.Text, "[page") {
			t.Errorf("page %d: a passage of %d bytes: %.60q", p.Page, len(p.Text), p.Text)
		}
		for w := range strings.FieldsSeq(p.Text) {
			if strings.HasPrefix(w, "<") {
				seen[w]++
				if !strings.HasPrefix(w, fmt.Sprintf("<%d-", p.Page)) {
					t.Errorf("%s is on page %d", w, p.Page)
				}
			}
			if w == "before" && p.Page != 0 {
				t.Errorf("what comes before the pages is on page %d", p.Page)
			}
		}
	}
	for w, n := range seen {
		if n != 1 {
			t.Errorf("%s is in %d passages", w, n)
		}
	}
	if p := passagesOf(bus.FileResult{Text: "[page 9]\n\nof a text"}); len(p) != 1 || p[0].Page != 0 || !strings.Contains(p[0].Text, "[page 9]") {
		t.Errorf("a text without pages: %+v", p)
	}
	if len(seen) != 500 {
		t.Errorf("%d of 500 are in a passage", len(seen))
	}
}
