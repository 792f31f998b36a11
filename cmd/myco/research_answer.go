package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/atomicfile"
	"github.com/mycoswarm/mycoswarm/internal/library"
)

// researchView is what research --json prints.
type researchView struct {
	Question string       `json:"question"`
	Queries  []queryView  `json:"queries"`
	Sources  []sourceView `json:"sources"`
	Answer   string       `json:"answer"`
	answerer
	DurationMS float64 `json:"duration_ms"`
	// Error tells that the answer is not saved.
	Error *bus.Error `json:"error,omitempty"`
}

// answerer is who wrote an answer, with what.
type answerer struct {
	TaskID   bus.TaskID `json:"task_id"`
	Model    string     `json:"model"`
	NodeID   bus.NodeID `json:"node_id"`
	NodeName string     `json:"node_name"`
	Attempts int        `json:"attempts"`
	TTFTMS   float64    `json:"ttft_ms"`
	WriteMS  float64    `json:"write_ms"`
	Demo     bool       `json:"demo"`
}

// queryView is one search.
type queryView struct {
	Query string `json:"query"`
	Found int    `json:"found"`
	doer
}

// sourceView is a page that was to be read, those that are cited first.
type sourceView struct {
	// Number is what the answer cites it by; 0 where nothing of it was put before the model.
	Number    int    `json:"number"`
	URL       string `json:"url"`
	Title     string `json:"title"`
	Published string `json:"published,omitempty"`
	// Fetched is false where the search engine's text stands for the page.
	Fetched bool `json:"fetched"`
	doer
}

// doer is who searched or fetched, and how long it took with the wait.
type doer struct {
	NodeID     bus.NodeID `json:"node_id,omitempty"`
	NodeName   string     `json:"node_name,omitempty"`
	DurationMS float64    `json:"duration_ms"`
	Error      *bus.Error `json:"error,omitempty"`
}

// answer has the model answer from passages, from fewer where it does not read so many at once.
func (r *research) answer(ctx context.Context, passages []library.Hit) error {
	for {
		t, err := r.ofModel(bus.InferenceRequest{
			System: "You answer questions from pages of the web, in the language of the question. " + r.today(),
			Prompt: citable(nil, r.quotes(passages), r.question),
		})
		if err != nil {
			return err
		}
		r.tell("[writing, from %s of %s]", plural(len(passages), "passage"), plural(len(r.cited()), "page"))
		p := r.printer(false, namesFrom(ctx, r.conn))
		p.only, p.held = &citing{sources: len(r.cited())}, r.columns == nil
		p.whole = func(v answerView) {
			r.answered = v
			if !r.json { // which is one object, and tells of the file as well
				r.print()
			}
		}
		switch err = r.ask(ctx, t, p); {
		case tooLong(err) && len(passages) > 1:
			passages = passages[:len(passages)/2]
		case tooLong(err) && len(passages[0].Passage.Text)/2 >= leastPart:
			passages[0].Passage.Text = beginning(passages[0].Passage.Text, len(passages[0].Passage.Text)/2)
		case tooLong(err):
			return withLongerContext(err)
		default:
			return err
		}
	}
}

// quotes numbers the pages that passages are of, the best first, and quotes the passages by the numbers, in the order of
// the pages' own text.
func (r *research) quotes(passages []library.Hit) (out []quote) {
	for _, p := range r.pages {
		p.number = 0
	}
	last := 0
	for _, h := range passages {
		if p := r.pageOf(h); p.number == 0 {
			last++
			p.number = last
		}
	}
	passages = slices.Clone(passages)
	slices.SortStableFunc(passages, func(a, b library.Hit) int {
		return cmp.Or(cmp.Compare(r.pageOf(a).number, r.pageOf(b).number), cmp.Compare(position(a), position(b)))
	})
	for _, h := range passages {
		p := r.pageOf(h)
		from := p.title() + ", " + oneLine(p.address())
		if day := p.published(); day != "" {
			from += ", " + day
		}
		out = append(out, quote{p.number, reference.ReplaceAllString(from, "($1)"), h.Passage.Text})
	}
	return out
}

