package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/handlers/apart"
)

const (
	// childTime is how long the reader of a page may take.
	childTime = 15 * time.Second
	// childMemory is what it may use, in bytes.
	childMemory = 512 << 20
)

// job is what the reader of a page is told, beside the page itself.
type job struct {
	Request     bus.FetchRequest `json:"request"`
	URL         string           `json:"url"`
	Status      int              `json:"status"`
	ContentType string           `json:"content_type"`
	Media       string           `json:"media"`
	Cut         bool             `json:"cut"`
	At          time.Time        `json:"at"`
}

// read makes text of p, in a program of its own where that is named and needed.
func (h *Handler) read(ctx context.Context, p *page, req bus.FetchRequest) (res bus.FetchResult, err error) {
	if len(h.cfg.Reader) == 0 || req.Format == bus.FormatRaw || !isHTML(p.media) {
		return p.read(req)
	}
	reader := apart.Program{Argv: h.cfg.Reader, Time: h.cfg.ReadTime, Memory: h.cfg.ReadMemory}
	err = reader.Do(ctx, job{req, p.url.String(), p.status, p.contentType, p.media, p.cut, p.at}, p.body, &res)
	if limit, ok := errors.AsType[*apart.LimitError](err); ok {
		return res, unread(limit)
	}
	return res, err
}

// Main is the program that Config.Reader names: it reads one page from in, writes what it made of it to
// out, and returns. Its process is to end then, whatever still works on the page.
func Main(in io.Reader, out io.Writer) error {
	return apart.Main(in, out, func(raw json.RawMessage, body []byte) (any, error) {
		var j job
		if err := json.Unmarshal(raw, &j); err != nil {
			return nil, fmt.Errorf("read what to do: %w", err)
		}
		at, err := url.Parse(j.URL)
		if err != nil {
			return nil, fmt.Errorf("read the page's URL: %w", err)
		}
		p := &page{url: at, status: j.Status, contentType: j.ContentType, media: j.Media, cut: j.Cut, at: j.At, body: body}
		return p.read(j.Request)
	})
}
