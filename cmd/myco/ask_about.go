package main

import (
	"context"
	"slices"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
)

// bytesAToken is how much text makes a token, about.
const bytesAToken = 4

// about is what a question is about: what comes before it.
type about struct {
	texts    []string // the documents of --file and the pages of --url
	passages []passageView
}

// about gathers what the question is about.
func (c *askCmd) about(ctx context.Context, a *app, conn *bus.Conn, t bus.Task, question string) (x about, err error) {
	if len(c.File) > 0 {
		files, err := a.filesOf(c.File, "ask")
		if err != nil {
			return x, err
		}
		if x.texts, err = a.textsOf(ctx, conn, files, bus.FileRequest{}); err != nil {
			return x, err
		}
	}
	pages, err := c.pages(ctx, a, conn)
	if err != nil {
		return x, err
	}
	x.texts = append(x.texts, pages...)
	if len(c.Library) > 0 {
		status, err := conn.Status(ctx)
		if err != nil {
			return x, err
		}
		x.passages, err = a.passagesFor(ctx, conn, c.Library, question, contextFor(status, t.Model, t.Node))
		if err == nil && len(x.passages) == 0 {
			err = bus.Errorf(bus.CodeNotFound, "nothing of that is in the library %s", strings.Join(c.Library, ", ")).WithHint("myco library ls")
		}
		return x, err
	}
	return x, nil
}

// before is t with x before its question, which is that of req.
func (x about) before(t bus.Task, req bus.InferenceRequest) (bus.Task, error) {
	if len(x.texts)+len(x.passages) == 0 {
		return t, nil
	}
	req.Prompt = citable(x.texts, quotes(x.passages), req.Prompt)
	if err := req.Validate(); err != nil {
		return t, err
	}
	whole, err := bus.NewTask(t.Type, req)
	t.Payload, t.Original = whole.Payload, whole.Original
	return t, err
}

// unmark takes the marks of x out of an answer.
func (x about) unmark() sieve {
	return unmark(append(slices.Clone(x.texts), numbered(quotes(x.passages)))...)
}

// askAbout asks, with fewer passages where the model does not read so many at once.
func (c *askCmd) askAbout(ctx context.Context, a *app, conn *bus.Conn, t bus.Task, req bus.InferenceRequest, x about) error {
	for {
		whole, err := x.before(t, req)
		if err != nil {
			return err
		}
		if c.Detach {
			err = a.detach(ctx, conn, whole)
		} else {
			p := a.printer(c.Stream, namesFrom(ctx, conn))
			p.sources, p.only, p.held = x.passages, x.unmark(), c.Whole
			err = a.ask(ctx, conn, whole, p)
		}
		switch n := len(x.passages); {
		case err == nil:
			tellSources(x.passages, a.hint)
			return nil
		case tooLong(err) && n > 1:
			x.passages = x.passages[:n/2]
		default:
			return c.tooMuch(err)
		}
	}
}

// tooMuch tells what helps where the documents and pages are longer than what the model reads at once.
func (c *askCmd) tooMuch(err error) error {
	if !tooLong(err) {
		return err
	}
	switch {
	case len(c.File) > 0:
		return withLongerContext(err, "myco library add NAME FILE, and myco ask --library NAME, which takes the passages that matter", "myco summarize FILE, which takes it in parts")
	case len(c.Library) > 0:
		return withLongerContext(err)
	case len(c.URL) > 0:
		return withLongerContext(err, "myco fetch URL | myco summarize, which takes it in parts")
	}
	return err
}

// pages is the text of the pages of --url, each with where it is from.
func (c *askCmd) pages(ctx context.Context, a *app, conn *bus.Conn) (texts []string, err error) {
	tasks, err := (&fetchCmd{URL: c.URL, Timeout: c.Timeout}).tasks()
	if err != nil {
		return nil, err
	}
	for i, next := range a.fetch(ctx, conn, tasks) {
		p := next()
		if p.err != nil {
			e := bus.AsError(p.err)
			// --node of ask names who answers, and not who fetches.
			hint := strings.ReplaceAll(e.Hint, "myco fetch --node NODE URL", "myco fetch --node NODE URL | myco ask PROMPT")
			return nil, bus.Errorf(e.Code, "%s: %w", c.URL[i], p.err).WithHint("%s", hint)
		}
		from := "Page " + p.URL
		if p.Title != "" {
			from += " (" + p.Title + ")"
		}
		texts = append(texts, from+":\n\n"+strings.TrimSpace(p.Text))
		cut := ""
		if p.Truncated {
			cut = ", cut: it is longer"
		}
		a.hint("[%s: about %d tokens%s]", p.URL, len(p.Text)/bytesAToken, cut)
	}
	return texts, nil
}
