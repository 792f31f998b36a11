package main

import (
	"bytes"
	"context"
	"encoding/json"
	"image"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mycoswarm/mycoswarm/bus"
)

// aPicture writes one to a file.
func aPicture(t *testing.T, dir, name string) (path string, content []byte) {
	t.Helper()
	var b bytes.Buffer
	must(t, png.Encode(&b, image.NewGray(image.Rect(0, 0, 2, 2))))
	path = filepath.Join(dir, name)
	must(t, os.WriteFile(path, b.Bytes(), 0o600))
	return path, b.Bytes()
}

// sight is a table of nodes of which one has a model that sees.
func sight(d *daemon) {
	seeing := slices.Clone(nodes)
	seeing[1].Models = []bus.ModelInfo{
		{Name: "gemma3:27b", Loaded: true, SizeBytes: 17e9, Can: bus.Answers},
		{Name: "llava:7b", SizeBytes: 4e9, Can: bus.Answers | bus.Sees},
	}
	d.nodes.Store(&seeing)
}

func TestAskAboutAPicture(t *testing.T) {
	t.Parallel()
	d := setup(t)
	sight(d)
	got := answers(d, piece(1, 0, "A bee."), done(1, bus.InferenceResult{Text: "A bee.", Model: "llava:7b"}))
	path, content := aPicture(t, t.TempDir(), "a bee.png")
	d.myco("ask", "--image", path, "What is on it?").want(t, 0)
	task := <-got
	var req bus.InferenceRequest
	must(t, json.Unmarshal(task.Payload, &req))
	if task.Model != "llava:7b" || req.Prompt != "What is on it?" || len(req.Images) != 1 || !bytes.Equal(req.Images[0], content) {
		t.Errorf("task of %q, request %+v", task.Model, req)
	}
	d.myco("ask", "-m", "gemma3:27b", "--image", path, "What is on it?").want(t, 2, "gemma3:27b sees no pictures", "one that does: llava:7b")
	d.myco("ask", "--image", path).want(t, 2, "there is no question")
	text := filepath.Join(t.TempDir(), "text.png")
	writeFile(t, text, "no picture")
	d.myco("ask", "--image", text, "What is on it?").want(t, 2, "is text/plain; charset=utf-8: models see PNG, JPEG and WebP")
	d.myco("ask", "--image", filepath.Join(t.TempDir(), "none.png"), "?").want(t, 2, "there is no file", "try: ls ")
	d.myco("ask", "--image", "", "?").want(t, 2, "the name of the picture is empty")
	d.myco("ask", "--image", t.TempDir(), "?").want(t, 2, "is no file", "myco ask --image - PROMPT")
	writeFile(t, text, "")
	d.myco("ask", "--image", text, "?").want(t, 2, "text.png is empty")
}

// A conversation shows its pictures again with each question, to a model that sees; a picture belongs to its question.
func TestChatAboutAPicture(t *testing.T) {
	t.Parallel()
	d := setup(t)
	sight(d)
	got := answers(d, piece(1, 0, "A bee."), done(1, bus.InferenceResult{Text: "A bee.", Model: "llava:7b"}))
	path, content := aPicture(t, t.TempDir(), "bee.png")
	d.myco("chat", "--session", "bees", "--image", path, "What is on it?").want(t, 0, "1 picture goes with the next question.")
	<-got
	d.myco("chat", "--session", "bees", "And what is that?").want(t, 0)
	task := <-got
	var req bus.InferenceRequest
	must(t, json.Unmarshal(task.Payload, &req))
	want := []bus.Message{{Role: "user", Content: "What is on it?", Images: [][]byte{content}}, {Role: "assistant", Content: "A bee."}, {Role: "user", Content: "And what is that?"}}
	if diff := cmp.Diff(want, req.Messages); diff != "" || task.Model != "llava:7b" {
		t.Errorf("task of %q, -want +got:\n%s", task.Model, diff)
	}
	d.myco("chat", "--session", "bees", "-m", "gemma3:27b", "And now?").want(t, 2, "gemma3:27b sees no pictures")
}

