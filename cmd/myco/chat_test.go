package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mycoswarm/mycoswarm/bus"
)

func TestParseChat(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]chatLine{
		"hello":                        {question: "hello"},
		"  two\nlines\n":               {question: "  two\nlines"},
		"/etc/hosts: what is it?":      {question: "/etc/hosts: what is it?"},
		"/help me\nwith this":          {question: "/help me\nwith this"},
		"/2 is a half":                 {question: "/2 is a half"},
		"/bye":                         {verb: "/bye"},
		"/exit ":                       {verb: "/bye"},
		"/?":                           {verb: "/help"},
		"/model":                       {verb: "/model"},
		"/model gemma3:1b":             {verb: "/model", arg: "gemma3:1b", set: true},
		`/model ""`:                    {verb: "/model", set: true},
		`/system Be "brief".`:          {verb: "/system", arg: `Be "brief".`, set: true},
		"/system Speak\nlike a pirate": {verb: "/system", arg: "Speak\nlike a pirate", set: true},
		"/system\nSpeak":               {verb: "/system", arg: "Speak", set: true},
		"/system \"a\" is no \"b\"":    {verb: "/system", arg: `a" is no "b`, set: true},
		"/systems\nare what?":          {question: "/systems\nare what?"},
		"/save a name":                 {verb: "/save", arg: "a name", set: true},
	} {
		got, err := parseChat(in)
		if d := cmp.Diff(want, got, cmp.AllowUnexported(chatLine{})); d != "" || err != nil {
			t.Errorf("%q: %v %s", in, err, d)
		}
	}
	for in, want := range map[string]string{
		"/nodes x": "no command /nodes", "/load": "wants a NAME", "/bye now": "takes nothing more",
	} {
		if _, err := parseChat(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", in, err, want)
		}
	}
}

func TestGather(t *testing.T) {
	t.Parallel()
	for in, want := range map[string][]string{
		"a\nb":                            {"a", "b"},
		"a\\\nb\\\nc\nd":                  {"a\nb\nc", "d"},
		"\"\"\"a\nb\n\"\"\"\nc":           {"a\nb", "c"},
		"\"\"\"\n a\n\n b\"\"\"":          {" a\n\n b"},
		"\"\"\"one\"\"\"":                 {"one"},
		"say \"\"\"x":                     {"say \"\"\"x"},
		"\"\"\"\nit ends in \\\n\"\"\"":   {"it ends in \\"},
		"pasted\nlines\\\nmore":           {"pasted", "lines\nmore"},
		"/system \"\"\"\na\nb\n\"\"\"\nc": {"/system \"a\nb\"", "c"},
		"/system \"\"\"a\"\"\"":           {`/system "a"`},
		"/system \"\"\"\n\"\"\"":          {`/system ""`},
		"/save \"\"\"a":                   {"/save \"\"\"a"},
	} {
		var g gather
		var got []string
		for line := range strings.SplitSeq(in, "\n") {
			if text, whole := g.add(line); whole {
				got = append(got, text)
			}
		}
		if d := cmp.Diff(want, got); d != "" || g.open() {
			t.Errorf("%q: open %v %s", in, g.open(), d)
		}
	}
}

func TestCompletions(t *testing.T) {
	t.Parallel()
	give := func(s ...string) func() []string { return func() []string { return s } }
	for line, want := range map[string][]string{
		"/mo": {"del "}, "/b": {"ye"}, "/model g": {"emma3:1b", "emma3:27b"}, "/node t": {"ower"}, "/load ho": {"lidays"}, "/library p": {"apers"},
		"hello /m": nil, "/peers x": nil, "/s": {"ystem ", "ave "},
	} {
		got, _ := completions(line, map[string]func() []string{
			"/model": give("gemma3:1b", "gemma3:27b"), "/node": give("tower"), "/load": give("holidays"), "/library": give("papers"),
		})
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%q: %s", line, d)
		}
	}
}

