package file

import (
	"context"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/handlers/markup"
)

// maxHTML is how much of a document of HTML is read, in bytes, as of a page of the web: what is made of it in
// memory is many times as large.
const maxHTML = bus.MaxPage

// within has read make text of a document. In a process of its own it returns when ctx ends, whatever still works on the
// document: that ends with the process.
func (h *Handler) within(ctx context.Context, req bus.FileRequest, read func(context.Context, bus.FileRequest) (bus.FileResult, error)) (bus.FileResult, error) {
	if !h.alone {
		return read(ctx, req)
	}
	type outcome struct {
		res bus.FileResult
		err error
	}
	done := make(chan outcome, 1)
	go func() {
		res, err := read(ctx, req)
		done <- outcome{res, err}
	}()
	select {
	case o := <-done:
		return o.res, o.err
	case <-ctx.Done():
		return bus.FileResult{}, context.Cause(ctx)
	}
}

// readHTML makes text of HTML as package markup does.
func readHTML(_ context.Context, req bus.FileRequest) (res bus.FileResult, err error) {
	content := req.Content
	if len(content) > maxHTML {
		res.Truncated, content = true, content[:maxHTML]
	}
	source, charset := markup.Decode(content, req.MediaType, true)
	doc, err := markup.Read(source, nil, req.Format == bus.FileText)
	if err != nil {
		return res, bus.Errorf(bus.CodeFailed, "no text can be made of %s: %w", named(req.Name), err)
	}
	w := writer{}
	if strings.TrimSpace(doc.Text) != "" && doc.Title != "" && !strings.Contains(doc.Text, doc.Title) { // it is taken out of articles
		mark := "# "
		if req.Format == bus.FileText {
			mark = ""
		}
		w.add(mark + oneLine(doc.Title) + "\n\n")
	}
	w.add(doc.Text)
	if err := w.into(&res, req.Name); err != nil {
		return res, err
	}
	res.Truncated = res.Truncated || doc.Cut
	res.Charset, res.Title, res.Author = charset, oneLine(doc.Title), oneLine(doc.Byline)
	return res, nil
}
