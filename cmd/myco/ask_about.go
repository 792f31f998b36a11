package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
)

// bytesAToken is how much text makes a token, about.
const bytesAToken = 4

// about puts the documents of --file and the pages of --url before the question.
func (c *askCmd) about(ctx context.Context, a *app, conn *bus.Conn, t bus.Task, req bus.InferenceRequest) (bus.Task, error) {
	var before string
	if len(c.File) > 0 {
		files, err := a.filesOf(c.File, "ask")
		if err != nil {
			return t, err
		}
		text, err := a.textOf(ctx, conn, files, bus.FileRequest{})
		if err != nil {
			return t, err
		}
		before = text + "\n\n"
	}
	pages, err := c.pages(ctx, a, conn)
	if err != nil {
		return t, err
	}
	req.Prompt = before + pages + req.Prompt
	if err := req.Validate(); err != nil {
		return t, err
	}
	whole, err := bus.NewTask(t.Type, req)
	t.Payload, t.Original = whole.Payload, whole.Original
	return t, err
}

// tooMuch tells what helps where the documents and pages are longer than what the model reads at once.
func (c *askCmd) tooMuch(err error) error {
	if !tooLong(err) || bus.AsError(err).Hint != "" {
		return err
	}
	switch {
	case len(c.File) > 0:
		return bus.AsError(err).WithHint("myco summarize FILE, which takes it in parts; or -m with a longer context: myco models")
	case len(c.URL) > 0:
		return bus.AsError(err).WithHint("myco fetch URL | myco summarize, which takes it in parts; or -m with a longer context: myco models")
	}
	return err
}

// pages is the text of the pages of --url, each with where it is from.
func (c *askCmd) pages(ctx context.Context, a *app, conn *bus.Conn) (string, error) {
	tasks, err := (&fetchCmd{URL: c.URL, Timeout: c.Timeout}).tasks()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for i, next := range a.fetch(ctx, conn, tasks) {
		p := next()
		if p.err != nil {
			e := bus.AsError(p.err)
			// --node of ask names who answers, and not who fetches.
			hint := strings.ReplaceAll(e.Hint, "myco fetch --node NODE URL", "myco fetch --node NODE URL | myco ask PROMPT")
			return "", bus.Errorf(e.Code, "%s: %w", c.URL[i], p.err).WithHint("%s", hint)
		}
		b.WriteString("This is the page " + p.URL)
		if p.Title != "" {
			fmt.Fprintf(&b, " (%s)", p.Title)
		}
		fmt.Fprintf(&b, ":\n\n%s\n\nThis was the page %s.\n\n", strings.TrimSpace(p.Text), p.URL)
		cut := ""
		if p.Truncated {
			cut = ", cut: it is longer"
		}
		a.hint("[%s: about %d tokens%s]", p.URL, len(p.Text)/bytesAToken, cut)
	}
	return b.String(), nil
}