// A text of several lines that is pasted is one input, whatever pieces it is read in.
func TestPasteIsOneInput(t *testing.T) {
	t.Parallel()
	const in, want = "a\x1b[Ab\r\x1b[200~one\r\ntwo\rthree\n\tx\x1b[Ay\x1b[201~ end\r", "a\x1b[Ab\rone␤two␤three␤    x[Ay end\r"
	for name, r := range map[string]*pasteReader{
		"at once":  {from: strings.NewReader(in)},
		"by bytes": {from: iotest.OneByteReader(strings.NewReader(in))},
	} {
		var got bytes.Buffer
		_, err := got.ReadFrom(r)
		must(t, err)
		if got.String() != want {
			t.Errorf("%s: %q, want %q", name, got.String(), want)
		}
	}
}

func chatsIn(t *testing.T) sessions {
	t.Helper()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return sessions{dir: filepath.Join(t.TempDir(), "chats"), now: func() time.Time {
		now = now.Add(time.Minute)
		return now
	}}
}

func TestSessionsAreKept(t *testing.T) {
	t.Parallel()
	d := chatsIn(t)
	if _, err := d.last(); bus.AsError(err).Code != bus.CodeNotFound {
		t.Errorf("the last of none: %v", err)
	}
	s := d.start()
	s.Unanswered = "Why?"
	s.answered("Because.")
	must(t, d.name(s, "holidays"))
	save(t, d, s)
	got, err := d.find("holidays")
	must(t, err)
	if diff := cmp.Diff(s, got); diff != "" {
		t.Error(diff)
	}
	info, err := os.Stat(d.path(s.ID))
	must(t, err)
	dir, err := os.Stat(d.dir)
	must(t, err)
	if (info.Mode().Perm() != 0o600 || dir.Mode().Perm() != 0o700) && runtime.GOOS != "windows" { // whose modes are made up
		t.Errorf("modes %v and %v: others can read it", info.Mode(), dir.Mode())
	}
	other := d.start()
	if err := d.name(other, "holidays"); bus.AsError(err).Code != bus.CodeConflict {
		t.Errorf("a name twice: %v", err)
	}
	save(t, d, other)
	if got, err = d.last(); err != nil || got.ID != other.ID {
		t.Errorf("the last is %v, %v", got, err)
	}
	entries, err := os.ReadDir(d.dir)
	must(t, err)
	if len(entries) != 2 {
		t.Errorf("files %v, want one for each session and nothing else", entries)
	}
}

func save(t *testing.T, d sessions, s *session) {
	t.Helper()
	if copied, err := d.save(s); err != nil || copied {
		t.Fatalf("save: copied %v, %v", copied, err)
	}
}

// Two chats that have the same session lose nothing of each other.
func TestSessionInTwoChats(t *testing.T) {
	t.Parallel()
	d := chatsIn(t)
	a := d.start()
	save(t, d, a)
	b, err := d.find(a.ID)
	must(t, err)
	a.Unanswered = "from a"
	save(t, d, a)
	b.Unanswered = "from b"
	if copied, err := d.save(b); err != nil || !copied {
		t.Fatalf("copied %v, %v", copied, err)
	}
	save(t, d, b)
	for _, want := range []*session{a, b} {
		got, err := d.find(want.ID)
		must(t, err)
		if got.Unanswered != want.Unanswered {
			t.Errorf("%s has %q, want %q", got.ID, got.Unanswered, want.Unanswered)
		}
	}
}

// Two chats may begin a conversation of one name at once: the name is of the first that has something to keep.
func TestNameOfTwoNewSessions(t *testing.T) {
	t.Parallel()
	d := chatsIn(t)
	a, b := d.start(), d.start()
	must(t, d.name(a, "trip"))
	must(t, d.name(b, "trip"))
	save(t, d, b)
	if copied, err := d.save(a); err != nil || !copied || a.Name != "" {
		t.Errorf("the second is called %q, copied %v, %v", a.Name, copied, err)
	}
	save(t, d, a)
	save(t, d, b)
	if got, err := d.find("trip"); err != nil || got.ID != b.ID {
		t.Errorf("trip is %v, %v, want the first", got, err)
	}
}

