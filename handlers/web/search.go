package web

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/neterr"
)

const (
	// searches is how many searches a node has under way at once.
	searches = 4
	// searchTime is for one of them: SearXNG waits for its engines for 3 s, and some owners give them 15.
	searchTime = 30 * time.Second
	// maxAnswer is how long the answer of a search engine may be, in bytes.
	maxAnswer = 4 << 20
	// tryQuery is what Search.Try looks for, in at most tryTime: any engine knows it.
	tryQuery = "wikipedia"
	tryTime  = 10 * time.Second
)

// SearchConfig is what a Search is told. The zero value of a field means its default.
type SearchConfig struct {
	// URL is where the search engine is, as ParseSearch returns it.
	URL *url.URL
	// Agent is the User-Agent that it is told. Default: mycoswarm.
	Agent string
	// Limit is for one search. Default: 30 s.
	Limit time.Duration
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// Search searches the web by a SearXNG, or by searx, whose interface is the same: that of
// docs.searxng.org/dev/search_api.html, in JSON. It connects to no other host, and to that one whatever its address
// is: the owner has named it. The payload of a task is a bus.SearchRequest, its result a bus.SearchResult; there is no
// output.
type Search struct{ cfg SearchConfig }

var _ bus.Handler = (*Search)(nil)

// NewSearch returns a Search.
func NewSearch(cfg SearchConfig) *Search {
	cfg.Agent = cmp.Or(cfg.Agent, "mycoswarm")
	cfg.Limit = cmp.Or(cfg.Limit, searchTime)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Search{cfg}
}

// ParseSearch reads a SearchConfig.URL: where the start page of a SearXNG is, or its page /search. It may hold a name
// and a password, so that no error repeats it.
func ParseSearch(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "":
		return nil, errors.New("want http:// or https:// and a host")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("want the address of the start page alone, without what follows ? or #")
	}
	return u.Parse(strings.TrimSuffix(strings.TrimSuffix(u.EscapedPath(), "/"), "/search") + "/")
}

// At is where the search engine is, without the name and the password.
func (s *Search) At() string {
	u := *s.cfg.URL
	u.User = nil
	return u.String()
}

// Capability implements bus.Handler.
func (s *Search) Capability(context.Context) (bus.Capability, error) {
	return bus.Capability{Type: bus.TypeSearch, Slots: searches}, nil
}

// Handle implements bus.Handler. Errors have CodeInvalid for a request that is none, or that the search engine does
// not take; CodeForbidden and CodeFailed where it is set up in a way that nobody can search by it. CodeUnavailable,
// CodeBusy and CodeTimeout, where it is not reached, or finds nothing because no engine behind it answers, are marked
// by bus.RetryFew: another node with a search engine may do better. Those name neither what is looked for nor where
// the search engine is, for they are told to observers.
func (s *Search) Handle(ctx context.Context, t *bus.Task, _ bus.Emit) (any, error) {
	req, err := bus.Request[bus.SearchRequest](t)
	if err != nil {
		return nil, err
	}
	bus.SetPhase(ctx, "search", s.cfg.Limit+searchTime)
	res, err := s.search(ctx, req)
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, err
	}
	return res, nil
}

// Try searches for something that every engine knows. Its errors are those of Handle; where no engine answers the
// result still tells why.
func (s *Search) Try(ctx context.Context) (bus.SearchResult, error) {
	quick := *s
	quick.cfg.Limit = min(s.cfg.Limit, tryTime)
	return quick.search(ctx, bus.SearchRequest{Query: tryQuery})
}

func (s *Search) search(ctx context.Context, req bus.SearchRequest) (res bus.SearchResult, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.cfg.Limit, errSlow)
	defer cancel()
	query := url.Values{"q": {req.Query}, "format": {"json"}, "categories": {"general"}, "pageno": {"1"}}
	if req.Language != "" {
		query.Set("language", req.Language)
	}
	if req.Since != "" {
		query.Set("time_range", req.Since)
	}
	body, err := s.get(ctx, "search", query)
	if err != nil {
		return res, err
	}
	a, ok := readAnswer(body)
	if !ok {
		return res, s.wrong("does not answer as SearXNG does")
	}
	res = bus.SearchResult{Results: a.hits(cmp.Or(req.MaxResults, bus.DefaultHits)), Silent: a.silent(), SearchedAt: s.cfg.Now().UTC()}
	if len(res.Results) == 0 && s.allSilent(ctx, a) {
		return res, bus.RetryFew(bus.Errorf(bus.CodeUnavailable, "no engine behind the search engine answers (%s)", strings.Join(a.mute(), ", ")))
	}
	return res, nil
}

