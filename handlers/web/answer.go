package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/handlers/markup"
)

// Limits of what is told of an answer, in bytes.
const (
	maxTitle   = 300
	maxContent = 2000
	maxReason  = 200
	maxEngine  = 60
	maxEngines = 50 // and how many of them
)

// answer is what SearXNG says to a search, as far as it is of use.
type answer struct {
	Results []struct {
		Title         string   `json:"title"`
		URL           string   `json:"url"`
		Content       string   `json:"content"`
		Engine        string   `json:"engine"`
		Engines       []string `json:"engines"`
		PublishedDate string   `json:"publishedDate"`
		PubDate       string   `json:"pubdate"`
	} `json:"results"`
	// Unresponsive are pairs of an engine and why, or, in some versions, the engines alone.
	Unresponsive []any `json:"unresponsive_engines"`
}

// readAnswer reads an answer; false for what is none. A field that is of another kind than it should be is left out.
func readAnswer(body []byte) (a answer, ok bool) {
	err := json.Unmarshal(body, &a)
	var other *json.UnmarshalTypeError
	return a, (err == nil || errors.As(err, &other)) && a.Results != nil
}

// hits are the first most pages that were found, each once.
func (a answer) hits(most int) []bus.SearchHit {
	out := []bus.SearchHit{}
	seen := make(map[string]bool)
	for _, r := range a.Results {
		u, err := url.Parse(r.URL)
		if err != nil || bus.ValidPage(u) != nil {
			continue
		}
		whole := u.String()
		u.Fragment, u.RawFragment = "", ""
		if seen[u.String()] {
			continue
		}
		if seen[u.String()] = true; len(out) == most {
			break
		}
		h := bus.SearchHit{Title: text(r.Title, maxTitle), URL: whole, Content: text(r.Content, maxContent), Published: published(r.PublishedDate, r.PubDate)}
		if h.Title == "" {
			h.Title = whole
		}
		if r.Engines == nil && r.Engine != "" {
			r.Engines = []string{r.Engine}
		}
		for _, e := range r.Engines[:min(len(r.Engines), maxEngines)] {
			h.Engines = append(h.Engines, text(e, maxEngine))
		}
		slices.Sort(h.Engines)
		out = append(out, h)
	}
	return out
}

// published reads the first of times that is one. SearXNG tells it as ISO 8601 in publishedDate, without a zone where
// the page has told none; older ones, and searx, have a phrase there, "2 hours ago", and the time in pubdate.
func published(times ...string) time.Time {
	for _, s := range times {
		for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05-0700", time.DateTime, time.DateOnly} {
			if t, err := time.Parse(layout, s); err == nil {
				return t.UTC()
			}
		}
	}
	return time.Time{}
}

// unresponsive are the engines that did not answer, each with why, where that is told.
func (a answer) unresponsive() (out [][2]string) {
	for _, v := range a.Unresponsive[:min(len(a.Unresponsive), maxEngines)] {
		parts, ok := v.([]any)
		if !ok {
			parts = []any{v}
		}
		var pair [2]string
		for i, p := range parts[:min(len(parts), 2)] {
			if s, ok := p.(string); ok {
				pair[i] = s
			}
		}
		if pair[0] != "" {
			out = append(out, pair)
		}
	}
	slices.SortFunc(out, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	return out
}

// silent is unresponsive for people.
func (a answer) silent() (out []string) {
	for _, p := range a.unresponsive() {
		name, why := text(p[0], maxEngine), text(p[1], maxReason)
		if why != "" {
			name = fmt.Sprintf("%s (%s)", name, why)
		}
		out = append(out, name)
	}
	return out
}

// mute names the engines that did not answer. Why they did not may repeat what was looked for.
func (a answer) mute() (out []string) {
	for _, p := range a.unresponsive() {
		out = append(out, text(p[0], maxEngine))
	}
	return out
}

// allSilent reports whether no engine at all has answered, which an answer does not tell: that some did not is the rule.
// Where the search engine does not say which it has, one may have answered.
func (s *Search) allSilent(ctx context.Context, a answer) bool {
	silent := a.unresponsive()
	if len(silent) == 0 {
		return false
	}
	body, err := s.get(ctx, "config", nil)
	if err != nil {
		return false
	}
	var has struct {
		Engines []struct {
			Name       string   `json:"name"`
			Categories []string `json:"categories"`
			Enabled    bool     `json:"enabled"`
		} `json:"engines"`
	}
	if json.Unmarshal(body, &has) != nil {
		return false
	}
	for _, e := range has.Engines {
		asked := e.Enabled && slices.Contains(e.Categories, "general")
		if asked && !slices.ContainsFunc(silent, func(p [2]string) bool { return p[0] == e.Name }) {
			return false
		}
	}
	return true
}

// text is what a search engine tells of a page, in one line of at most most bytes: without the marks of HTML that some
// engines leave in it. What looks like a mark and is none, as in vector<int>, stays.
func text(s string, most int) string {
	if strings.ContainsAny(s, "<&") {
		s = unmarked(s)
	}
	s = strings.Join(strings.Fields(markup.Clean(strings.ToValidUTF8(s, "\ufffd"))), " ")
	if len(s) <= most {
		return s
	}
	return strings.TrimSpace(markup.Whole(s[:most-len("…")])) + "…"
}

func unmarked(s string) string {
	var out strings.Builder
	z := html.NewTokenizer(strings.NewReader(s))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return out.String()
		case html.TextToken:
			out.WriteString(html.UnescapeString(string(z.Raw())))
		case html.StartTagToken, html.EndTagToken, html.SelfClosingTagToken:
			raw := string(z.Raw())
			switch z.Token().DataAtom {
			case 0:
				out.WriteString(raw)
			case atom.Br, atom.P, atom.Div, atom.Li, atom.Td:
				out.WriteByte(' ')
			}
		}
	}
}