func TestDamagedSessionsAreNamed(t *testing.T) {
	t.Parallel()
	d := chatsIn(t)
	s := d.start()
	save(t, d, s)
	writeFile(t, d.path("cut"), `{"version":1,"id":"cu`)
	writeFile(t, d.path("later"), `{"version":2,"id":"later","name":"trip"}`)
	all, problems := d.list()
	if len(all) != 1 || len(problems) != 2 {
		t.Fatalf("%d sessions and problems %v", len(all), problems)
	}
	for want, problem := range map[string]string{"later": "has format 2", "trip": "has format 2", "cut": "is damaged"} {
		_, err := d.find(want)
		if err == nil || !strings.Contains(err.Error(), problem) || errors.Is(err, &bus.Error{Code: bus.CodeNotFound}) {
			t.Errorf("%s: %v, want that it %s: what is not found is begun anew", want, err, problem)
		}
	}
}

// What cannot be read is neither passed over nor overwritten.
func TestDamagedSessionIsNotPassedOver(t *testing.T) {
	t.Parallel()
	d := chatsIn(t)
	before, s := d.start(), d.start()
	save(t, d, before)
	save(t, d, s)
	const later = `{"version":2,"id":"later"}`
	writeFile(t, d.path(s.ID), later)
	must(t, os.Chtimes(d.path(s.ID), time.Time{}, s.Updated))
	_, err := d.last()
	if e := bus.AsError(err); err == nil || !strings.Contains(e.Message, "the last conversation: ") || !strings.Contains(e.Hint, before.ID) {
		t.Errorf("the last one is of a later version: %v", err)
	}
	id := s.ID
	if copied, err := d.save(s); err != nil || !copied || s.ID == id {
		t.Errorf("saved as %s, %v", s.ID, err)
	}
	b, err := os.ReadFile(d.path(id))
	must(t, err)
	if string(b) != later {
		t.Errorf("%s is overwritten with %s", id, b)
	}
	if last, err := d.last(); err != nil || last.ID != s.ID {
		t.Errorf("then the last one is %v, %v, want the copy", last, err)
	}
}

func TestSessionTurns(t *testing.T) {
	t.Parallel()
	s := &session{System: "brief"}
	if s.again() {
		t.Error("there is a question before the first")
	}
	s.Unanswered = "one"
	s.answered("1")
	s.Unanswered, s.Tokens = "two", 100
	want := []bus.Message{{Role: "user", Content: "one"}, {Role: "assistant", Content: "1"}, {Role: "user", Content: "two"}}
	if r := s.request(); cmp.Diff(want, r.Messages) != "" || r.System != "brief" || r.Validate() != nil {
		t.Errorf("the request is %+v", r)
	}
	if s.size() != 100 {
		t.Errorf("size %d, want what the engine counted", s.size())
	}
	s.answered("") // nothing came
	if s.Unanswered != "two" || s.turns() != 1 {
		t.Errorf("a question without an answer is lost: %+v", s)
	}
	s.answered("2")
	if !s.again() || s.Unanswered != "two" || s.turns() != 1 || s.Tokens != 0 {
		t.Errorf("asked again: %+v", s)
	}
}

// chatOf runs chat with a question piped in; its conversations are in the data directory.
func (d *daemon) chatOf(in string, args ...string) outcome {
	d.t.Helper()
	var out, errs bytes.Buffer
	code := run(d.t.Context(), append([]string{"--data-dir", d.dir, "chat"}, args...), streams{
		in: strings.NewReader(in), out: &out, err: &errs, piped: true, environ: []string{"XDG_STATE_HOME=" + d.dir},
	})
	return outcome{code, out.String(), errs.String()}
}

