package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/library"
)

const (
	// mostSearches and mostPages are as much as one question may ask of search engines and servers.
	mostSearches = 10
	mostPages    = 50
	// pagesEach is how many pages of one host are read where others have something to say as well.
	pagesEach = 3
	// searchLimit is how long a search may take, and pageLimit a page, which others answer for otherwise.
	searchLimit = time.Minute
	pageLimit   = time.Minute
)

// researchCmd answers a question from the web.
type researchCmd struct {
	Question []string `arg:"" optional:"" help:"The question; what is piped in is put below it."`

	Model    string         `predictor:"model" short:"m" help:"The model that plans and answers (default: the swarm's choice)." placeholder:"MODEL"`
	Node     string         `predictor:"node" help:"The node that must answer: its name, its id or the beginning of its id. Any may search and fetch." placeholder:"NODE" xor:"where"`
	Remote   bool           `help:"Any node but this one must answer." xor:"where"`
	Searches int            `default:"4" help:"So many searches at most, the question itself among them (default: 4, at most 10)." placeholder:"N"`
	Pages    int            `default:"8" help:"So many pages at most, the best of those found (default: 8, at most 50)." placeholder:"N"`
	Language string         `help:"Of the pages: de, or pt-BR (default: what the search engine takes)." placeholder:"TAG"`
	Since    string         `help:"Only what is new since a day, week, month or year." placeholder:"AGE"`
	Timeout  *time.Duration `help:"Give up after this time, all in all." placeholder:"DURATION"`
	Save     string         `predictor:"file" type:"path" help:"Write the answer with its sources to a file too, as Markdown." placeholder:"FILE"`
}

// research is one question under way.
type research struct {
	*holdups
	*researchCmd
	question string
	began    time.Time
	status   bus.Status
	node     bus.NodeID // that answers; empty for any
	searches []*webSearch
	pages    []*webPage
	answered answerView
}

// Run implements the command.
func (c *researchCmd) Run(ctx context.Context, a *app) error {
	question, err := readPrompt(c.Question, a.streams)
	if err != nil {
		return err
	}
	r := &research{researchCmd: c, question: strings.TrimSpace(question), began: a.now()}
	if err := r.check(); err != nil {
		return err
	}
	conn, err := a.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	r.holdups = a.partsOfOne(conn)
	if r.status, err = conn.Status(ctx); err != nil {
		return err
	}
	if r.node, err = pinTo(ctx, conn, c.Node); err != nil {
		return err
	}
	limited, cancel := inTime(ctx, given(c.Timeout), 0, "answer")
	defer cancel()
	err = r.whole(limited)
	r.beside(func() {
		r.erase()
		r.standing = false
	})
	if limited.Err() != nil { // whatever it was that could not end
		err = context.Cause(limited)
	}
	return late(err, given(c.Timeout), "answer")
}

// check looks at what was asked for.
func (r *research) check() error {
	wrong := func(format string, args ...any) error {
		return bus.Errorf(bus.CodeInvalid, format, args...).WithHint("myco research --help")
	}
	switch {
	case r.question == "":
		return bus.Errorf(bus.CodeInvalid, "there is no question").WithHint(`myco research "Which mushrooms glow in the dark?"`)
	case r.Searches < 1 || r.Searches > mostSearches:
		return wrong("--searches %d: want 1 to %d", r.Searches, mostSearches)
	case r.Pages < 1 || r.Pages > mostPages:
		return wrong("--pages %d: want 1 to %d", r.Pages, mostPages)
	}
	if r.Save != "" { // better told now than when the answer is there
		if i, err := os.Stat(r.Save); err == nil && !i.Mode().IsRegular() {
			return wrong("--save %s: it is no file", r.Save)
		}
		if _, err := os.Stat(filepath.Dir(r.Save)); err != nil {
			return wrong("--save %s: there is no folder %s", r.Save, filepath.Dir(r.Save))
		}
		if err := writable(filepath.Dir(r.Save)); err != nil {
			return bus.Errorf(bus.CodeForbidden, "--save %s: %w", r.Save, err).WithHint("name a file in a folder that you may write to")
		}
	}
	if err := checkTimeout(r.Timeout); err != nil {
		return err
	}
	if err := (bus.InferenceRequest{Prompt: r.question}).Validate(); err != nil {
		return err
	}
	return r.request(r.question).Validate()
}

// writable tries to make a file in a folder.
func writable(folder string) error {
	f, err := os.CreateTemp(folder, ".myco-*")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// whole finds pages, reads them, and has the question answered from what they say.
func (r *research) whole(ctx context.Context) error {
	if err := r.find(ctx); err != nil {
		return err
	}
	if err := r.fetch(ctx); err != nil {
		return err
	}
	docs := make([]library.Document, len(r.pages))
	for i, p := range r.pages {
		docs[i] = p.document()
	}
	passages := r.passages(ctx, docs)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if len(passages) == 0 {
		return bus.Errorf(bus.CodeNotFound, "the pages that were found have no text").WithHint("ask in other words, or with more pages: myco research --pages %d", min(mostPages, 2*r.Pages))
	}
	if err := r.answer(ctx, passages); err != nil {
		return err
	}
	err := r.nextOf(bus.AsError(r.save()))
	if r.json {
		v := r.view()
		v.Error = err
		r.object(v)
	}
	if err != nil {
		return r.app.told(err)
	}
	return nil
}

// show says what is going on, in a terminal.
func (r *research) show(line string) { r.beside(func() { r.progress(line) }) }

// progress is show, for who holds mu.
func (r *research) progress(line string) {
	if r.standing = r.stands(); r.standing {
		r.stand(line)
	}
}

// tell says what was done, in a line that stays.
func (r *research) tell(format string, args ...any) {
	r.beside(func() {
		r.hint(format, args...)
		r.standing = false
	})
}
