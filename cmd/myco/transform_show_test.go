package main

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// pane is a terminal: what goes to standard output and to standard error, in the order that it comes.
type pane struct {
	mu      sync.Mutex
	text    strings.Builder
	changed chan struct{}
}

func newPane() *pane { return &pane{changed: make(chan struct{})} }

func (s *pane) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.changed)
	s.changed = make(chan struct{})
	return s.text.Write(b)
}

// await waits until the screen ends with text.
func (s *pane) await(t *testing.T, text string) {
	t.Helper()
	for over := time.After(limit); ; {
		s.mu.Lock()
		now, changed := s.text.String(), s.changed
		s.mu.Unlock()
		if strings.HasSuffix(now, text) {
			return
		}
		select {
		case <-changed:
		case <-over:
			t.Fatalf("the screen does not end with %q:\n%s", text, now)
		}
	}
}

// rewriting is a transform under way, of a text of so many parts, whose answers the test sends.
type rewriting struct {
	*daemon
	screen  *pane
	out     strings.Builder // where standard output is no terminal
	inboxes []string        // of the parts
	code    chan int
	stop    context.CancelFunc
}

func (d *daemon) rewrites(t *testing.T, parts int, terminal bool) *rewriting {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	r := &rewriting{daemon: d, screen: newPane(), inboxes: make([]string, parts), code: make(chan int, 1), stop: stop}
	asked := make(chan int, parts)
	on(d, payload(bus.VerbSubmit), func(s bus.SubmitRequest) any {
		if s.Task.Type == bus.TypeFile {
			var req bus.FileRequest
			_ = json.Unmarshal(s.Task.Payload, &req) // an empty document fails the test
			end := done(1, bus.InferenceResult{})
			end.End.Result, _ = json.Marshal(bus.FileResult{Text: string(req.Content), Kind: "text/plain", Words: 1})
			d.send(s.Inbox, end)
			return bus.SubmitReply{ID: s.Task.ID}
		}
		var req bus.InferenceRequest
		_ = json.Unmarshal(s.Task.Payload, &req)
		i, of := 0, 0
		if _, err := fmt.Sscanf(req.Prompt, "This is part %d of %d", &i, &of); err != nil || of != parts {
			t.Errorf("asked about %.40q, want %d parts", req.Prompt, parts)
			return nil
		}
		r.inboxes[i-1] = s.Inbox
		asked <- i
		return bus.SubmitReply{ID: s.Task.ID}
	})
	s := streams{in: strings.NewReader(paragraphs(20 * parts)), piped: true, out: &r.out, err: r.screen}
	if terminal {
		s.out, s.columns = r.screen, func() int { return 80 }
	}
	go func() { r.code <- run(ctx, []string{"--data-dir", d.dir, "transform", "x"}, s) }()
	for range parts {
		select {
		case <-asked:
		case <-time.After(limit):
			t.Fatalf("not all parts were asked for:\n%s", r.screen.text.String())
		}
	}
	return r
}

// part sends chunks of a part, counted from 1.
func (r *rewriting) part(i int, chunks ...bus.Chunk) { r.send(r.inboxes[i-1], chunks...) }

// wrote is the end of a part.
func wrote(attempt int, text string) bus.Chunk {
	return done(attempt, bus.InferenceResult{Text: text, Model: "a", DoneReason: "stop"})
}

// ofParts are the lines that tell which parts are done.
var ofParts = regexp.MustCompile(`(?m)^\[\d of \d: part \d, by tower\]\n`)

// ends waits for the end of the command, and returns what is on the screen, but for the lines that tell of the parts.
func (r *rewriting) ends(t *testing.T, code int) string {
	t.Helper()
	select {
	case got := <-r.code:
		if got != code {
			t.Errorf("exit code %d, want %d", got, code)
		}
	case <-time.After(limit):
		t.Fatal("it does not end")
	}
	_, shown, _ := strings.Cut(r.screen.text.String(), " parts of 5 KB at most]\n")
	shown, _, _ = strings.Cut(shown, "-- a, tower")
	return ofParts.ReplaceAllString(shown, "")
}