// chatsOf are the conversations of chatOf.
func chatsOf(d *daemon) sessions { return sessions{dir: filepath.Join(d.dir, "mycoswarm", "chats")} }

// What is piped in is one question, and a session carries the conversation from one run to the next.
func TestChatGoesOn(t *testing.T) {
	t.Parallel()
	d := setup(t)
	got := answers(d, piece(1, 0, "Paris **it**"), piece(1, 1, " is."), done(1, paris))
	o := d.chatOf("Which\ncity?\n", "-s", "trip", "--system", "brief").want(t, 0, "A new conversation, called trip", "-- tower, gemma3:27b, 2.0 tokens/s, first token after")
	if o.out != "Paris **it** is.\n" {
		t.Errorf("printed %q, want the answer as it came", o.out)
	}
	<-got
	if o := d.chatOf("hi", "-s", strings.Repeat("x", 65)).want(t, 2, "at most 64 bytes"); strings.Contains(o.err, "A new conversation") {
		t.Errorf("a conversation is begun by a name that is refused: %s", o.err)
	}
	d.chatOf("And then?", "--resume", "-m", "gemma3:27b").want(t, 0)
	var req bus.InferenceRequest
	must(t, json.Unmarshal((<-got).Payload, &req))
	want := []bus.Message{{Role: "user", Content: "Which\ncity?"}, {Role: "assistant", Content: "Paris it is."}, {Role: "user", Content: "And then?"}}
	if diff := cmp.Diff(want, req.Messages); diff != "" || req.System != "brief" {
		t.Errorf("system %q, %s", req.System, diff)
	}
	var l struct{ Sessions []sessionView }
	must(t, json.Unmarshal([]byte(d.chatOf("", "--list", "--json").want(t, 0).out), &l))
	if len(l.Sessions) != 1 || l.Sessions[0].Name != "trip" || l.Sessions[0].Turns != 2 || l.Sessions[0].First != "Which city?" {
		t.Errorf("listed %+v", l)
	}
	if o := d.chatOf("", "--list").want(t, 0); !strings.Contains(o.out, "trip") {
		t.Errorf("listed %s", o.out)
	}
	d.chatOf("x", "--session", "none", "--no-save").want(t, 0)
	if all, _ := chatsOf(d).list(); len(all) != 1 {
		t.Errorf("%d conversations are kept, want 1", len(all))
	}
}

// What goes on with a conversation is its name: on a narrow terminal other columns give way.
func TestChatListKeepsNamesWhole(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	files := sessions{dir: filepath.Join(state, "mycoswarm", "chats"), now: time.Now}
	s := files.start()
	s.Model, s.Unanswered = "qwen2.5-coder:7b-instruct-q4_K_M", strings.Repeat("why ", 30)
	_, err := files.save(s)
	must(t, err)
	for _, columns := range []int{30, 40, 60, 80} {
		var out, errs bytes.Buffer
		code := run(t.Context(), []string{"chat", "--list"}, streams{
			in: strings.NewReader(""), out: &out, err: &errs, columns: func() int { return columns }, environ: []string{"XDG_STATE_HOME=" + state},
		})
		if code != 0 || !strings.Contains(out.String(), s.ID) {
			t.Errorf("code %d on %d columns:\n%s%swant %s", code, columns, out.String(), errs.String(), s.ID)
		}
	}
}

func TestChatEvents(t *testing.T) {
	t.Parallel()
	d := setup(t)
	answers(d, piece(1, 0, "Lon"), piece(2, 0, "Paris it is."), done(2, paris))
	o := d.chatOf("Which city?", "--json").want(t, 0, "tower was lost: tower answers anew", "2 attempts")
	var events []string
	for line := range strings.Lines(o.out) {
		var e struct {
			Event, Text string
		}
		must(t, json.Unmarshal([]byte(line), &e))
		events = append(events, e.Event+" "+e.Text)
	}
	if diff := cmp.Diff([]string{"session ", "piece Lon", "restart ", "piece Paris it is.", "answer Paris it is."}, events); diff != "" {
		t.Error(diff)
	}
}

