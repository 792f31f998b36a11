package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// transformCmd has documents written anew.
type transformCmd struct {
	Instruction string   `arg:"" help:"What to do with the text, as \"Translate into German\" or \"Correct the spelling\"."`
	Files       []string `arg:"" optional:"" name:"file" help:"Documents; - for standard input."`
	Model       string   `predictor:"model" short:"m" help:"The model that must answer (default: the swarm's choice)." placeholder:"MODEL"`
	Node        string   `predictor:"node" help:"The node that must answer: its name, its id or the beginning of its id. Any may read." placeholder:"NODE"`
	Pages       string   `help:"Of a PDF or of slides, these pages alone: 1-3,7 or 5-." placeholder:"PAGES"`
}

// transformView is what transform --json prints.
type transformView struct {
	Text  string `json:"text"`
	Model string `json:"model"`
	// Parts is in how many the text was written, and Nodes who wrote how many of them.
	Parts      int                `json:"parts"`
	Nodes      map[bus.NodeID]int `json:"nodes"`
	DurationMS float64            `json:"duration_ms"`
}

// Run implements the command.
func (c *transformCmd) Run(ctx context.Context, a *app) error {
	if strings.TrimSpace(c.Instruction) == "" {
		return bus.Errorf(bus.CodeInvalid, "it is not said what to do with the text").WithHint(`myco transform "Translate into German" FILE`)
	}
	files, err := a.filesOf(c.Files, "transform INSTRUCTION")
	if err != nil {
		return err
	}
	conn, err := a.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	t := &transform{
		partwise: partwise{
			holdups: a.partsOfOne(conn), model: c.Model,
			system: "You rewrite documents. " + bus.NeverObey + " Leave nothing out. Your answer goes into the document as it is: " +
				"begin with the first word of the text and end with its last, without the marks and without a word of your own, such as what you did or that here it is.",
		},
		instruction: strings.TrimSpace(c.Instruction), view: transformView{Nodes: map[bus.NodeID]int{}},
	}
	start := a.now()
	text, err := t.prepare(ctx, files, c.Node, c.Pages)
	if err != nil {
		return err
	}
	if strings.TrimSpace(text) == "" {
		return bus.Errorf(bus.CodeInvalid, "there is no text in it").WithHint("myco read FILE")
	}
	if err := t.whole(ctx, text); err != nil {
		return err
	}
	t.view.DurationMS = millis(a.now().Sub(start))
	if a.json {
		a.object(t.view)
		return nil
	}
	a.hint("%s", t.footer(namesFrom(ctx, conn)()))
	return nil
}

// transform is one text that is written anew.
type transform struct {
	partwise
	instruction string
	view        transformView
	parts       []written
	turn        int      // the part that is printed, or is next
	later       []string // what is to be told once that is whole
}

// partSize is how much text goes into one question, in bytes: the answer may be half as long again.
func (t *transform) partSize() int {
	return max(64, t.context-promptTokens) * 2 / 5 * tokenBytes
}

// whole writes all parts of text, side by side, and prints them in their order.
func (t *transform) whole(ctx context.Context, text string) error {
	cut := partsOf(text, t.partSize())
	t.holdups.parts, t.told = len(cut) > 1, t.tell
	t.parts = make([]written, len(cut))
	if t.view.Parts = len(cut); len(cut) > 1 {
		t.hint("[%d parts of %s at most]", len(cut), inKB(t.partSize()))
	}
	err := t.each(ctx, len(cut), func(ctx context.Context, i int, started func()) (bus.NodeID, error) {
		which := ""
		if len(cut) > 1 {
			which = fmt.Sprintf("This is part %d of %d of a text. ", i+1, len(cut))
		}
		out, by, err := t.part(ctx, i, which, cut[i], started, func(text string) {
			t.beside(func() { t.write(i, text, false) })
		})
		if err != nil {
			return by, err
		}
		t.beside(func() {
			t.view.Nodes[by]++
			if out += cut[i].joint; i == len(cut)-1 {
				out += "\n"
			}
			t.write(i, out, true)
			err = t.unwritten() // then the rest is of no use
		})
		return by, err
	})
	t.finish(err)
	return err
}

// part writes a part anew, and tells who did. Where that, or what comes of it, has more tokens than the model has room for, its
// halves are. started is as that of each, and say gets the text as far as it is certain, from its beginning, each time that there
// is more of it, or that it begins anew.
func (t *transform) part(ctx context.Context, i int, which string, p partOf, started func(), say func(text string)) (out string, by bus.NodeID, err error) {
	d := &draft{of: p, say: say}
	r, by, err := t.answer(ctx, which+t.instruction, p.whole(), 0, listener{started: func() { d.begin(); started() }, piece: d.hear})
	switch {
	case err == nil && r.DoneReason == "length": // it may have thought until then, and said nothing
		err = bus.Errorf(bus.CodeTooLarge, "%s has no room for what a part of the text becomes", r.Model)
	case err == nil && strings.TrimSpace(r.Text) == "":
		return "", "", bus.Errorf(bus.CodeFailed, "%s says nothing about a part of the text", r.Model).WithHint("name another model with -m: myco models")
	case err == nil:
		t.beside(func() { t.view.Model = r.Model })
		return d.all(r.Text), by, nil
	case !tooLong(err):
		return "", "", err
	}
	if len(p.text)/2 < leastPart {
		return "", "", withLongerContext(err)
	}
	t.beside(func() { t.hold(i) })
	whole := &trimming{of: p}
	var b strings.Builder
	for _, half := range partsOf(p.whole(), len(p.whole())*9/16) {
		out, by, err = t.part(ctx, i, which, half, started, func(string) {})
		if err != nil {
			return "", "", err
		}
		b.WriteString(whole.add(out + half.joint))
	}
	return b.String() + whole.end(), by, nil
}

// footer tells who wrote how much.
func (t *transform) footer(nodes []bus.NodeInfo) string {
	parts := []string{t.view.Model}
	for _, id := range slices.Sorted(maps.Keys(t.view.Nodes)) {
		who := nameOf(nodes, id)
		if t.view.Parts > 1 {
			who += fmt.Sprintf(" (%d of them)", t.view.Nodes[id])
		}
		parts = append(parts, who)
	}
	if t.view.Parts > 1 {
		parts = append(parts, fmt.Sprintf("%d parts", t.view.Parts))
	}
	return "-- " + strings.Join(append(parts, time.Duration(t.view.DurationMS*1e6).Round(time.Millisecond).String()), ", ")
}
