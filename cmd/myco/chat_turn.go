package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/term"

	"github.com/mycoswarm/mycoswarm/bus"
)

// chatEvent is one line of chat --json.
type chatEvent struct {
	Event   string     `json:"event"` // session or error
	Session string     `json:"session,omitempty"`
	Name    string     `json:"name,omitempty"`
	Error   *bus.Error `json:"error,omitempty"`
}

// pieceEvent is a piece, or with an empty one a restart.
type pieceEvent struct {
	Event string `json:"event"`
	pieceView
}

type answerEvent struct {
	Event string `json:"event"`
	answerView
	Stopped bool `json:"stopped,omitempty"`
}

// turn asks a question, and lets the user stop the answer. What was said of it until then stays.
func (ch *chat) turn(ctx context.Context, question string) error {
	defer quietTerminal(os.Stdin)()
	err := ch.stoppable(ctx, func(ctx context.Context) error { return ch.ask(ctx, question) })
	ch.again = mayPass(err)
	return err
}

// stoppable does what may take long, until an interrupt, which is no error.
func (ch *chat) stoppable(ctx context.Context, do func(context.Context) error) error {
	within, cancel := context.WithCancel(ctx)
	defer cancel()
	select {
	case <-ch.interrupts: // it was meant for what is over
	default:
	}
	go func() {
		select {
		case <-ch.interrupts:
			cancel()
		case <-within.Done():
		}
	}()
	err := do(within)
	if cancelled := errors.Is(err, context.Canceled) || errors.Is(err, &bus.Error{Code: bus.CodeCancelled}); cancelled && within.Err() != nil && ctx.Err() == nil {
		ch.note("-- stopped")
		return nil
	}
	return err
}

// reply is one answer while it is made.
type reply struct {
	ch      *chat
	screen  *answerScreen // nil unless on a terminal
	start   time.Time
	ttft    time.Duration
	attempt int
	node    bus.NodeID
	nodes   []bus.NodeInfo // when it was asked for
	asked   string         // who is to answer
	told    string         // what it waits for
	said    strings.Builder
	waiting bool // a line says so
	thought bool
	lost    []bus.NodeID // whose answer another node went on with
}

// ask asks a question. The session is on disk before it goes out, and after its answer.
func (ch *chat) ask(ctx context.Context, question string) error {
	if ch.shown != nil || question != ch.s.Unanswered { // a question without an answer takes its pictures along
		ch.s.Images = ch.shown
	}
	ch.s.Unanswered = question
	req := ch.s.request()
	if err := req.Validate(); err != nil {
		ch.s.Unanswered, ch.s.Images, ch.shown = "", nil, nil
		return err
	}
	ch.save()
	nodes, err := ch.nodes(ctx)
	if err != nil {
		return err
	}
	task := bus.Task{Type: bus.TypeInference, Model: cmp.Or(ch.s.Model, sticky(nodes, ch.s.Used)), Node: ch.s.Node}
	if err := task.Validate(); err != nil {
		return err
	}
	if task.Model, err = ch.sighted(ctx, task); err != nil {
		return err
	}
	ch.warnOfContext(nodes, task.Model)
	sources, err := ch.withPassages(ctx, nodes, &req)
	if err != nil {
		return err
	}
	r := &reply{ch: ch, start: ch.now(), nodes: nodes, asked: cmp.Or(task.Model, "the swarm")}
	if ch.tty {
		r.screen = &answerScreen{out: ch.view.out, size: terminalSize}
		r.wait("asking " + r.asked + " …")
	}
	info, err := ch.asker.ask(ctx, task, req, r.chunk, r.waits)
	r.unwait()
	var result bus.InferenceResult
	if err == nil {
		result, err = bus.Result[bus.InferenceResult](info)
	}
	if err != nil {
		return r.failed(ctx, err)
	}
	if err := r.end(info, result, nodes, sources); err != nil {
		return err
	}
	tellSources(sources, ch.note)
	return nil
}

// answered takes an answer in; its question's pictures do not go with the next one.
func (ch *chat) answered(text string) {
	if ch.s.answered(text); ch.s.Unanswered == "" {
		ch.shown = nil
	}
}

// sticky is the model that answered before, where some node has it still; never the demo model,
// which gives way to any other.
func sticky(nodes []bus.NodeInfo, used string) string {
	for _, n := range nodes {
		for _, m := range n.Models {
			if used != "" && n.State.Live() && bus.SameModel(m.Name, used) && !m.Demo {
				return used
			}
		}
	}
	return ""
}