// In a terminal a part comes as it is written, once all before it are there, and what tells of others does not break its lines. A part
// that begins anew with the same words, on another node or for another daemon, goes on where it was.
func TestTransformComesInOrder(t *testing.T) {
	t.Parallel()
	d := setup(t)
	r := d.rewrites(t, 3, true)
	r.part(2, piece(1, 0, "```\nThe sec"), piece(1, 1, "ond"))
	r.part(1, piece(1, 0, "The fir"))
	r.screen.await(t, "\nThe fir")
	r.part(3, wrote(1, "The third."))
	r.part(1, piece(1, 1, "st.\n"), piece(1, 2, "\nIts e"))
	r.screen.await(t, "The first.\n\nIts e")
	r.part(1, piece(2, 0, "The first.\n"), piece(2, 1, "\nIts end"))
	r.screen.await(t, "The first.\n\nIts end")
	r.part(2, wrote(1, "```\nThe second.\n```"))
	r.part(1, wrote(2, "The first.\n\nIts end.\n\n"))
	shown := r.ends(t, 0)
	if want := "The first.\n\nIts end.\n\nThe second.\n\nThe third.\n"; shown != want {
		t.Errorf("it shows %q, want %q", shown, want)
	}
}

// What a part began with and does not go on with is void, which a terminal is told, once; elsewhere it is not there.
func TestTransformBeginsAnew(t *testing.T) {
	t.Parallel()
	for terminal, want := range map[bool]string{
		true:  "The fir\n[part 1 is written anew: what is above of it is void]\nOne.\n\nThe second.\n",
		false: "One.\n\nThe second.\n",
	} {
		d := setup(t)
		r := d.rewrites(t, 2, terminal)
		r.part(1, piece(1, 0, "The fir"))
		if terminal {
			r.screen.await(t, "The fir")
		}
		r.part(1, piece(2, 0, "On"))
		if terminal {
			r.screen.await(t, "\nOn")
		}
		r.part(1, piece(2, 1, "e"), wrote(2, "One."))
		r.part(2, piece(1, 0, "The"), wrote(1, "The second."))
		shown := r.ends(t, 0)
		if !terminal {
			shown = r.out.String()
		}
		if shown != want {
			t.Errorf("terminal %v: it shows %q, want %q", terminal, shown, want)
		}
	}
}

// Where it is stopped in the middle of a part the line ends, and it is told how much there is.
func TestTransformStopped(t *testing.T) {
	t.Parallel()
	d := setup(t)
	r := d.rewrites(t, 2, true)
	r.part(1, piece(1, 0, "The fir"))
	r.screen.await(t, "The fir")
	r.stop()
	if shown, want := r.ends(t, 130), "The fir\n[0 of 2 parts are printed, and the beginning of one more]\nmyco: interrupted\n"; shown != want {
		t.Errorf("it shows %q, want %q", shown, want)
	}
}

// Code and tables that are longer than a part are put together again as they were.
func TestTransformOfLongBlocks(t *testing.T) {
	t.Parallel()
	var asked func() []bus.InferenceRequest
	text := "Prose.\n\n```go\n" + strings.Repeat("if x {\n\n\ty()\n}\n", 500) + "```\n\n| a | b |\n|---|---|\n" + strings.Repeat("| bee | 7 |\n", 800) + "\nEnd.\n"
	for _, room := range []int{1 << 20, 1500} { // also in halves
		d := setup(t)
		asked = shouting(d, room)
		if o := d.mycoIn(t.Context(), text, "transform", "Write in capitals").want(t, 0, " parts of "); o.out != strings.ToUpper(text) {
			t.Errorf("with room for %d bytes it printed\n%s", room, o.out)
		}
	}
	heads := 0
	for _, q := range asked() {
		in := textIn(q.Prompt)
		if strings.Contains(in, "\ty()") && strings.Count(in, "```")%2 != 0 {
			t.Errorf("asked about code that is not closed: %q", in)
		}
		if strings.Contains(in, "| a | b |\n|---|---|\n") {
			heads++
		}
	}
	if heads < 3 {
		t.Errorf("the head of the table is in %d questions", heads)
	}
}

// What tells that another part is done waits until no line of the text is broken by it; what holds all up is told at once, in a line
// of its own.
func TestTransformTellsBetweenParts(t *testing.T) {
	t.Parallel()
	shows := newPane()
	s := streams{out: shows, err: shows, columns: func() int { return 80 }}
	a := &app{streams: s, view: newView(s.out, nil, false)}
	r := &transform{partwise: partwise{holdups: a.holdups(nil)}, parts: make([]written, 2)}
	r.write(0, "The fir", false)
	r.tell("[a part]")
	r.write(0, "The first.\n", false)
	r.write(0, "The first.\n\n", true)
	r.write(1, "The sec", false)
	r.say("it waits")
	r.write(1, "The second.\n", true)
	if got, want := shows.text.String(), "The first.\n\n[a part]\nThe sec\n[it waits]\nond.\n"; got != want {
		t.Errorf("it shows %q, want %q", got, want)
	}
}
