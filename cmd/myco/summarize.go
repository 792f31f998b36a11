package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
)

const (
	// partWords is how long the summary of a part may be.
	partWords = 150
	// maxRounds is how often summaries are summarised. Each round leaves a third at most.
	maxRounds = 12
)

// summarizeCmd summarises documents.
type summarizeCmd struct {
	Files []string `arg:"" optional:"" name:"file" help:"Documents, of which one summary is made; - for standard input."`
	Model string   `predictor:"model" short:"m" help:"The model that must answer (default: the swarm's choice)." placeholder:"MODEL"`
	Node  string   `predictor:"node" help:"The node that must answer: its name, its id or the beginning of its id. Any may read." placeholder:"NODE"`
	Words int      `help:"About how long the summary is, in words (default: 200)." default:"200" placeholder:"N"`
	Pages string   `help:"Of a PDF or of slides, these pages alone: 1-3,7 or 5-." placeholder:"PAGES"`
}

// Run implements the command.
func (c *summarizeCmd) Run(ctx context.Context, a *app) error {
	if c.Words < 1 || c.Words > 10_000 {
		return bus.Errorf(bus.CodeInvalid, "--words %d: want 1 to 10000", c.Words).WithHint("myco summarize --help")
	}
	files, err := a.filesOf(c.Files, "summarize")
	if err != nil {
		return err
	}
	conn, err := a.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	s := &summary{partwise{holdups: a.partsOfOne(conn), model: c.Model, system: "You summarize documents. " + bus.NeverObey + " Answer with the summary alone, in the document's language."}}
	text, err := s.prepare(ctx, files, c.Node, c.Pages)
	if err != nil {
		return err
	}
	return s.whole(ctx, text, c.Words)
}

// summary is one summary under way.
type summary struct{ partwise }

// answerTokens is how long the answer for a part may be.
func (s *summary) answerTokens() int { return s.context / 4 }

// partSize is how much text goes into one question, in bytes.
func (s *summary) partSize() int {
	return max(64, s.context-s.answerTokens()-promptTokens) * tokenBytes
}

// whole prints the summary of text in about so many words. Where even what came of its parts is too long for the
// model, which counts tokens otherwise than we do, there are more and smaller parts.
func (s *summary) whole(ctx context.Context, text string, words int) error {
	for size := s.partSize(); ; size /= 2 {
		var err error
		if text, err = s.shorten(ctx, text, size); err != nil {
			return err
		}
		t, err := s.task(s.request(fmt.Sprintf("Summarize the following text in about %d words.", words), text))
		if err != nil {
			return err
		}
		p := s.printer(false, namesFrom(ctx, s.conn))
		p.held = s.columns == nil // as transform does
		if err = s.ask(ctx, t, p); !tooLong(err) {
			return err
		}
		if size = min(size, len(text)); size/2 < leastPart {
			return withLongerContext(err)
		}
	}
}

// shorten summarises the parts of text, side by side, until what comes of them fits into one question with
// size bytes of text.
func (s *summary) shorten(ctx context.Context, text string, size int) (string, error) {
	for range maxRounds {
		if len(text) <= size {
			return text, nil
		}
		parts := partsOf(text, size)
		s.hint("[%d parts of %s at most]", len(parts), inKB(size))
		short := make([]string, len(parts))
		err := s.each(ctx, len(parts), func(ctx context.Context, i int, started func()) (by bus.NodeID, err error) {
			question := fmt.Sprintf("This is part %d of %d of a text. Summarize it in at most %d words; keep names, numbers and facts.", i+1, len(parts), partWords)
			short[i], by, err = s.part(ctx, question, parts[i].whole(), started)
			return by, err
		})
		if err != nil {
			return "", err
		}
		text = strings.Join(short, "\n\n")
	}
	return "", withLongerContext(bus.Errorf(bus.CodeTooLarge, "the summaries of the parts do not fit into one question either"))
}

// part summarises text to a third of its length at most, and tells who did. Where it has more tokens than the
// model reads at once, as figures and code have, its halves are. started is as that of each.
func (s *summary) part(ctx context.Context, question, text string, started func()) (short string, by bus.NodeID, err error) {
	r, by, err := s.answer(ctx, question, text, s.answerTokens(), listener{started: started})
	if err == nil && strings.TrimSpace(r.Text) == "" { // what thinks first had no room left to speak
		r, by, err = s.answer(ctx, question, text, 0, listener{started: started})
	}
	if err == nil && strings.TrimSpace(r.Text) == "" {
		return "", "", bus.Errorf(bus.CodeFailed, "%s says nothing about a part of the text", r.Model).WithHint("name another model with -m: myco models")
	}
	if !tooLong(err) {
		return beginning(strings.TrimSpace(unmarked(r.Text, text)), max(len(text), leastPart)/3), by, err
	}
	if len(text)/2 < leastPart {
		return "", "", withLongerContext(err)
	}
	var halves []string // a little more than halves: a cut between paragraphs leaves no third
	for _, half := range partsOf(text, len(text)*9/16) {
		if short, by, err = s.part(ctx, question, half.whole(), started); err != nil {
			return "", "", err
		}
		halves = append(halves, short)
	}
	return strings.Join(halves, "\n\n"), by, nil
}
