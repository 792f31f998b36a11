//go:build e2e && linux

package e2e_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/charmbracelet/x/vt"
	"github.com/creack/pty"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// terminal is a person's terminal with a program of n's user in it.
type terminal struct {
	t   *testing.T
	pty *os.File
	cmd *exec.Cmd
	end chan struct{} // closed once the program has ended

	mu   sync.Mutex
	emu  *vt.Emulator
	said strings.Builder // what the emulator has obeyed, too
}

// openTerminal runs myco in a terminal of 80 columns and 24 rows.
func openTerminal(t *testing.T, n *harness.Node, env []string, args ...string) *terminal {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), programs.Myco, args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + n.Home, "TERM=xterm-256color", "LANG=C.UTF-8", "OLLAMA_HOST=127.0.0.1:9", bus.EnvDataDir + "=" + n.Dir}, env...)
	return runInTerminal(t, cmd)
}

// runInTerminal starts a program in such a terminal, until the test ends.
func runInTerminal(t *testing.T, cmd *exec.Cmd) *terminal {
	t.Helper()
	x := &terminal{t: t, cmd: cmd, emu: vt.NewEmulator(80, 24), end: make(chan struct{})}
	var err error
	x.pty, err = pty.StartWithSize(x.cmd, &pty.Winsize{Rows: 24, Cols: 80})
	if err != nil {
		t.Fatalf("open a terminal: %v", err)
	}
	var wg sync.WaitGroup
	wg.Go(x.read)
	wg.Go(func() { _, _ = io.Copy(x.pty, x.emu) }) // what the terminal answers, to the end
	t.Cleanup(func() {
		_ = x.cmd.Process.Kill() // it may have ended
		<-x.end
		x.mu.Lock()
		_ = x.emu.Close()
		x.mu.Unlock()
		x.pty.Close()
		wg.Wait()
		if t.Failed() {
			t.Logf("the terminal shows:\n%s", x.screen())
		}
	})
	return x
}

// read shows what the program prints, until it ends.
func (x *terminal) read() {
	defer close(x.end)
	buf := make([]byte, 4096)
	for {
		n, err := x.pty.Read(buf)
		x.mu.Lock()
		_, _ = x.emu.Write(buf[:n]) // it takes everything
		x.said.Write(buf[:n])
		x.mu.Unlock()
		if err != nil {
			_ = x.cmd.Wait() // its code is read below
			return
		}
	}
}

// screen is what the person sees, and above it what has scrolled away.
func (x *terminal) screen() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	var lines []string
	row := func(cell func(i int) string) {
		var b strings.Builder
		for i := range x.emu.Width() {
			b.WriteString(cell(i))
		}
		lines = append(lines, strings.TrimRight(b.String(), " "))
	}
	for y := range x.emu.ScrollbackLen() {
		row(func(i int) string {
			if c := x.emu.ScrollbackCellAt(i, y); c != nil {
				return c.Content
			}
			return " "
		})
	}
	for y := range x.emu.Height() {
		row(func(i int) string {
			if c := x.emu.CellAt(i, y); c != nil {
				return c.Content
			}
			return " "
		})
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n")
}

func (x *terminal) typed(s string) {
	x.t.Helper()
	if _, err := x.pty.WriteString(s); err != nil {
		x.t.Fatalf("type %q: %v", s, err)
	}
}

// sees waits until the screen holds all of what.
func (x *terminal) sees(what ...string) {
	x.t.Helper()
	harness.Poll(x.t, harness.Patience, "the terminal shows "+strings.Join(what, ", "), func() string {
		s := x.screen()
		for _, w := range what {
			if !strings.Contains(s, w) {
				return "no " + w + " in\n" + s
			}
		}
		return ""
	})
}

// left waits until the program has ended with code 0.
func (x *terminal) left() {
	x.t.Helper()
	select {
	case <-x.end:
	case <-time.After(harness.Patience):
		x.t.Fatal("it does not end")
	}
	if code := x.cmd.ProcessState.ExitCode(); code != 0 {
		x.t.Errorf("exit code %d, want 0", code)
	}
}

// answered waits until that many answers are whole.
func (x *terminal) answered(n int) {
	x.t.Helper()
	harness.Poll(x.t, harness.Patience, "answers", func() string {
		if s := x.screen(); strings.Count(s, "\n-- tower, ") != n {
			return fmt.Sprintf("%q", s)
		}
		return ""
	})
}

const (
	ctrlC, ctrlD, enter, tab = "\x03", "\x04", "\r", "\t"
	ready                    = "\n>>>" // below what was there
	pasteOn, pasteOff        = "\x1b[?2004h", "\x1b[?2004l"
)

