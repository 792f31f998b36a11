package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/ergochat/readline"

	"github.com/mycoswarm/mycoswarm/bus"
)

// completeWithin is how long names may be looked for while the user waits for a completion.
const completeWithin = 2 * time.Second

// editor reads what a person types.
type editor struct {
	rl   *readline.Instance
	out  io.Writer
	once sync.Once
	note func(string, ...any)
	// dumb tells of a terminal that obeys nothing, as those within editors: it edits its lines by itself. Asked where
	// its cursor is, as others are before each line, it would not answer, and be waited for without end.
	dumb bool
}

// newEditor edits on standard output where that is a terminal, else on standard error.
func newEditor(ch *chat) *editor {
	stdin := &pasteReader{from: os.Stdin}
	out := os.Stderr
	if ch.tty {
		out = os.Stdout
	}
	if !ch.dumb {
		typed, tells := tellsCursor(os.Stdin, out, cursorLimit)
		stdin.take(typed)
		if !tells {
			ch.dumb, ch.tty = true, false
			ch.note("This terminal does not tell where its cursor is: lines are edited as it does, without history and completion.")
		}
	}
	e := &editor{out: out, note: ch.note, dumb: ch.dumb}
	cfg := &readline.Config{
		Prompt: ">>> ", Stdin: stdin, Stdout: e.out, Stderr: os.Stderr,
		InterruptPrompt: "^C", EOFPrompt: "\n", DisableAutoSaveHistory: true, Undo: true,
		AutoComplete: completer{ch},
	}
	if e.dumb {
		asItIs := func() error { return nil }
		cfg.FuncIsTerminal, cfg.FuncMakeRaw, cfg.FuncExitRaw = func() bool { return false }, asItIs, asItIs
	}
	rl, err := readline.NewFromConfig(cfg)
	if err != nil {
		panic(err) // only Windows has an error here, before version 10
	}
	e.rl = rl
	for _, m := range ch.s.Messages {
		if m.Role == "user" {
			e.remember(m.Content)
		}
	}
	return e
}

// newlineMark stands for a newline within the one line that the editor knows.
const newlineMark = '␤'

func (e *editor) remember(text string) {
	_ = e.rl.SaveToHistory(strings.ReplaceAll(text, "\n", string(newlineMark))) // in memory
}

// read returns one input, of several lines if need be. io.EOF says that the user leaves.
func (e *editor) read() (string, error) {
	var g gather
	for {
		prompt := ">>> "
		if g.open() {
			prompt = "... "
		}
		line, err := e.line(prompt)
		switch {
		case errors.Is(err, readline.ErrInterrupt):
			if !g.open() && line == "" {
				e.note("Ctrl-D or /bye leaves.")
			}
			g = gather{}
			continue
		case err != nil:
			return "", io.EOF
		}
		if text, whole := g.add(strings.ReplaceAll(line, string(newlineMark), "\n")); whole {
			if strings.TrimSpace(text) != "" {
				e.remember(text)
			}
			return text, nil
		}
	}
}

// line returns one line.
func (e *editor) line(prompt string) (string, error) {
	if e.dumb {
		io.WriteString(e.out, prompt) //nolint:errcheck // it is the terminal
		return e.rl.ReadLine()
	}
	e.rl.SetPrompt(prompt)
	io.WriteString(e.out, ansi.SetModeBracketedPaste) //nolint:errcheck // as above
	return e.rl.ReadLine()
}

// close leaves the terminal as it was. Until then it brackets what is pasted, also while an answer is made.
func (e *editor) close() {
	e.once.Do(func() {
		if !e.dumb {
			io.WriteString(e.out, ansi.ResetModeBracketedPaste) //nolint:errcheck // as above
		}
		_ = e.rl.Close()
	})
}

// pasteReader turns newlines of what is pasted, which the terminal brackets, into marks: a text of
// several lines is one input, and not one for each line.
type pasteReader struct {
	from    io.Reader
	pasting bool
	cr      bool   // the last byte pasted was a carriage return
	pending []byte // read, and not handed out
	held    []byte // may be the beginning of a bracket
}

var pasteBegin, pasteEnd = []byte("\x1b[200~"), []byte("\x1b[201~")

func (p *pasteReader) Read(b []byte) (int, error) {
	for len(p.pending) == 0 {
		buf := make([]byte, 1024)
		n, err := p.from.Read(buf)
		p.take(buf[:n])
		if err != nil && len(p.pending) == 0 {
			return 0, err
		}
	}
	n := copy(b, p.pending)
	p.pending = p.pending[n:]
	return n, nil
}

func (p *pasteReader) take(b []byte) {
	b = append(p.held, b...)
	p.held = nil
	for len(b) > 0 {
		mark := pasteBegin
		if p.pasting {
			mark = pasteEnd
		}
		i := bytes.IndexByte(b, '\x1b')
		if i < 0 {
			i = len(b)
		}
		p.hand(b[:i])
		b = b[i:]
		switch {
		case bytes.HasPrefix(b, mark):
			p.pasting = !p.pasting
			b = b[len(mark):]
		case len(b) > 0 && bytes.HasPrefix(mark, b): // the editor would wait after Escape too
			p.held = bytes.Clone(b)
			return
		case len(b) > 0:
			if !p.pasting {
				p.pending = append(p.pending, b[0])
			}
			b = b[1:]
		}
	}
}

// hand passes bytes on; within a paste line ends become marks, and tabs, which would complete, blanks.
func (p *pasteReader) hand(b []byte) {
	if !p.pasting {
		p.pending = append(p.pending, b...)
		return
	}
	for _, c := range b {
		switch {
		case c == '\n' && p.cr: // of \r\n
		case c == '\n', c == '\r':
			p.pending = append(p.pending, string(newlineMark)...)
		case c == '\t':
			p.pending = append(p.pending, "    "...)
		default:
			p.pending = append(p.pending, c)
		}
		p.cr = c == '\r'
	}
}

// completer completes commands, models, nodes and names of conversations.
type completer struct{ ch *chat }

// Do implements readline.AutoCompleter.
func (c completer) Do(line []rune, pos int) (endings [][]rune, length int) {
	names := func(pick func([]bus.NodeInfo) []string) func() []string {
		return func() []string {
			ctx, cancel := context.WithTimeout(context.Background(), completeWithin)
			defer cancel()
			nodes, err := c.ch.nodes(ctx)
			if err != nil {
				return nil
			}
			return pick(nodes)
		}
	}
	saved := func() (out []string) {
		all, _ := c.ch.files.list()
		for _, s := range all {
			out = append(out, s.title())
		}
		return out
	}
	typed := string(line[:pos])
	found, length := completions(typed, map[string]func() []string{
		"/model": names(modelsOf), "/node": names(namesOf), "/load": saved, "/library": func() []string { return libraries(c.ch.environ) },
		"/image": func() []string { return filesThatBegin(strings.TrimPrefix(typed, "/image ")) },
	})
	for _, f := range found {
		endings = append(endings, []rune(f))
	}
	return endings, length
}

func namesOf(nodes []bus.NodeInfo) []string {
	names := map[string]bool{}
	for _, n := range nodes {
		if n.State.Live() {
			names[n.Name] = true
		}
	}
	return sorted(names)
}

func sorted(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }
