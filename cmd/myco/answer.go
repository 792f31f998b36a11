package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"strings"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// answerView is the object that ask --json ends with.
type answerView struct {
	TaskID     bus.TaskID `json:"task_id"`
	Text       string     `json:"text"`
	Model      string     `json:"model"`
	NodeID     bus.NodeID `json:"node_id"`
	NodeName   string     `json:"node_name"`
	Attempts   int        `json:"attempts"`
	TTFTMS     float64    `json:"ttft_ms"`
	DurationMS float64    `json:"duration_ms"`
	Demo       bool       `json:"demo"`
	// Sources are the passages that were put before the question, in the order of their numbers.
	Sources []passageView `json:"sources,omitempty"`
	// Warning tells that pieces were lost that came before this object; Text has them all.
	Warning string `json:"warning,omitempty"`
}

// pieceView is one piece of an answer, with --json --stream.
type pieceView struct {
	Attempt int        `json:"attempt"`
	Seq     int        `json:"seq"`
	NodeID  bus.NodeID `json:"node_id,omitempty"`
	Text    string     `json:"text"`
	// Continues tells that NodeID goes on here where another node was lost.
	Continues *bus.Continues `json:"continues,omitempty"`
}

// printer prints an answer as it is made.
type printer struct {
	*app
	task    bus.TaskID
	stream  bool
	sources []passageView
	whole   func(answerView) // prints what follows the text of an answer that is whole, or its object; nil for that of ask
	only    sieve            // what is taken out of the answer
	start   time.Time
	ttft    time.Duration // 0 before the first text
	attempt int
	held    bool // what comes is not printed before it is whole
	heard   bool // something of this attempt was, and from is the number of the first; -1 where that was of another attempt
	from    int
	mark    int64                 // where the text began, in a file
	nodes   func() []bus.NodeInfo // asked for their names once one is needed
	thinks  bool                  // the user was told that the model thinks first
	begun   bool                  // text of this attempt is on the screen
	shown   strings.Builder       // that text
	speaks  bool                  // an answer without text is none
	midLine bool                  // what was printed last ends no line
	ended   bool                  // it was told what became of the task
}

func (a *app) printer(stream bool, nodes func() []bus.NodeInfo) *printer {
	return &printer{app: a, stream: stream, nodes: nodes, only: &unmarking{}, start: a.now()}
}

// follow prints chunks to the end.
func (p *printer) follow(chunks iter.Seq2[bus.Chunk, error]) error {
	err := p.goOn(chunks)
	if err != nil {
		p.newline()
	}
	return err
}

// goOn is follow for what may be asked again: where it fails it ends the line on a screen alone.
func (p *printer) goOn(chunks iter.Seq2[bus.Chunk, error]) error {
	for chunk, err := range chunks {
		if err != nil {
			if p.columns != nil {
				p.newline()
			}
			return err
		}
		if chunk.End == nil {
			p.chunk(chunk)
			if err := p.unwritten(); err != nil {
				return err // nobody reads the rest
			}
			continue
		}
		if p.ended = true; chunk.Attempt > p.attempt && p.begun && chunk.End.State == bus.StateDone {
			p.anew(chunk) // no piece of it was seen
		}
		return p.end(chunk.End)
	}
	return bus.Errorf(bus.CodeInternal, "the answer ended without an end")
}

// chunk prints one piece.
func (p *printer) chunk(c bus.Chunk) {
	if c.Attempt > p.attempt {
		p.anew(c)
	}
	if !p.heard && !p.held {
		p.heard, p.from = true, c.Seq
	}
	if c.Continues != nil {
		p.goesOn(c)
		return
	}
	var piece bus.InferenceChunk
	if json.Unmarshal(c.Data, &piece) != nil {
		return
	}
	if piece.Loading && p.interactive {
		p.hint("[%s loads the model]", p.who(c.Node))
	}
	if piece.Thinking != "" && p.interactive && !p.thinks && !p.begun {
		p.thinks = true
		p.hint("[%s thinks]", p.who(c.Node))
	}
	if piece.Text == "" {
		return
	}
	if p.ttft == 0 || !p.begun {
		p.ttft = p.now().Sub(p.start)
	}
	if p.held && !p.json {
		return
	}
	if !p.begun {
		p.begun, p.mark = true, p.written()
	}
	p.shown.WriteString(piece.Text)
	switch {
	case !p.json:
		if text := p.only.add(piece.Text); text != "" {
			p.foreign(text)
			p.midLine = !strings.HasSuffix(text, "\n")
		}
	case p.stream:
		p.object(pieceView{Attempt: c.Attempt, Seq: c.Seq, NodeID: c.Node, Text: piece.Text})
	}
}

// anew says that the text on the screen, if there is any, is no part of what comes. A program would take both for one: it gets
// no more before the answer is whole.
func (p *printer) anew(c bus.Chunk) {
	p.attempt = c.Attempt
	if p.begun && !p.json && p.columns == nil {
		if p.held = true; p.from > 0 { // it is not the end of this one, whatever its words
			p.from = -1
		}
		p.hint("[attempt %d, on %s: the answer starts anew]", c.Attempt, p.who(c.Node))
		return
	}
	p.void(c)
	p.heard = false
	p.shown.Reset()
	p.only.begin()
}

// void says that what is printed, if there is any, is no part of what comes.
func (p *printer) void(c bus.Chunk) {
	if p.begun {
		p.newline()
		fmt.Fprintf(p.err, "[attempt %d, on %s: the answer starts anew, what is above is void]\n", c.Attempt, p.who(c.Node))
	}
	p.attempt, p.begun = c.Attempt, false
}

// holed tells of pieces that were printed, and that some are missing between them.
func (a *app) holed(end *bus.TaskInfo) {
	if end.Warning != "" {
		fmt.Fprintf(a.err, "myco: %s; the result is whole\n", printable(end.Warning))
		a.code = 1
	}
}

// goesOn says, in a line of its own on the screen alone, who goes on with the text.
func (p *printer) goesOn(c bus.Chunk) {
	if p.json && p.stream {
		p.object(pieceView{Attempt: c.Attempt, Seq: c.Seq, NodeID: c.Node, Continues: c.Continues})
	}
	lost := "the node that answered"
	if c.Continues.Lost != "" {
		lost = p.who(c.Continues.Lost)
	}
	line := ""
	if p.midLine && p.interactive {
		line = "\n"
	}
	p.hint("%s[%s was lost; %s continues]", line, lost, p.who(c.Node))
}

// who is what a person calls a node.
func (p *printer) who(id bus.NodeID) string {
	return cmp.Or(nameOf(p.nodes(), id), string(id))
}

// newline ends the line on the screen, if one is begun.
func (p *printer) newline() {
	if p.midLine {
		p.text("\n")
		p.midLine = false
	}
}

// end prints what remains to be said of an answer that is whole.
func (p *printer) end(info *bus.TaskInfo) error {
	result, err := bus.Result[bus.InferenceResult](*info)
	if err != nil {
		p.newline()
		return err
	}
	if p.speaks && strings.TrimSpace(result.Text) == "" {
		p.newline()
		return bus.Errorf(bus.CodeFailed, "%s says nothing", result.Model).WithHint("name another model with -m: myco models")
	}
	rest, err := p.rest(result.Text, info)
	if err != nil {
		return err
	}
	if !p.json {
		rest = p.only.add(rest) + p.only.end()
		p.foreign(rest)
		p.midLine = p.midLine && rest == "" || rest != "" && !strings.HasSuffix(rest, "\n")
	}
	p.newline()
	took := p.now().Sub(p.start)
	a := answerView{
		TaskID: info.ID, Text: p.only.of(result.Text), Model: result.Model, NodeID: info.NodeID, Attempts: info.Attempts,
		TTFTMS: millis(p.ttft), DurationMS: millis(took), Demo: result.Demo, Sources: p.sources, Warning: info.Warning,
	}
	if a.TaskID == "" {
		a.TaskID = p.task
	}
	if p.json || !p.quiet {
		a.NodeName = nameOf(p.nodes(), info.NodeID)
	}
	switch {
	case p.whole != nil:
		p.whole(a)
	case p.json:
		p.object(a)
	}
	p.hint("%s", footer(a, result, took))
	if result.Demo {
		fmt.Fprint(p.err, demoWarning(p.nodes()))
	}
	return nil
}

// rest is what is yet to be shown of text, the whole answer: pieces are gone where nobody was attached, and where the node was
// lost through which they came. Where what was printed is no part of it that is told, and an error to a program that has read it.
func (p *printer) rest(text string, info *bus.TaskInfo) (string, error) {
	shown := p.shown.String()
	switch {
	case p.json, shown == "":
		return text, nil
	case p.from == 0 && strings.HasPrefix(text, shown):
		return text[len(shown):], nil
	case p.from > 0 && info.Warning == "" && strings.HasSuffix(text, shown): // from a later piece on
		return "", nil
	case p.columns != nil:
		p.newline()
		fmt.Fprintln(p.err, "[pieces of the answer were lost: this is all of it]")
	case p.backTo(p.mark):
		p.midLine = false
	default:
		p.newline()
		return "", bus.Errorf(bus.CodeFailed, "what was printed is no part of the answer: it began anew in other words, or pieces were lost").
			WithHint("myco task attach %s, which prints all of it; myco ask --whole prints nothing before that", cmp.Or(info.ID, p.task))
	}
	p.only.begin()
	return text, nil
}

// demoWarning goes with every answer of the demo model, quiet or not.
func demoWarning(nodes []bus.NodeInfo) string {
	return "This is a demo: the built-in model invents what it was not taught.\n" +
		"  for a real one: " + bus.PullCommand(nodes, "gemma3:1b", "") + "    (Ollama: https://ollama.com/download)\n"
}

// footer tells who answered, with what, and how fast.
func footer(a answerView, r bus.InferenceResult, took time.Duration) string {
	parts := []string{nameAndID(a.NodeName, a.NodeID), a.Model}
	if speed := writingSpeed(r); speed > 0 {
		parts = append(parts, rate(speed))
	}
	parts = append(parts, took.Round(time.Millisecond).String())
	if a.Attempts > 1 {
		parts = append(parts, fmt.Sprintf("%d attempts", a.Attempts))
	}
	if r.DoneReason == "length" {
		parts = append(parts, "cut at its longest")
	}
	return "-- " + strings.Join(parts, ", ")
}

// farOff is how much less time an engine may say that it wrote than the clock saw before its word is not taken.
const farOff = 10

// writingSpeed is how fast an answer was written, in tokens/s: by the engine's own time where it tells one, and
// else by the clock, from the first token on. 0 where neither tells: a quick answer may come in one piece, and
// then the clock sees how fast it was sent.
func writingSpeed(r bus.InferenceResult) float64 {
	clock := r.Duration - r.TTFT
	switch {
	case r.OutputTokens < 2:
		return 0
	case r.Writing > 0 && r.Writing >= clock/farOff:
		return float64(r.OutputTokens) / r.Writing.Seconds()
	case clock >= time.Millisecond:
		return float64(r.OutputTokens-1) / clock.Seconds()
	}
	return 0
}

// rate renders tokens/s: a digit after the point only where that tells something.
func rate(perSecond float64) string {
	if perSecond < 100 {
		return fmt.Sprintf("%.1f tokens/s", perSecond)
	}
	return fmt.Sprintf("%.0f tokens/s", perSecond)
}

// namesFrom returns what tells the nodes' names, once they are needed.
func namesFrom(ctx context.Context, conn *bus.Conn) func() []bus.NodeInfo {
	return func() []bus.NodeInfo {
		status, err := conn.Status(ctx)
		if err != nil {
			return nil // the names of nodes are an extra
		}
		return status.Nodes
	}
}

// nameOf is the name of a node; empty where it is not known.
func nameOf(nodes []bus.NodeInfo, id bus.NodeID) string {
	for _, n := range nodes {
		if n.ID == id {
			return n.Name
		}
	}
	return ""
}

// nameAndID is a node where there is room for both; either may be empty.
func nameAndID(name string, id bus.NodeID) string {
	switch {
	case name == "":
		return string(id)
	case id == "":
		return name
	}
	return name + " (" + string(id) + ")"
}

// millis returns d in milliseconds, to the microsecond.
func millis(d time.Duration) float64 { return math.Round(float64(d)/1e3) / 1e3 }