// A question that had no answer keeps its pictures for when it is asked again, and not for the next one.
func TestPicturesOfAQuestionWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	d := setup(t)
	path, content := aPicture(t, t.TempDir(), "bee.png")
	blind := slices.Clone(nodes)
	blind[1].Models = []bus.ModelInfo{{Name: "gemma3:27b", Can: bus.Answers}}
	d.nodes.Store(&blind)
	got := answers(d, piece(1, 0, "Yes."), done(1, bus.InferenceResult{Text: "Yes.", Model: "llava:7b"}))
	images := func(args ...string) [][]byte {
		t.Helper()
		if d.myco(append([]string{"chat", "--session", "bees"}, args...)...).want(t, 0); len(got) == 0 {
			t.Fatal("nobody is asked")
		}
		var req bus.InferenceRequest
		must(t, json.Unmarshal((<-got).Payload, &req))
		return req.Messages[len(req.Messages)-1].Images
	}
	about := []string{"--image", path, "Is it a bee?"}
	d.myco(append([]string{"chat", "--session", "bees"}, about...)...).want(t, 3, "no model here sees pictures")
	if all := images("Are there bees?"); len(all) != 0 {
		t.Errorf("another question goes with %d pictures", len(all))
	}
	d.myco(append([]string{"chat", "--session", "bees"}, about...)...).want(t, 3, "no model here sees pictures")
	sight(d)
	if all := images(about...); len(all) != 1 || !bytes.Equal(all[0], content) {
		t.Errorf("asked once more it goes with %d pictures, want one", len(all))
	}
}

// What cannot be asked about a picture can be asked without, as a person is told who has shown one.
func TestPicturesThatNobodySees(t *testing.T) {
	t.Parallel()
	blind := slices.Clone(nodes)
	blind[1].Models = []bus.ModelInfo{{Name: "gemma3:27b", Can: bus.Answers}}
	path, _ := aPicture(t, t.TempDir(), "bee.png")
	ch := &chat{app: &app{streams: streams{interactive: true}}, asker: fixedAsker{bus.Status{Nodes: blind}}, s: &session{}, notes: io.Discard}
	must(t, ch.show(t.Context(), path))
	says := func(want string) {
		t.Helper()
		if e := bus.AsError(ch.ask(t.Context(), "A bee?")); e.Code != bus.CodeNoWorker || !strings.Contains(e.Hint, "gemma3:4b") || !strings.Contains(e.Hint, want) {
			t.Errorf("error %+v, want the hint %s", e, want)
		}
	}
	says(`/image "" asks without a picture`)
	must(t, ch.image(t.Context(), chatLine{set: true}))
	if len(ch.s.Images)+len(ch.shown) > 0 {
		t.Error("the picture goes all the same")
	}
	ch.s = &session{Messages: []bus.Message{{Role: "user", Content: "?", Images: [][]byte{{1}}}, {Role: "assistant", Content: "!"}}}
	says("/clear begins a conversation without pictures")
}

// fixedAsker is a swarm that nobody asks.
type fixedAsker struct{ of bus.Status }

func (f fixedAsker) nodes(context.Context) ([]bus.NodeInfo, error) { return f.of.Nodes, nil }

func (f fixedAsker) status(context.Context) (bus.Status, error) { return f.of, nil }

func (fixedAsker) ask(context.Context, bus.Task, bus.InferenceRequest, func(bus.Chunk), func(string)) (bus.TaskInfo, error) {
	return bus.TaskInfo{}, bus.Errorf(bus.CodeInternal, "it is asked")
}

// The model that answered so far gives way, where the swarm chose it, to one that sees; asked again, a question has
// its picture still.
func TestPicturesOfASession(t *testing.T) {
	s := &session{Messages: []bus.Message{}, Unanswered: "one", Images: [][]byte{{1}}}
	if !s.sees() {
		t.Error("it has no picture")
	}
	s.answered("1")
	if s.Images != nil || !s.sees() || len(s.Messages[0].Images) != 1 {
		t.Errorf("answered: %+v", s)
	}
	if s.again(); s.Unanswered != "one" || len(s.Images) != 1 || len(s.request().Messages[0].Images) != 1 {
		t.Errorf("again: %+v", s)
	}
}

