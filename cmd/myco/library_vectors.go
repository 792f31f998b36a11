package main

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/library"
)

const (
	// embedsAtOnce is how many passages go into one task, and embedTasks how many tasks of a document are under
	// way at once.
	embedsAtOnce = 64
	embedTasks   = 4
	// embedsFail is at how many tasks of a document the model may fail before the others are not tried.
	embedsFail = 3
	// embedsTold is after how many passages of a document it is said how far it is, for a book takes a while.
	embedsTold = 1024
	// keptEvery is how often what was made of a document is kept, which writes all of it.
	keptEvery = 10 * time.Second
)

// measure has the model say how many numbers a vector of it has, and its digest, where there are vectors: the swarm may
// have another model of the same name by now. Where the model is not there or fails, nothing is known, and nothing lost.
func (u *libraryUpdate) measure(ctx context.Context, docs []library.Document) error {
	if u.numbers > 0 || !slices.ContainsFunc(docs, func(d library.Document) bool { return hasOther(u.l, d, bus.EmbedResult{}) }) {
		return nil
	}
	r, _, err := u.embed(ctx, u.l.Model, digestOf(u.l, docs), bus.Batch, []string{u.l.Name})
	if err == nil {
		u.numbers, u.digest = len(r.Vectors[0]), r.Digest
	} else if code := bus.AsError(err).Code; code == bus.CodeNoWorker || ofTheDocument(code) {
		return nil
	}
	return err
}

// numbersOf is how many numbers a vector of r has; 0 where it has none.
func numbersOf(r bus.EmbedResult) int {
	if len(r.Vectors) == 0 {
		return 0
	}
	return len(r.Vectors[0])
}

// hasOther tells whether d has a vector by what is called the model of l, which another model made than made those of r.
func hasOther(l *library.Library, d library.Document, r bus.EmbedResult) bool {
	return d.Model == l.Model && slices.ContainsFunc(d.Passages, func(p library.Passage) bool {
		return len(p.Vector) > 0 && (len(p.Vector) != numbersOf(r) || !d.By(l.Model, r.Digest))
	})
}

// digestOf is the digest of the model that made vectors of l; empty where nobody has told.
func digestOf(l *library.Library, docs []library.Document) string {
	for _, d := range docs {
		if d.Model == l.Model && d.Digest != "" {
			return d.Digest
		}
	}
	return ""
}

// tellOthers tells of documents whose vectors another model made, which had the name of the library's.
func (a *app) tellOthers(l *library.Library, docs []library.Document, r bus.EmbedResult) {
	others := 0
	for _, d := range docs {
		if hasOther(l, d, r) {
			others++
		}
	}
	if others > 0 {
		a.hint("[another model was called %s when it made vectors of the library %s: %d of its %s are found by their words alone]\n  try: myco library update %s",
			l.Model, l.Name, others, plural(viewOf(l, docs).Documents, "document"), l.Name)
	}
}

// lacking are the passages of d without a vector as the model of the library makes them.
func (u *libraryUpdate) lacking(d *library.Document) (out []*library.Passage) {
	if u.l.Model == "" {
		return nil
	}
	for i, p := range d.Passages {
		if n := len(p.Vector); n == 0 || !d.By(u.l.Model, u.digest) || u.numbers > 0 && n != u.numbers {
			out = append(out, &d.Passages[i])
		}
	}
	return out
}

// vectors has the model of the library make the vectors that d lacks, and says what became of them. A passage at which the
// model fails, or that comes once no node has the model any more, is found by its words until an update tries again. An error
// is not of d, which keeps what was made.
func (u *libraryUpdate) vectors(ctx context.Context, d *library.Document) (what, missing string, err error) {
	var lacking []*library.Passage
	u.beside(func() { lacking = u.lacking(d) })
	if len(lacking) == 0 {
		return "", "", nil
	}
	if gone := u.gone.Load(); gone != nil {
		return "", withoutVectors(lacking, gone), nil
	}
	for _, p := range lacking {
		p.Vector = nil
	}
	if len(lacking) == len(d.Passages) {
		d.Digest = ""
	}
	d.Model = u.l.Model
	by, err := u.embedAll(ctx, d, lacking)
	switch {
	case err == nil:
		return ", vectors by " + u.nameOf(by), "", nil
	case bus.AsError(err).Code == bus.CodeNoWorker:
		u.gone.Store(bus.AsError(err))
	case !ofTheDocument(bus.AsError(err).Code):
		return "", "", err
	}
	u.beside(func() { lacking = u.lacking(d) })
	return "", withoutVectors(lacking, bus.AsError(err)), nil
}

func withoutVectors(lacking []*library.Passage, why *bus.Error) string {
	return fmt.Sprintf(", no vectors of %s: %s", plural(len(lacking), "passage"), why.Message)
}

// embedAll has vectors made for the passages that d lacks them of, and tells who made the last. Where the model fails at
// some, the error is one of them once the others are made. What is made is kept in steps, for it may take hours.
func (u *libraryUpdate) embedAll(ctx context.Context, d *library.Document, lacking []*library.Passage) (by bus.NodeID, err error) {
	all := len(d.Passages)
	var (
		mu       sync.Mutex // guards d, and what follows
		done     = all - len(lacking)
		kept     = u.now()
		fails    int
		failedAt error
	)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(embedTasks)
	for part := range slices.Chunk(lacking, embedsAtOnce) {
		g.Go(func() error {
			r, node, err := u.embedPart(ctx, d, part)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				if fails++; fails < embedsFail && ofTheDocument(bus.AsError(err).Code) {
					failedAt, err = err, nil
				}
				return err
			}
			for i, p := range part {
				p.Vector = library.Unit(r.Vectors[i])
			}
			by, d.Digest = node, cmp.Or(r.Digest, d.Digest)
			before := done
			if done += len(part); before/embedsTold < done/embedsTold {
				u.beside(func() {
					if at := fmt.Sprintf("%s: vectors of %d of %d passages", filepath.Base(d.Path), done, all); u.standing {
						u.show(at)
					} else {
						u.hint("[%s]", oneLine(at))
					}
				})
			}
			if done < all && u.now().Sub(kept) >= keptEvery {
				err = u.l.Put(*d)
				kept = u.now()
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return by, err
	}
	return by, failedAt
}

// embedPart has vectors made for a part of d's passages.
func (u *libraryUpdate) embedPart(ctx context.Context, d *library.Document, part []*library.Passage) (bus.EmbedResult, bus.NodeID, error) {
	called := cmp.Or(d.Title, filepath.Base(d.Path))
	texts := make([]string, len(part))
	for i, p := range part {
		texts[i] = embedText(u.l.Model, called, p.Text)
	}
	var digest string
	u.beside(func() { digest = u.digest })
	r, node, err := u.embed(ctx, u.l.Model, digest, bus.Batch, texts)
	u.beside(func() {
		if u.digest = cmp.Or(u.digest, r.Digest); r.Digest != "" && r.Digest != u.digest {
			err = bus.Errorf(bus.CodeFailed, "%s is not the same model at all nodes: %.12s at one, and %.12s at another", u.l.Model, u.digest, r.Digest)
		}
		for _, v := range r.Vectors {
			if u.numbers = cmp.Or(u.numbers, len(v)); len(v) != u.numbers {
				err = bus.Errorf(bus.CodeFailed, "%s makes vectors of %d numbers at one node, and of %d at another: these are two models", u.l.Model, u.numbers, len(v))
			}
		}
	})
	return r, node, err
}
