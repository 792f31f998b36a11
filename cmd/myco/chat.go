package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"

	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/term"

	"github.com/mycoswarm/mycoswarm/bus"
)

// chatCmd is a conversation.
type chatCmd struct {
	Prompt []string `arg:"" optional:"" help:"The first question. What is piped in is put below it, and is the only one."`

	Model   string   `predictor:"model" short:"m" help:"The model that must answer (default: the swarm's choice)." placeholder:"MODEL"`
	Node    *string  `predictor:"node" help:"The node that must answer: its name, its id or the beginning of its id." placeholder:"NODE"`
	System  string   `help:"What the model is told before the conversation." placeholder:"TEXT"`
	Library *string  `predictor:"library" help:"A library: those of its passages that tell of a question come before it." placeholder:"LIBRARY"`
	Image   []string `sep:"none" help:"A picture that the first question is about: PNG, JPEG or WebP. Repeatable." placeholder:"FILE"`
	Resume  bool     `short:"r" help:"Go on with the last conversation." xor:"which"`
	Session string   `predictor:"session" short:"s" help:"Go on with this conversation, or begin one of this name." placeholder:"NAME" xor:"which"`
	List    bool     `short:"l" help:"List the conversations that are saved." xor:"which"`
	NoSave  bool     `help:"Keep nothing on disk."`
}

// chat is one run of a conversation.
type chat struct {
	*app
	asker
	conn   *bus.Conn // nil where there is no daemon
	local  bool      // there is no daemon
	keep   bool      // on disk
	tty    bool      // answers go to a terminal
	dumb   bool      // which obeys nothing
	notes  io.Writer
	files  sessions
	s      *session
	warned bool     // of the demo model
	again  bool     // the turn before failed, and another try may not
	shown  [][]byte // pictures that go with the next question
	edit   *editor
	// interrupts are those of the user while an answer is made.
	interrupts chan os.Signal
}

// Run implements the command.
func (c *chatCmd) Run(ctx context.Context, a *app) error {
	files := sessionsOf(a.environ, a.now)
	if c.List {
		return a.listSessions(files)
	}
	dumb := slices.Contains(a.environ, "TERM=dumb")
	ch := &chat{
		app: a, keep: !c.NoSave, files: files, notes: colorprofile.NewWriter(a.err, a.environ),
		tty: a.interactive && !a.json && !dumb && term.IsTerminal(os.Stdout.Fd()), dumb: dumb,
	}
	if err := ch.open(c); err != nil {
		return err
	}
	conn, err := a.dial(ctx)
	switch {
	case err == nil:
		defer conn.Close()
		ch.asker, ch.conn = swarmAsker{conn}, conn
	case given(c.Node) == "" && a.asksHere() && a.withoutDaemon(err):
		ch.asker, ch.local, ch.s.Node = localAsker{}, true, ""
	default:
		return err
	}
	if c.Node != nil { // "" leaves open again what the conversation remembers
		if err := ch.useNode(ctx, *c.Node); err != nil {
			return err
		}
	}
	if c.Model != "" { // before anything is saved: --resume would go on with a slip of the keys
		if err := ch.useModel(ctx, c.Model); err != nil {
			return err
		}
	}
	if c.Library != nil {
		if err := ch.useLibrary(*c.Library); err != nil {
			return err
		}
	}
	if err := ch.show(ctx, c.Image...); err != nil {
		return err
	}
	if a.json {
		a.object(chatEvent{Event: "session", Session: ch.s.ID, Name: ch.s.Name})
	}
	if !a.interactive {
		return ch.once(ctx, c.Prompt)
	}
	return ch.talk(ctx, strings.Join(c.Prompt, " "))
}

// open finds the conversation, or begins one.
func (ch *chat) open(c *chatCmd) (err error) {
	ch.s = ch.files.start()
	switch {
	case c.Resume:
		ch.s, err = ch.files.last()
	case c.Session != "":
		var old *session
		old, err = ch.files.find(c.Session)
		if err == nil {
			ch.s = old
		} else if errors.Is(err, &bus.Error{Code: bus.CodeNotFound}) {
			_, problems := ch.files.list()
			for _, p := range problems {
				ch.hint("warning: %v", p)
			}
			if err = ch.files.name(ch.s, c.Session); err == nil {
				ch.hint("A new conversation, called %s.", c.Session)
			}
		}
	}
	if err != nil {
		return err
	}
	if c.System != "" {
		ch.s.System = c.System
	}
	return nil
}