// get asks the search engine for one of its pages. It makes a client for this page alone, as Handler.get does.
func (s *Search) get(ctx context.Context, page string, query url.Values) ([]byte, error) {
	at := s.cfg.URL.JoinPath(page)
	at.User, at.RawQuery = nil, query.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, bus.Errorf(bus.CodeInternal, "make the request: %w", err)
	}
	r.Header.Set("User-Agent", s.cfg.Agent)
	r.Header.Set("Accept", "application/json, text/html;q=0.1")
	if u := s.cfg.URL.User; u != nil {
		password, _ := u.Password()
		r.SetBasicAuth(u.Username(), password)
	}
	transport := &http.Transport{
		Proxy: nil, DialContext: (&net.Dialer{Timeout: dialTime}).DialContext, TLSHandshakeTimeout: dialTime,
		DisableKeepAlives: true, ForceAttemptHTTP2: true, MaxResponseHeaderBytes: maxHeader,
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, CheckRedirect: s.redirect(query.Get("q"))}
	resp, err := client.Do(r)
	if err != nil {
		return nil, s.failure(ctx, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, s.failure(ctx, err)
	}
	if err := s.check(resp, body); err != nil {
		return nil, err
	}
	return body, nil
}

// redirect keeps to the host that the owner has named. A query with "!!" is one that the search engine sends on.
func (s *Search) redirect(query string) func(*http.Request, []*http.Request) error {
	return func(r *http.Request, via []*http.Request) error {
		r.Header.Del("Referer")
		switch {
		case r.URL.Scheme != "https" && via[len(via)-1].URL.Scheme == "https":
			return s.wrong("redirects from https to %s, where all can read what is looked for, and the password", r.URL.Scheme)
		case strings.EqualFold(r.URL.Hostname(), s.cfg.URL.Hostname()) && len(via) <= hops:
			return nil
		case strings.Contains(query, "!!"):
			return bus.Errorf(bus.CodeInvalid, `the search engine sends this query on to another one, which "!!" is for`).WithHint(`leave out "!!", or take "!"`)
		case len(via) > hops:
			return s.wrong("redirects more than %d times", hops)
		}
		return s.wrong("redirects to another host, %s", r.URL.Hostname())
	}
}

// check reports why an answer is none.
func (s *Search) check(resp *http.Response, body []byte) error {
	says := strconv.Itoa(resp.StatusCode) + " " + http.StatusText(resp.StatusCode)
	media := mediaOf(resp.Header.Get("Content-Type"))
	switch code := resp.StatusCode; {
	case code == http.StatusOK && media == "text/html":
		return s.wrong("sends a page of HTML where SearXNG sends JSON")
	case code == http.StatusOK && len(body) > maxAnswer:
		return s.wrong("sends more than %d MiB", maxAnswer>>20)
	case code == http.StatusOK:
		return nil
	case code == http.StatusBadRequest:
		if why := text(errorOf(body), maxReason); why != "" {
			return bus.Errorf(bus.CodeInvalid, "the search engine does not take the request: %s", why)
		}
		return s.wrong("says %s", says)
	case code == http.StatusForbidden:
		return bus.Errorf(bus.CodeForbidden, "the SearXNG at %s sends no JSON: it says %s", s.At(), says).
			WithHint("in its settings.yml, under search:, have `formats: [html, json]`, and start it anew; if they are there, a server before it or its limiter refuses")
	case code == http.StatusUnauthorized:
		return bus.Errorf(bus.CodeForbidden, "what is at %s wants a name and a password: it says %s", s.At(), says).
			WithHint("mycod --search http://NAME:PASSWORD@HOST, in config.toml, where no other user reads it")
	case code == http.StatusTooManyRequests:
		return bus.RetryFew(bus.Errorf(bus.CodeBusy, "the search engine lets no more requests in: it says %s. "+
			"In its settings.yml, under server:, have `limiter: false`, or name this machine under pass_ip in its limiter.toml", says))
	case code >= 500:
		return bus.RetryFew(bus.Errorf(bus.CodeUnavailable, "the search engine is out of order: it says %s", says))
	}
	return s.wrong("says %s", says)
}

// errorOf returns what the search engine tells is wrong with a request.
func errorOf(body []byte) string {
	var a struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(body, &a) != nil {
		return ""
	}
	return a.Error
}

// wrong is the error for what is no SearXNG.
func (s *Search) wrong(format string, args ...any) *bus.Error {
	return bus.Errorf(bus.CodeFailed, "what is at %s %s", s.At(), fmt.Sprintf(format, args...)).
		WithHint("mycod --search URL, the address of the start page of a SearXNG: docs/web.md")
}

// failure tells what an error on the way to the search engine means.
func (s *Search) failure(ctx context.Context, err error) error {
	var (
		own  *bus.Error
		dns  *net.DNSError
		cert *tls.CertificateVerificationError
	)
	away := func(c bus.Code, format string, args ...any) error {
		return bus.RetryFew(bus.Errorf(c, format, args...))
	}
	switch {
	case errors.As(err, &own):
		return own
	case errors.Is(context.Cause(ctx), errSlow):
		return away(bus.CodeTimeout, "the search engine has not answered within %v", s.cfg.Limit)
	case errors.As(err, &cert):
		return bus.Errorf(bus.CodeFailed, "what is at %s is not known to be what it says: %w", s.At(), cert.Err).
			WithHint("have this machine trust who has signed its certificate, or, at home, take http://")
	case errors.As(err, &dns):
		return away(bus.CodeUnavailable, "the host of the search engine is not found")
	case neterr.Refused(err):
		return away(bus.CodeUnavailable, "the search engine refuses connections: it may not run")
	}
	return away(bus.CodeUnavailable, "the search engine is not reached, or breaks off")
}