// A person talks with the demo model: edits, completes, leaves, and goes on the next day.
func TestChatInATerminal(t *testing.T) {
	t.Parallel()
	s := harness.New(t, programs)
	n := s.Node(t, "tower")
	n.Demo = true
	n.Start(t)
	awaitModel(t, n, "tower", "tinylm", true)
	x := openTerminal(t, n, nil, "chat")
	x.sees("/help shows the commands", ">>>")
	x.typed("What is the capital of Frence" + strings.Repeat("\x7f", 4) + "ance?" + enter) // a slip, mended
	// Not how many tokens/s: the demo model may be quicker than a clock can tell.
	x.sees("The capital of France is Paris.", "-- tower, tinylm:latest,", "first token after", "This is a demo", "download)"+ready)
	if got := strings.Count(x.screen(), "The capital of France is Paris."); got != 1 {
		t.Errorf("the answer is there %d times, want once", got)
	}
	x.typed("/mod" + tab + "ti" + tab + enter)
	x.sees("tinylm:latest answers from here on.")
	x.typed("/node nobody" + enter)
	x.sees(`no node "nobody"`)
	x.typed(`"""What is the` + enter + "capital of" + enter + `Italy?"""` + enter)
	x.sees("... capital of")
	x.answered(2)
	x.typed("/save trip" + enter)
	x.sees("Saved. To go on with it later: myco chat --session trip")
	x.typed("/peers" + enter)
	x.sees("NAME", "tower (here)")
	x.typed(ctrlD)
	x.left()

	x = openTerminal(t, n, nil, "chat", "--resume")
	x.sees("trip, 2 answered so far")
	x.typed("/retry" + enter)
	x.sees(">>> What is the capital of Italy?")
	x.answered(1)
	x.typed("/bye" + enter)
	x.left()
	if r := n.Myco(t, "chat", "--list"); !strings.Contains(r.Stdout, "trip") || r.Code != 0 {
		t.Errorf("%s", r)
	}
}

// A terminal that says it is dumb, as that of an editor, is told nothing that it would have to obey: asked where its
// cursor is, it would never answer.
func TestChatInADumbTerminal(t *testing.T) {
	t.Parallel()
	s := harness.New(t, programs)
	n := s.Node(t, "tower")
	n.Demo = true
	n.Start(t)
	awaitModel(t, n, "tower", "tinylm", true)
	x := openTerminal(t, n, []string{"TERM=dumb"}, "chat")
	x.sees("/help shows the commands", ready)
	x.typed("What is the capital \\" + enter)
	x.sees("\n...")
	x.typed("of France?" + enter)
	x.sees("\nThe capital of France is Paris.", "-- tower, tinylm:latest,", "download)"+ready)
	x.typed(ctrlD)
	x.left()
	if said := x.said.String(); strings.Contains(said, "\x1b") {
		t.Errorf("it is told to obey: %q", said)
	}
}

// Ctrl-C stops the answer, and the engine, and keeps the chat; errors do not end it either.
func TestChatIsInterrupted(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	ledger := &engine.Ledger{}
	s := harness.New(t, programs)
	e := startEngine(t, s, engine.Config{Name: "e", Ledger: ledger, Script: func(r engine.Request) engine.Script {
		switch {
		case strings.Contains(r.Prompt, "long"):
			return engine.Script{Words: []string{"It **begins** ", "so"}, Ending: engine.Hang}
		case strings.Contains(r.Prompt, "fail"):
			return engine.Script{Ending: engine.Fail}
		case strings.Contains(r.Prompt, "gate"):
			return engine.Script{Words: []string{"**Open**", " now.\n\n", "- one\n", "- two"}, Gate: gate}
		}
		return engine.Script{Words: []string{"fine"}}
	}})
	n := s.Found(t, "tower", "--engine", e.URL())
	awaitModel(t, n, "tower", engine.Model, true)
	x := openTerminal(t, n, nil, "chat", "--model", engine.Model)
	x.sees(">>>")
	x.typed("a long story" + enter)
	x.sees("It **begins** so")
	x.typed(ctrlC)
	x.sees("It begins so", "-- stopped"+ready)
	harness.Poll(t, harness.Patience, "the engine is left", func() string {
		for _, r := range ledger.Runs() {
			if r.Outcome == engine.Left {
				return ""
			}
		}
		return "it still runs"
	})
	x.typed("fail" + enter)
	x.sees("myco: gave up after 3 attempts in which the engine hung or failed, on tower")
	x.typed("gate" + enter)
	x.sees("asking " + engine.Model)
	x.typed("how are you?" + enter) // while it waits: this is the next question
	close(gate)
	x.sees("Open now.\n\n• one\n• two\n-- tower", ">>> how are you?\nfine\n-- tower")
	brackets := func(last string) { // what is pasted is one input, also while an answer is made: the mode lasts to the end
		t.Helper()
		x.mu.Lock()
		defer x.mu.Unlock()
		if said := x.said.String(); strings.LastIndex(said, last) < max(strings.LastIndex(said, pasteOn), strings.LastIndex(said, pasteOff)) ||
			last == pasteOn && strings.Contains(said, pasteOff) {
			t.Errorf("what is pasted is not bracketed as it should be: %q", said)
		}
	}
	brackets(pasteOn)
	x.typed("half a question" + ctrlC)
	x.typed("/bye" + enter)
	x.left()
	brackets(pasteOff)
	x = openTerminal(t, n, nil, "chat", "--resume")
	x.sees("3 answered so far", ready) // before that the terminal takes Ctrl-D for itself
	x.typed(ctrlD)
	x.left()
}

