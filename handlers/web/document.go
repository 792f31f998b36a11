package web

import (
	"context"
	"slices"

	"github.com/mycoswarm/mycoswarm/bus"
)

// documents are the media types that are read as documents are.
var documents = []string{
	"application/pdf", "application/x-pdf",
	"application/vnd.openxmlformats-officedocument.wordprocessingml.document",
	"application/vnd.openxmlformats-officedocument.presentationml.presentation",
	"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
	"application/vnd.oasis.opendocument.text", "application/vnd.oasis.opendocument.presentation", "application/vnd.oasis.opendocument.spreadsheet",
	"application/epub+zip",
}

// untold are the types of what a server knows no type of, or wants to be kept rather than shown.
var untold = []string{"", "application/octet-stream", "binary/octet-stream", "application/force-download", "application/x-download"}

func isDocument(media string) bool { return slices.Contains(documents, media) }

// takes reports why a document is not read here: another node may, unless its text is not wanted at all.
func (h *Handler) takes(media, format string) error {
	switch {
	case format == bus.FormatRaw:
		return unknown(media, "raw, HTML and text are there").WithHint("myco fetch URL")
	case h.cfg.Document == nil:
		return bus.RetryFew(bus.Errorf(bus.CodeUnavailable, "the page is a document, and the node reads none (mycod --no-files)").
			WithHint("start mycod without --no-files there, or name another node: myco fetch --node NODE URL"))
	}
	return nil
}

// readDocument makes the result of a page that is a document.
func (h *Handler) readDocument(ctx context.Context, p *page, req bus.FetchRequest) (bus.FetchResult, error) {
	res := p.result(req)
	if p.cut {
		return res, bus.Errorf(bus.CodeTooLarge, "the page is a document of more than %d bytes", len(p.body)).
			WithHint("get it with curl, and then: myco read FILE")
	}
	format := bus.FileMarkdown
	if req.Format == bus.FormatText {
		format = bus.FileText
	}
	doc, err := h.cfg.Document(ctx, bus.FileRequest{Content: p.body, MediaType: p.media, Format: format})
	if e := bus.AsError(err); e != nil && e.Code == bus.CodeInvalid && ctx.Err() == nil {
		return res, bus.Errorf(bus.CodeFailed, "the server sends another kind of document than it says: %w", err)
	}
	if err != nil {
		return res, err
	}
	res.Title, res.Byline, res.Text, res.Truncated = doc.Title, doc.Author, doc.Text, doc.Truncated
	shorten(&res, req)
	return res, nil
}