func TestModelThatSees(t *testing.T) {
	t.Parallel()
	node := func(id bus.NodeID, models ...bus.ModelInfo) bus.NodeInfo {
		return bus.NodeInfo{ID: id, Name: string(id), State: bus.NodeReady, Models: models}
	}
	big, small := bus.ModelInfo{Name: "big", SizeBytes: 9, Can: bus.Sees | bus.Answers}, bus.ModelInfo{Name: "small", SizeBytes: 1, Can: bus.Sees | bus.Answers}
	blind, untold := bus.ModelInfo{Name: "blind", SizeBytes: 99, Loaded: true, Can: bus.Answers}, bus.ModelInfo{Name: "untold"}
	for _, c := range []struct {
		name      string
		nodes     []bus.NodeInfo
		task      bus.Task
		model     string
		err, hint string
	}{
		{"the largest that sees", []bus.NodeInfo{node(self, small, blind), node(other, big)}, bus.Task{}, "big", "", ""},
		{"on that node", []bus.NodeInfo{node(self, small, blind), node(other, big)}, bus.Task{Node: self}, "small", "", ""},
		{"on another node", []bus.NodeInfo{node(self, big), node(other, small)}, bus.Task{Remote: true}, "small", "", ""},
		{"by its name", []bus.NodeInfo{node(self, small), node(other, big)}, bus.Task{Model: "small:latest"}, "small:latest", "", ""},
		{"blind", []bus.NodeInfo{node(self, small, blind)}, bus.Task{Model: "blind"}, "", "blind sees no pictures", "one that does: small"},
		{"nobody has it", []bus.NodeInfo{node(self, blind)}, bus.Task{Model: "big"}, "big", "", ""},
		{"one that may see", []bus.NodeInfo{node(self, untold)}, bus.Task{}, "", "", ""},
		{"one that may see, by its name", []bus.NodeInfo{node(self, untold)}, bus.Task{Model: "untold"}, "untold", "", ""},
		{"a node that is lost", []bus.NodeInfo{{ID: other, Name: "tower", State: bus.NodeLost}, node(self, blind)}, bus.Task{Node: other}, "", "", ""},
		{"none", []bus.NodeInfo{node(self, blind)}, bus.Task{}, "", "no model here sees pictures", "gemma3:4b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			model, err := modelThatSees(bus.Status{Node: bus.NodeInfo{ID: self}, Nodes: c.nodes}, c.task)
			if c.err == "" && (err != nil || model != c.model) {
				t.Errorf("%q, %v, want %q", model, err, c.model)
			}
			if c.err != "" {
				if e := bus.AsError(err); err == nil || e.Message != c.err || !strings.Contains(e.Hint, c.hint) {
					t.Errorf("error %+v, want %s (%s)", e, c.err, c.hint)
				}
			}
		})
	}
}

func TestPathsOfPictures(t *testing.T) {
	home, err := os.UserHomeDir()
	must(t, err)
	paths := map[string]string{
		"a.png": "a.png", "'/tmp/a b.png'": "/tmp/a b.png", `"/tmp/a b.png"`: "/tmp/a b.png", "~/a.png": filepath.Join(home, "a.png"),
		`'/tmp/it'\''s.png'`: "/tmp/it's.png",
	}
	if filepath.Separator == '/' {
		paths[`/tmp/Bees\ \(1\)\ \&\ it\'s.png`] = "/tmp/Bees (1) & it's.png"
	}
	for in, want := range paths {
		if got := dropped(in); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
	dir := t.TempDir()
	aPicture(t, dir, "bee one.png")
	must(t, os.Mkdir(filepath.Join(dir, "bees"), 0o700))
	typed := filepath.Join(dir, "be")
	want := []string{typed + "e one.png", typed + "es" + string(filepath.Separator)}
	if diff := cmp.Diff(want, filesThatBegin(typed)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