// position is where a passage stands in its document.
func position(h library.Hit) int {
	for i := range h.Document.Passages {
		if &h.Document.Passages[i] == h.Passage {
			return i
		}
	}
	return -1
}

// pageOf is the page that a passage is of.
func (r *research) pageOf(h library.Hit) *webPage {
	return r.pages[slices.IndexFunc(r.pages, func(p *webPage) bool { return p.address() == h.Document.Path })]
}

// cited are the pages that have numbers, by these.
func (r *research) cited() (out []*webPage) {
	for _, p := range r.pages {
		if p.number > 0 {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b *webPage) int { return cmp.Compare(a.number, b.number) })
	return out
}

// print prints what follows the answer: where it is from.
func (r *research) print() {
	var b strings.Builder
	b.WriteString("\nSources:\n")
	for _, p := range r.cited() {
		fmt.Fprintf(&b, "[%d] %s%s\n    %s\n", p.number, p.title(), p.note(), oneLine(p.address()))
	}
	r.text(b.String())
}

// note is what is to be known of a source.
func (p *webPage) note() (what string) {
	if day := p.published(); day != "" {
		what = " (" + day + ")"
	}
	if p.err != nil {
		what += " (not read: as the search engine has it)"
	}
	return what
}

// view is all of r.
func (r *research) view() researchView {
	a := r.answered
	v := researchView{
		Question: r.question, Queries: []queryView{}, Sources: []sourceView{}, Answer: a.Text,
		answerer:   answerer{a.TaskID, a.Model, a.NodeID, a.NodeName, a.Attempts, a.TTFTMS, a.DurationMS, a.Demo},
		DurationMS: millis(r.now().Sub(r.began)),
	}
	who := func(id bus.NodeID, ms float64, err error) doer {
		return doer{id, nameOf(r.status.Nodes, id), ms, r.nextOf(bus.AsError(err))}
	}
	for _, s := range r.searches {
		v.Queries = append(v.Queries, queryView{s.query, len(s.hits), who(s.node, millis(s.took), s.err)})
	}
	uncited := slices.DeleteFunc(slices.Clone(r.pages), func(p *webPage) bool { return p.number > 0 })
	for _, p := range append(r.cited(), uncited...) {
		v.Sources = append(v.Sources, sourceView{p.number, p.address(), p.title(), p.published(), p.err == nil, who(p.node, millis(p.took), p.err)})
	}
	return v
}

// save writes the answer to the file that was named, if one was.
func (r *research) save() error {
	if r.Save == "" {
		return nil
	}
	if err := atomicfile.Write(r.Save, []byte(r.markdown())); err != nil {
		return bus.Errorf(bus.CodeFailed, "the answer is not saved: %w", err).WithHint("name a file in a folder that you may write to, or take what is above")
	}
	r.hint("[saved to %s]", r.Save)
	return nil
}

// plain keeps what a title has from being taken for marks of Markdown.
var plain = strings.NewReplacer(`\`, `\\`, "[", `\[`, "]", `\]`, "*", `\*`, "_", `\_`, "`", "\\`", "<", `\<`)

// markdown is the answer with its sources, as a file.
func (r *research) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n%s\n\n## Sources\n\n", plain.Replace(strings.Join(strings.Fields(r.question), " ")), strings.TrimSpace(r.answered.Text))
	for _, p := range r.cited() {
		fmt.Fprintf(&b, "%d. [%s](<%s>)%s\n", p.number, plain.Replace(p.title()), strings.NewReplacer("<", "%3C", ">", "%3E").Replace(oneLine(p.address())), p.note())
	}
	fmt.Fprintf(&b, "\nWritten on %s by %s on %s, from searches for: %s.\n", r.now().Format(time.DateOnly), r.answered.Model, r.nameOf(r.answered.NodeID), plain.Replace(strings.Join(r.queries(), "; ")))
	return b.String()
}
