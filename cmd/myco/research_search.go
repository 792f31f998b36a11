package main

import (
	"cmp"
	"context"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/library"
)

// webSearch is one search of a research, and what came of it.
type webSearch struct {
	query string
	hits  []bus.SearchHit
	node  bus.NodeID
	took  time.Duration
	err   error
}

// find has the question searched for while the model plans, and then all that is planned, side by side, and keeps the best
// pages. A search that fails is told; where all do, that is the error.
func (r *research) find(ctx context.Context) error {
	r.show("planning")
	r.searches = []*webSearch{{query: r.query()}}
	g, going := errgroup.WithContext(ctx)
	g.Go(func() error {
		if r.search(going, r.searches[0]); r.searches[0].err != nil && bus.AsError(r.searches[0].err).Code == bus.CodeNoWorker {
			return r.searches[0].err // nobody searches: a plan is of no use
		}
		return nil
	})
	var planned []string
	g.Go(func() (err error) {
		planned, err = r.plan(going)
		return err
	})
	if err := g.Wait(); err != nil {
		return err
	}
	for _, q := range planned {
		r.searches = append(r.searches, &webSearch{query: q})
	}
	r.tell("[searching for: %s]", strings.Join(r.queries(), "; "))
	r.show("searching")
	var all errgroup.Group
	for _, s := range r.searches[1:] {
		all.Go(func() error {
			r.search(ctx, s)
			return nil
		})
	}
	all.Wait() //nolint:errcheck // each search keeps its own
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return r.choose()
}

// search has the swarm search.
func (r *research) search(ctx context.Context, s *webSearch) {
	start := r.now()
	t, err := bus.NewTask(bus.TypeSearch, r.request(s.query))
	if err != nil {
		s.err = err
		return
	}
	t.Timeout = searchLimit
	end, res, err := resultOf[bus.SearchResult](ctx, r.holdups, t)
	s.hits, s.node, s.took, s.err = res.Results, end.NodeID, r.now().Sub(start), err
}

// queries are those of all searches.
func (r *research) queries() (out []string) {
	for _, s := range r.searches {
		out = append(out, s.query)
	}
	return out
}

// choose keeps the best pages of all searches.
func (r *research) choose() error {
	var lists [][]bus.SearchHit
	var failed *bus.Error
	for _, s := range r.searches {
		if s.err == nil {
			lists = append(lists, s.hits)
			continue
		}
		if e := bus.AsError(s.err); failed == nil {
			failed = e
		}
	}
	if len(lists) == 0 {
		return failed
	}
	for _, s := range r.searches {
		if s.err != nil {
			r.tell("[no search for %s: %s]", s.query, oneLine(bus.AsError(s.err).Message))
		}
	}
	hits := merged(lists)
	r.tell("[%s found by %s]", plural(len(hits), "page"), plural(len(lists), "search"))
	if len(hits) == 0 {
		if r.Since != "" {
			return bus.Errorf(bus.CodeNotFound, "no page was found").WithHint("leave out --since: not every engine knows how old a page is")
		}
		return bus.Errorf(bus.CodeNotFound, "no page was found").WithHint("ask in other words; what the search engine finds: myco search WORDS")
	}
	for _, h := range spread(hits, hostOf, pagesEach, r.Pages) {
		r.pages = append(r.pages, &webPage{hit: h})
	}
	return nil
}

// merged are the pages of several searches, each once, the best first by reciprocal rank fusion: what many searches find
// early. What no node could fetch is left out.
func merged(lists [][]bus.SearchHit) []bus.SearchHit {
	rankings := make([][]string, len(lists))
	first := map[string]bus.SearchHit{}
	var order []string
	for i, hits := range lists {
		for _, h := range hits {
			key := pageKey(h.URL)
			if key == "" || slices.Contains(rankings[i], key) {
				continue
			}
			rankings[i] = append(rankings[i], key)
			known, ok := first[key]
			if !ok {
				order = append(order, key)
				known = h
			}
			if len(h.Content) > len(known.Content) { // it takes the page's place where that cannot be had
				known.Content = h.Content
			}
			first[key] = known
		}
	}
	scores := library.Fuse(rankings...)
	slices.SortStableFunc(order, func(a, b string) int { return cmp.Compare(scores[b], scores[a]) })
	out := make([]bus.SearchHit, len(order))
	for i, key := range order {
		out[i] = first[key]
	}
	return out
}

// hostOf is whose a page is.
func hostOf(h bus.SearchHit) string {
	u, err := url.Parse(h.URL)
	if err != nil {
		return ""
	}
	return strings.TrimPrefix(strings.ToLower(u.Hostname()), "www.")
}

// pageKey is the same for addresses of the same page; empty for what is no page.
func pageKey(address string) string {
	if (bus.FetchRequest{URL: address}).Validate() != nil {
		return ""
	}
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	key := strings.ToLower(u.Host) + strings.TrimSuffix(u.EscapedPath(), "/")
	if u.RawQuery != "" {
		key += "?" + u.RawQuery
	}
	return key
}
