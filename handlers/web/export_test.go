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

// ReadSearch reads what a search engine has sent; false for what is no answer.
func ReadSearch(body []byte) (bus.SearchResult, bool) {
	a, ok := readAnswer(body)
	return bus.SearchResult{Results: a.hits(bus.MaxHits), Silent: append(a.silent(), a.mute()...)}, ok
}
