package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/library"
)

const (
	// quotesMost is how many passages come before a question at most, and quotesEach how many of one page where others
	// have something to say as well.
	quotesMost = 24
	quotesEach = 3
	// vectorsMost is of how many passages vectors are made while somebody waits: of more, of the best by their words.
	vectorsMost = 256
)

// webPage is one page of a research.
type webPage struct {
	hit    bus.SearchHit
	read   bus.FetchResult
	node   bus.NodeID
	took   time.Duration
	err    error // why it was not read: the text of hit stands for it
	number int   // that it is cited by; 0 where nothing is of it
}

// address is where the text is from.
func (p *webPage) address() string { return cmp.Or(p.read.URL, p.hit.URL) }

// title is what the page calls itself, or the search engine.
func (p *webPage) title() string {
	return strings.TrimSpace(oneLine(cmp.Or(p.read.Title, p.hit.Title, p.address())))
}

// published is the day, where somebody knows.
func (p *webPage) published() string { return cmp.Or(dayOf(p.read.Published), dayOf(p.hit.Published)) }

// document is the page in passages.
func (p *webPage) document() library.Document {
	d := library.Document{Path: p.address(), Title: p.title()}
	text := p.read.Text
	if strings.TrimSpace(text) == "" { // there are pages that are made by scripts alone
		text = p.hit.Title + "\n\n" + p.hit.Content
	}
	if strings.TrimSpace(text) == "" {
		return d
	}
	for _, part := range split(text, passageSize) {
		d.Passages = append(d.Passages, library.Passage{Text: part})
	}
	return d
}