// once asks what is piped in, as one question.
func (ch *chat) once(ctx context.Context, words []string) error {
	question, err := readPrompt(words, ch.streams)
	if err != nil {
		return err
	}
	if strings.TrimSpace(question) == "" {
		return bus.Errorf(bus.CodeInvalid, "there is no question").WithHint(`echo "What is the capital of France?" | myco chat`)
	}
	return ch.unpinned(ch.ask(ctx, question))
}

// talk goes on until the user leaves. An error ends a turn, never the conversation.
func (ch *chat) talk(ctx context.Context, first string) error {
	ch.edit = newEditor(ch)
	defer ch.edit.close()
	stop := context.AfterFunc(ctx, ch.edit.close)
	defer stop()
	// From here on an interrupt is for the answer, and not for the program.
	signal.Reset(os.Interrupt)
	ch.interrupts = make(chan os.Signal, 1)
	signal.Notify(ch.interrupts, os.Interrupt)
	defer signal.Stop(ch.interrupts)
	ch.greet(ctx)
	if first != "" {
		ch.told(ch.turn(ctx, first))
	}
	for ctx.Err() == nil {
		in, err := ch.edit.read()
		if err != nil {
			return ctx.Err() // the user left, or the program is told to
		}
		l, err := parseChat(in)
		switch {
		case err != nil:
			ch.told(err)
		case l.verb == "/bye":
			return nil
		case l.verb != "":
			ch.told(ch.command(ctx, l))
		case strings.TrimSpace(l.question) != "":
			ch.told(ch.turn(ctx, l.question))
		}
	}
	return ctx.Err()
}

// greet says where the user is.
func (ch *chat) greet(ctx context.Context) {
	if n := ch.s.turns(); n > 0 {
		ch.note("%s, %d answered so far. It began: %s", ch.s.title(), n, short(ch.s.first(), 60))
	}
	if ch.s.Unanswered != "" {
		ch.note("Your last question had no answer: /retry asks it again.")
	}
	if ch.s.turns() == 0 && ch.s.Unanswered == "" {
		ch.note(`/help shows the commands; """ begins a question of several lines; Ctrl-D leaves.`)
	}
	if ch.s.Node != "" {
		if nodes, err := ch.nodes(ctx); err == nil && nameOf(nodes, ch.s.Node) == "" {
			ch.note("Its node %s is not in this swarm any more: the swarm chooses.", ch.s.Node)
			ch.s.Node = ""
		}
	}
}

// note tells something beside the conversation, dimmed, and broken between words where the terminal is too narrow.
func (ch *chat) note(format string, args ...any) {
	if ch.quiet {
		return
	}
	for line := range strings.SplitSeq(printable(fmt.Sprintf(format, args...)), "\n") {
		if width := ch.width(); width > 0 {
			line = strings.Join(wrapWords(line, width), "\n")
		}
		io.WriteString(ch.notes, inStyle(dimStyle, line)+"\n") //nolint:errcheck // it is only a note
	}
}

// told prints an error of a turn.
func (ch *chat) told(err error) {
	if err == nil {
		return
	}
	e := ch.nextOf(bus.AsError(ch.unpinned(err)))
	if ch.json {
		ch.object(chatEvent{Event: "error", Error: e})
	}
	io.WriteString(ch.notes, badStyle.Render("myco: "+printable(e.Message))+"\n") //nolint:errcheck // nobody can be told
	if e.Hint != "" {
		io.WriteString(ch.notes, "  try: "+printable(e.Hint)+"\n") //nolint:errcheck // nobody can be told
	}
	if ch.again {
		ch.again = false
		ch.note("/retry asks it again, once that is mended.")
	}
}

// mayPass reports whether what failed with err may do by itself another time: it is nothing in the question.
func mayPass(err error) bool {
	e := bus.AsError(err)
	if e == nil {
		return false
	}
	switch e.Code {
	case bus.CodeInvalid, bus.CodeNotFound, bus.CodeForbidden, bus.CodeTooLarge, bus.CodeConflict, bus.CodeCancelled:
		return false
	}
	return true
}

// unpinned is err with a hint that is of use in a conversation, which remembers its node though the flag is left out.
func (ch *chat) unpinned(err error) error {
	if ch.interactive {
		err = unthinking(err, `/think "" leaves it to the model; /model lists the others`)
		if e := bus.AsError(err); e != nil && strings.HasSuffix(e.Hint, " with -m") {
			err = e.WithHint("%s with /model", strings.TrimSuffix(e.Hint, " with -m"))
		}
	}
	if err == nil || ch.s.Node == "" {
		return err
	}
	open := `with --node ""`
	if ch.interactive {
		open = `with /node ""`
	}
	e := bus.AsError(err)
	return e.WithHint("%s", strings.ReplaceAll(e.Hint, "without --node", open))
}

// short cuts s to at most n characters.
func short(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}