// The worker dies in the middle of an answer: the user is told, and has the answer of another.
func TestChatTellsOfALostWorker(t *testing.T) {
	t.Parallel()
	ledger := &engine.Ledger{}
	s := harness.New(t, programs)
	a := s.Found(t, "laptop")
	slow := startEngine(t, s, engine.Config{Name: "slow", Ledger: ledger, Script: func(engine.Request) engine.Script {
		return engine.Script{Words: []string{"half an "}, Ending: engine.Hang}
	}})
	b := s.Join(t, a, "doomed", "--engine", slow.URL())
	awaitModel(t, a, "doomed", engine.Model, true)
	harness.Settle(t, a, b)
	x := openTerminal(t, a, []string{"NO_COLOR=1"}, "chat", "-m", engine.Model)
	x.sees(">>>")
	x.typed("hello" + enter)
	x.sees("half an")
	whole := startEngine(t, s, engine.Config{Name: "whole", Ledger: ledger, Script: func(engine.Request) engine.Script {
		return engine.Script{Words: []string{"half an ", "answer"}}
	}})
	s.Join(t, a, "other", "--engine", whole.URL())
	awaitModel(t, a, "other", engine.Model, true)
	b.Kill()
	x.sees("half an answer", "doomed was lost: other went on", "2 attempts")
	x.typed(ctrlD)
	x.left()
}

// Without a daemon chat works on the engines of this machine; the terminal is as it was before.
func TestChatWithoutADaemon(t *testing.T) {
	t.Parallel()
	s := harness.New(t, programs)
	n := s.Node(t, "alone")
	x := openTerminal(t, n, nil, "chat")
	x.sees("No daemon is running", ">>>")
	x.typed("What is the capital of France?" + enter)
	x.sees("The capital of France is Paris.\n-- ")
	x.typed("/node tower" + enter)
	x.sees("there is no daemon, and so no other node")
	if err := x.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-x.end
	if code := x.cmd.ProcessState.ExitCode(); code != 130 {
		t.Errorf("exit code %d after SIGTERM, want 130", code)
	}
	files, err := filepath.Glob(filepath.Join(n.Home, ".local", "state", "mycoswarm", "chats", "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("files %v, %v, want one", files, err)
	}
	if info, err := os.Stat(files[0]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v, want mode 0600", info, err)
	}
	r := n.MycoIn(t, "What is the capital of Italy?\n", "chat", "--resume", "--json")
	var e struct{ Event, Text string }
	lastObject(t, r, &e)
	if e.Event != "answer" || e.Text == "" {
		t.Errorf("%s", r)
	}
}

// A conversation that has outgrown the context of its model goes on with whole answers: what is forgotten is its
// beginning. tinylm has a context of 256 tokens, and each turn takes some 17.
func TestChatOutgrowsTheContext(t *testing.T) {
	for _, engine := range [][]string{{"--engine", startOllama(t)}, nil} {
		a := harness.New(t, programs).Node(t, "a")
		a.Demo = engine == nil
		a.Start(t, engine...)
		awaitModel(t, a, "a", "tinylm", true)
		for turn := range 30 {
			r := a.MycoIn(t, "What is the capital of France?", "chat", "-m", "tinylm", "--session", "long")
			if r.Code != 0 || !strings.HasSuffix(strings.TrimSpace(r.Stdout), ".") {
				t.Fatalf("engine %v: turn %d is cut off: %s", engine, turn+1, r)
			}
		}
	}
}
