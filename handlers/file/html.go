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

// readHTML makes text of HTML as package markup does. In a process of its own it returns when ctx ends, whatever
// still works on the document: that ends with the process.
func (h *Handler) readHTML(ctx context.Context, req bus.FileRequest) (bus.FileResult, error) {
	if !h.alone {
		return readHTML(req)
	}
	type outcome struct {
		res bus.FileResult
		err error
	}
	done := make(chan outcome, 1)
	go func() {
		res, err := readHTML(req)
		done <- outcome{res, err}
	}()
	select {
	case o := <-done:
		return o.res, o.err
	case <-ctx.Done():
		return bus.FileResult{}, context.Cause(ctx)
	}
}

func readHTML(req bus.FileRequest) (res bus.FileResult, err error) {
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
	text, cut := w.text()
	if strings.TrimSpace(text) == "" {
		return res, bus.Errorf(bus.CodeFailed, "%s holds no text", named(req.Name))
	}
	res.Text, res.Truncated = text, res.Truncated || doc.Cut || cut
	res.Charset, res.Title, res.Author = charset, oneLine(doc.Title), oneLine(doc.Byline)
	return res, nil
}
