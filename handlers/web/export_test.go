package web

import (
	"net/url"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Read makes text of a page that came from https://example.org/dir/page.
func Read(contentType string, body []byte, req bus.FetchRequest) (bus.FetchResult, error) {
	at := &url.URL{Scheme: "https", Host: "example.org", Path: "/dir/page"}
	p := &page{url: at, status: 200, contentType: contentType, media: mediaOf(contentType), body: body}
	if err := p.readable(); err != nil {
		return bus.FetchResult{}, err
	}
	return p.read(req)
}