// Conversations that one chat begins in the same second, as /clear does, are two.
func TestSessionsOfOneSecond(t *testing.T) {
	t.Parallel()
	d := chatsIn(t)
	at := d.now()
	d.now = func() time.Time { return at }
	if a, b := d.start(), d.start(); a.ID == b.ID {
		t.Errorf("both are %s", a.ID)
	}
}

// A question without an answer is on disk all the same.
func TestChatKeepsWhatWasNotAnswered(t *testing.T) {
	t.Parallel()
	d := setup(t)
	on(d, payload(bus.VerbSubmit), func(bus.SubmitRequest) any {
		return bus.Errorf(bus.CodeNoWorker, "nobody can").WithHint("leave the node open, without --node")
	})
	d.chatOf("Which city?", "-s", "trip").want(t, 3, "nobody can", "try: leave the node open, without --node")
	s, err := sessions{dir: filepath.Join(d.dir, "mycoswarm", "chats")}.find("trip")
	must(t, err)
	if s.Unanswered != "Which city?" || s.turns() != 0 {
		t.Errorf("kept %+v", s)
	}
	d.chatOf(" \n").want(t, 2, "there is no question")
	d.chatOf("hi", "--node", "nobody").want(t, 3, `no node "nobody"`)
	// The conversation remembers its node, so the flag cannot be left out.
	d.chatOf("hi", "-s", "pinned", "--node", "tower").want(t, 3, `try: leave the node open, with --node ""`)
	d.chatOf("hi", "-s", "pinned").want(t, 3, `try: leave the node open, with --node ""`)
	d.chatOf("hi", "-s", "pinned", "--node", "").want(t, 3, "try: leave the node open, without --node")
}

// A model that nobody has is refused before anything is kept: --resume goes on with what was before.
func TestChatRefusesAModelThatIsNotThere(t *testing.T) {
	t.Parallel()
	d := setup(t)
	got := answers(d, piece(1, 0, "Paris it is."), done(1, paris))
	d.chatOf("Which city?", "-s", "trip").want(t, 0)
	<-got
	o := d.chatOf("And then?", "-m", "gemma3:72b").want(t, 3, `no node has the model "gemma3:72b"; there is `, "pull gemma3:72b")
	if o.out != "" {
		t.Errorf("printed %q", o.out)
	}
	d.chatOf("And then?", "--resume", "-m", "gemma3:72b").want(t, 3)
	d.chatOf("And then?", "--resume").want(t, 0)
	if task := <-got; task.Model != "gemma3:27b" {
		t.Errorf("asked %q, want the model that answered before", task.Model)
	}
	all, _ := (sessions{dir: filepath.Join(d.dir, "mycoswarm", "chats")}).list()
	if len(all) != 1 || all[0].turns() != 2 {
		t.Errorf("kept %d conversations, want the one of two turns", len(all))
	}
}

func TestChatTellsOfALongConversation(t *testing.T) {
	t.Parallel()
	var errs strings.Builder
	ch := &chat{app: &app{}, notes: &errs, s: &session{Tokens: 8000, Unanswered: strings.Repeat("word ", 200)}}
	nodes := []bus.NodeInfo{{Models: []bus.ModelInfo{{Name: "m:latest", ContextLength: 8192}}}}
	ch.warnOfContext(nodes, "m")
	if !strings.Contains(errs.String(), "about 8250 tokens, and the model reads 8192") {
		t.Errorf("it says %q", errs.String())
	}
	errs.Reset()
	ch.s.Tokens = 10
	ch.warnOfContext(nodes, "m")
	if errs.Len() > 0 {
		t.Errorf("it says %q of a short one", errs.String())
	}
}