// warnOfContext tells when the conversation is longer than what the model reads.
func (ch *chat) warnOfContext(nodes []bus.NodeInfo, model string) {
	most := contextOf(nodes, cmp.Or(model, ch.s.Used))
	if n := ch.s.size(); most > 0 && n > most {
		ch.note("The conversation has about %d tokens, and the model reads %d: it forgets the beginning, or refuses. /clear begins anew.", n, most)
	}
}

// contextOf is the longest context of a model on any node; 0 where nobody tells.
func contextOf(nodes []bus.NodeInfo, model string) (most int) {
	for _, n := range nodes {
		for _, m := range n.Models {
			if model != "" && bus.SameModel(m.Name, model) {
				most = max(most, m.ContextLength)
			}
		}
	}
	return most
}

// wait shows a line until something of the answer is there. It has to fit, to go away again.
func (r *reply) wait(line string) {
	r.unwait()
	line = printable(line)
	if width, _ := r.screen.size(); width > 0 {
		line = ansi.Truncate(line, width-1, "…")
	}
	r.waiting = true
	io.WriteString(r.ch.view.out, dimStyle.Render(line)) //nolint:errcheck // it goes away again
}

// waits tells what an answer waits for that pauses: in the line that is there before it begins, else below
// what there is of it.
func (r *reply) waits(why string) {
	if why == r.told {
		return
	}
	r.told = why
	switch {
	case r.waiting:
		r.wait(strings.TrimSpace("asking " + r.asked + " … " + why))
	case why != "":
		r.endScreen()
		r.ch.note("[%s]", why)
	}
}

// endScreen ends what is on a terminal; what goes elsewhere stays as the engine said it.
func (r *reply) endScreen() {
	if r.screen == nil {
		return
	}
	if r.thought {
		r.thought = false
		io.WriteString(r.ch.view.out, "\n") //nolint:errcheck // it is beside the answer
	}
	r.screen.finish()
}

func (r *reply) unwait() {
	if r.waiting {
		io.WriteString(r.ch.view.out, "\r"+ansi.EraseEntireLine) //nolint:errcheck // as above
		r.waiting = false
	}
}

// chunk shows one piece.
func (r *reply) chunk(c bus.Chunk) {
	ch := r.ch
	r.unwait()
	if c.Attempt > r.attempt {
		if r.attempt > 0 {
			r.anew(c)
		}
		r.attempt = c.Attempt
	}
	if c.Continues != nil {
		r.lost = append(r.lost, cmp.Or(c.Continues.Lost, r.node))
		if ch.json {
			ch.object(pieceEvent{Event: "continue", pieceView: pieceView{Attempt: c.Attempt, Seq: c.Seq, NodeID: c.Node, Continues: c.Continues}})
		}
	}
	r.node = c.Node
	var piece bus.InferenceChunk
	if json.Unmarshal(c.Data, &piece) != nil {
		return
	}
	if piece.Loading && r.screen != nil {
		r.endScreen()
		r.wait(cmp.Or(nameOf(r.nodes, c.Node), string(c.Node), "the engine") + " loads the model …")
	}
	if piece.Thinking != "" && r.screen != nil {
		r.thought = true
		io.WriteString(ch.view.out, dimStyle.Render(printable(piece.Thinking))) //nolint:errcheck // it is beside the answer
	}
	if piece.Text == "" {
		return
	}
	if r.ttft == 0 {
		r.ttft = ch.now().Sub(r.start)
	}
	if r.thought {
		r.thought = false
		io.WriteString(ch.view.out, "\n\n") //nolint:errcheck // as above
	}
	r.said.WriteString(piece.Text)
	switch {
	case ch.json:
		ch.object(pieceEvent{Event: "piece", pieceView: pieceView{Attempt: c.Attempt, Seq: c.Seq, NodeID: c.Node, Text: piece.Text}})
	case r.screen != nil:
		r.screen.write(piece.Text)
	default:
		ch.text(piece.Text)
	}
}

// anew tells that another worker begins the answer again.
func (r *reply) anew(c bus.Chunk) {
	r.endLine()
	r.said.Reset()
	r.ttft = 0
	if r.ch.json {
		r.ch.object(pieceEvent{Event: "restart", pieceView: pieceView{Attempt: c.Attempt, NodeID: c.Node}})
	}
	nodes, err := r.ch.nodes(context.Background())
	if err != nil {
		nodes = nil // ids will do
	}
	who := func(id bus.NodeID) string { return cmp.Or(nameOf(nodes, id), string(id), "another node") }
	r.ch.note("[%s was lost: %s answers anew, what is above is void]", who(r.node), who(c.Node))
}

// endLine ends what is on the screen.
func (r *reply) endLine() {
	said := r.said.String()
	switch {
	case r.screen != nil:
		r.screen.finish()
	case !r.ch.json && said != "" && !strings.HasSuffix(said, "\n"):
		r.ch.text("\n")
	}
}

// failed keeps what was said. An answer that the user stopped is no failure.
func (r *reply) failed(ctx context.Context, err error) error {
	r.endLine()
	r.ch.s.Tokens = 0 // as far as anybody counted
	r.ch.answered(r.said.String())
	r.ch.save()
	if ctx.Err() == nil || r.ch.edit == nil {
		return err
	}
	if r.ch.json {
		r.ch.object(answerEvent{Event: "answer", answerView: answerView{Text: r.said.String(), NodeID: r.node, Attempts: r.attempt}, Stopped: true})
	}
	r.ch.note("-- stopped")
	return nil
}

// end takes a whole answer in.
func (r *reply) end(info bus.TaskInfo, result bus.InferenceResult, nodes []bus.NodeInfo, sources []passageView) error {
	ch := r.ch
	if r.said.Len() == 0 && result.Text != "" && !ch.json {
		if r.said.WriteString(result.Text); r.screen != nil {
			r.screen.write(result.Text)
		} else {
			ch.text(result.Text)
		}
	}
	r.endLine()
	ch.s.Used, ch.s.Tokens = result.Model, result.PromptTokens+result.OutputTokens
	if len(sources) > 0 {
		ch.s.Tokens = 0 // with passages that are not kept
	}
	ch.answered(result.Text)
	ch.save()
	if nameOf(nodes, info.NodeID) == "" {
		if later, err := ch.nodes(context.Background()); err == nil {
			nodes = later // it came while the answer was made
		}
	}
	a := answerView{
		TaskID: info.ID, Text: result.Text, Model: result.Model, NodeID: info.NodeID, NodeName: nameOf(nodes, info.NodeID), Attempts: info.Attempts,
		TTFTMS: millis(r.ttft), DurationMS: millis(ch.now().Sub(r.start)), Demo: result.Demo, Sources: sources,
	}
	if ch.json {
		ch.object(answerEvent{Event: "answer", answerView: a})
	}
	if result.Text == "" {
		ch.note("The model said nothing.")
	}
	for _, id := range r.lost {
		ch.note("[%s was lost: %s went on]", cmp.Or(nameOf(nodes, id), string(id), "a node"), cmp.Or(a.NodeName, string(a.NodeID)))
	}
	ch.note("%s", chatFooter(a, result, contextOf(nodes, result.Model)))
	if result.Demo && !ch.warned {
		ch.warned = true
		io.WriteString(ch.notes, demoWarning(nodes)) //nolint:errcheck // it is a note
	}
	return nil
}

// chatFooter tells who answered, how fast, and how much of the context is used.
func chatFooter(a answerView, r bus.InferenceResult, most int) string {
	parts := []string{cmp.Or(a.NodeName, string(a.NodeID), "this machine"), a.Model}
	if speed := writingSpeed(r); speed > 0 {
		parts = append(parts, rate(speed))
	}
	if a.TTFTMS > 0 {
		parts = append(parts, fmt.Sprintf("first token after %v", time.Duration(a.TTFTMS*float64(time.Millisecond)).Round(time.Millisecond)))
	}
	if n := r.PromptTokens + r.OutputTokens; n > 0 && most > 0 {
		parts = append(parts, fmt.Sprintf("context %d%% full", 100*n/most))
	}
	if a.Attempts > 1 {
		parts = append(parts, fmt.Sprintf("%d attempts", a.Attempts))
	}
	if r.DoneReason == "length" {
		parts = append(parts, "cut at its longest")
	}
	return "-- " + strings.Join(parts, ", ")
}

// save writes the session; that it cannot is told, and the conversation goes on.
func (ch *chat) save() {
	if !ch.keep {
		return
	}
	copied, err := ch.files.save(ch.s)
	if err != nil {
		ch.told(err)
	}
	if copied {
		ch.noteCopy()
	}
}

// noteCopy tells that the conversation is under another name than it was.
func (ch *chat) noteCopy() {
	ch.note("What is saved under its name is of another chat, or cannot be read: this conversation goes on as %s.", ch.s.ID)
}

// terminalSize is that of the terminal that answers go to.
func terminalSize() (width, height int) {
	width, height, err := term.GetSize(os.Stdout.Fd())
	if err != nil {
		return 0, 0
	}
	return width, height
}
