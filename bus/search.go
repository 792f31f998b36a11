package bus

import (
	"strings"
	"time"
	"unicode/utf8"
)

// TypeSearch is the type of task that asks a search engine for pages of the web. SearchRequest -> SearchResult
const TypeSearch = "web_search"

// How long ago a page found may have changed, in a SearchRequest.
const (
	SinceDay   = "day"
	SinceWeek  = "week"
	SinceMonth = "month"
	SinceYear  = "year"
)

// Limits of a SearchRequest.
const (
	// DefaultHits is how many pages are told where the request does not say.
	DefaultHits = 10
	// MaxHits is the most that a request may ask for.
	MaxHits = 50
	// maxQuery is the longest query, in bytes.
	maxQuery = 1024
	// maxLanguage is the longest tag of a language, in bytes.
	maxLanguage = 35 // what RFC 5646 has every program take
)

// SearchRequest is the payload of a task of TypeSearch.
type SearchRequest struct {
	// Query is what is looked for, in the words of the search engine.
	Query string `json:"query"`
	// MaxResults is how many pages are told at most. 0 is DefaultHits.
	MaxResults int `json:"max_results,omitempty"`
	// Language is a tag as in RFC 5646, "de" or "pt-BR"; empty is what the search engine takes then.
	Language string `json:"language,omitempty"`
	// Since is one of the above; empty is any age.
	Since string `json:"since,omitempty"`
}

// Validate reports an empty query, and what is too long, unknown or out of range.
func (r SearchRequest) Validate() error {
	switch {
	case strings.TrimSpace(r.Query) == "":
		return Errorf(CodeInvalid, "the query is empty").WithHint("myco search WORDS")
	case len(r.Query) > maxQuery:
		return Errorf(CodeInvalid, "the query has %d bytes, want at most %d", len(r.Query), maxQuery)
	case !utf8.ValidString(r.Query):
		return Errorf(CodeInvalid, "the query is not UTF-8")
	case r.MaxResults < 0 || r.MaxResults > MaxHits:
		return Errorf(CodeInvalid, "max_results %d: want 0 to %d", r.MaxResults, MaxHits)
	case !isLanguage(r.Language):
		return Errorf(CodeInvalid, "language %q: want a tag such as de or pt-BR", r.Language)
	}
	switch r.Since {
	case "", SinceDay, SinceWeek, SinceMonth, SinceYear:
		return nil
	}
	return Errorf(CodeInvalid, "since %q: want %s, %s, %s or %s", r.Since, SinceDay, SinceWeek, SinceMonth, SinceYear)
}

// isLanguage reports whether tag has the form of a language's, or is empty.
func isLanguage(tag string) bool {
	if len(tag) > maxLanguage {
		return false
	}
	for _, r := range tag {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' {
			return false
		}
	}
	return true
}

// SearchResult is the result of a task of TypeSearch.
type SearchResult struct {
	// Results are the pages, the best first. There may be none.
	Results []SearchHit `json:"results"`
	// Silent are the engines behind the search engine that did not answer, each with why: more may be found later.
	Silent     []string  `json:"silent,omitempty"`
	SearchedAt time.Time `json:"searched_at"`
}

// SearchHit is one page that was found. Its texts have no control characters and no marks of HTML.
type SearchHit struct {
	Title string `json:"title"`
	URL   string `json:"url"`
	// Content is what the search engine shows of the page, a sentence or two.
	Content string `json:"content,omitempty"`
	// Published is when, where the search engine knows.
	Published time.Time `json:"published,omitzero"`
	// Engines are those behind the search engine that found it.
	Engines []string `json:"engines,omitempty"`
}