// fetch has the pages fetched, side by side. One that cannot be had is told.
func (r *research) fetch(ctx context.Context) error {
	r.show("fetching " + plural(len(r.pages), "page"))
	done := 0
	var g errgroup.Group
	for _, p := range r.pages {
		g.Go(func() error {
			r.fetchOne(ctx, p)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			r.beside(func() {
				done++
				r.progress(fmt.Sprintf("fetched %d of %s", done, plural(len(r.pages), "page")))
			})
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	r.tellUnread()
	by := map[string]int{}
	for _, p := range r.pages {
		if p.err == nil {
			by[r.nameOf(p.node)]++
		}
	}
	read, who := 0, []string{}
	for _, name := range slices.Sorted(maps.Keys(by)) {
		read += by[name]
		who = append(who, fmt.Sprintf("%s (%d)", name, by[name]))
	}
	if read == 0 {
		r.tell("[none of the %s could be read]", plural(len(r.pages), "page"))
		return nil
	}
	r.tell("[%d of %s read, by %s]", read, plural(len(r.pages), "page"), strings.Join(who, ", "))
	r.pages = distinct(r.pages)
	return nil
}

// distinct are pages, each address once: several may lead to the same, and one that was read goes before one that was not.
func distinct(pages []*webPage) (out []*webPage) {
	at := map[string]int{}
	for _, p := range pages {
		i, known := at[p.address()]
		switch {
		case !known:
			at[p.address()] = len(out)
			out = append(out, p)
		case out[i].err != nil && p.err == nil:
			out[i] = p
		}
	}
	return out
}

// tellUnread tells why pages could not be had: once for each cause, which may be that of all.
func (r *research) tellUnread() {
	var causes []string
	why, of := map[string]*bus.Error{}, map[string][]string{}
	for _, p := range r.pages {
		if p.err == nil {
			continue
		}
		e := bus.AsError(p.err)
		if why[e.Message] == nil {
			causes = append(causes, e.Message)
		}
		why[e.Message] = e
		of[e.Message] = append(of[e.Message], oneLine(p.address()))
	}
	for _, cause := range causes {
		line := fmt.Sprintf("[not read, what the search engine shows is taken instead: %s: %s]", named(of[cause]), oneLine(cause))
		if why[cause].Code == bus.CodeNoWorker { // it is of the swarm, and not of the page
			line += "\n  try: " + oneLine(why[cause].Hint)
		}
		r.tell("%s", line)
	}
}

// fetchOne has one page fetched.
func (r *research) fetchOne(ctx context.Context, p *webPage) {
	start := r.now()
	t, err := bus.NewTask(bus.TypeFetch, bus.FetchRequest{URL: p.hit.URL, Format: bus.FormatText})
	if err != nil {
		p.err = err
		return
	}
	t.Timeout = pageLimit
	end, read, err := resultOf[bus.FetchResult](ctx, r.holdups, t)
	p.read, p.node, p.took, p.err = read, end.NodeID, r.now().Sub(start), err
}

// nameOf is what a person calls a node.
func (r *research) nameOf(id bus.NodeID) string {
	return cmp.Or(nameOf(r.status.Nodes, id), string(id))
}

// passages are those of docs that tell most of the question, the best first, as many as the model reads at once.
func (r *research) passages(ctx context.Context, docs []library.Document) []library.Hit {
	r.show("reading")
	q := library.Query{Text: strings.Join(append([]string{r.question}, r.queries()...), "\n")}
	r.vectors(ctx, docs, &q)
	hits := spread(library.Search(docs, q, vectorsMost), func(h library.Hit) *library.Document { return h.Document }, quotesEach, quotesMost)
	if len(hits) == 0 { // in other words than those of the question: how pages begin tells what they are about
		for i := range docs {
			if len(docs[i].Passages) > 0 {
				hits = append(hits, library.Hit{Document: &docs[i], Passage: &docs[i].Passages[0]})
			}
		}
	}
	return fitting(hits, func(h library.Hit) string { return h.Passage.Text }, contextFor(r.status, r.Model, r.node))
}

// spread are the n best of all, with no more than each of one source before the others had their turn.
func spread[T any, S comparable](all []T, source func(T) S, each, n int) []T {
	of := map[S]int{}
	var first, rest []T
	for _, x := range all {
		s := source(x)
		if of[s]++; of[s] <= each {
			first = append(first, x)
		} else {
			rest = append(rest, x)
		}
	}
	first = append(first, rest...)
	return first[:min(len(first), n)]
}

// vectors has vectors made of what q asks and of the passages of docs, where the swarm has a model for it. Without, they
// are ranked by their words alone.
func (r *research) vectors(ctx context.Context, docs []library.Document, q *library.Query) {
	model := embedder(r.status.Nodes)
	if model == "" {
		return
	}
	asked, _, err := r.embed(ctx, model, "", bus.Interactive, []string{embedPrompts(model).question + r.question})
	if err == nil {
		q.Vector, q.Model, q.Digest = asked.Vectors[0], model, asked.Digest
		err = r.embedPassages(ctx, model, asked.Digest, docs, candidates(docs, q.Text))
	}
	if err != nil && ctx.Err() == nil {
		r.tell("[passages are ranked by their words alone: %s]", oneLine(bus.AsError(err).Message))
	}
}

// candidates are the passages to make vectors of: all, or where they are too many the best by their words.
func candidates(docs []library.Document, query string) (out []library.Hit) {
	for i := range docs {
		for j := range docs[i].Passages {
			out = append(out, library.Hit{Document: &docs[i], Passage: &docs[i].Passages[j]})
		}
	}
	if len(out) > vectorsMost {
		return library.Search(docs, library.Query{Text: query}, vectorsMost)
	}
	return out
}

// embedPassages has vectors made of passages, side by side.
func (r *research) embedPassages(ctx context.Context, model, digest string, docs []library.Document, passages []library.Hit) error {
	for i := range docs {
		docs[i].Model, docs[i].Digest = model, digest
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(embedTasks)
	for part := range slices.Chunk(passages, embedsAtOnce) {
		g.Go(func() error {
			texts := make([]string, len(part))
			for i, h := range part {
				texts[i] = embedText(model, h.Document.Title, h.Passage.Text)
			}
			made, _, err := r.embed(ctx, model, digest, bus.Interactive, texts)
			if err != nil || made.Digest != digest { // another model of this name
				return err
			}
			for i, h := range part {
				h.Passage.Vector = library.Unit(made.Vectors[i])
			}
			return nil
		})
	}
	return g.Wait()
}
