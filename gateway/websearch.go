package gateway

import (
	"cmp"
	"net/http"
	"regexp"

	"github.com/mycoswarm/mycoswarm/bus"
)

// webRoutes search the web and get pages of it, as ollama.com does for Ollama's own clients. A local Ollama, which hands
// such requests on to there, has them below /api/experimental. A key that may not manage models may not have pages
// fetched: some nodes fetch from the owner's networks for every member.
var webRoutes = []route{
	{"POST /api/web_search", forLocal, ollamaDialect.handle((*Gateway).webSearch)},
	{"POST /api/web_fetch", forManager, ollamaDialect.handle((*Gateway).webFetch)},
	{"POST /api/experimental/web_search", forLocal, ollamaDialect.handle((*Gateway).webSearch)},
	{"POST /api/experimental/web_fetch", forManager, ollamaDialect.handle((*Gateway).webFetch)},
}

// webResults is how many results come where a request does not say, as from ollama.com.
const webResults = 5

// webResult is a page that was found.
type webResult struct {
	Title   string `json:"title"`
	URL     string `json:"url"`
	Content string `json:"content"`
}

func (g *Gateway) webSearch(w http.ResponseWriter, r *http.Request) error {
	f, err := ollamaDialect.readFields(r)
	if err != nil {
		return err
	}
	var req bus.SearchRequest
	f.takeAll(field{"query", &req.Query}, field{"max_results", &req.MaxResults})
	req.MaxResults = cmp.Or(req.MaxResults, webResults)
	res, err := ofWeb[bus.SearchResult](g, w, r, f, bus.TypeSearch, req)
	if err != nil {
		return err
	}
	out := make([]webResult, len(res.Results))
	for i, h := range res.Results {
		out[i] = webResult{h.Title, h.URL, h.Content}
	}
	g.write(w, http.StatusOK, map[string]any{"results": out})
	return nil
}

func (g *Gateway) webFetch(w http.ResponseWriter, r *http.Request) error {
	f, err := ollamaDialect.readFields(r)
	if err != nil {
		return err
	}
	var req bus.FetchRequest
	f.take("url", &req.URL)
	page, err := ofWeb[bus.FetchResult](g, w, r, f, bus.TypeFetch, req)
	if err != nil {
		return err
	}
	g.write(w, http.StatusOK, map[string]any{"title": page.Title, "content": page.Text, "links": linksIn(page.Text)})
	return nil
}

// ofWeb has the swarm do a task that needs no model, and tells in the header who did.
func ofWeb[T any](g *Gateway, w http.ResponseWriter, r *http.Request, f *fields, typ string, req interface{ Validate() error }) (res T, err error) {
	if f.err != nil {
		return res, f.err
	}
	if err := req.Validate(); err != nil {
		return res, wrong{err: bus.AsError(err)}
	}
	t, err := bus.NewTask(typ, req)
	if err == nil {
		t.Node, err = g.pin(r, "")
	}
	if err != nil {
		return res, err
	}
	info, err := g.runTask(r, t, noPieces)
	if err == nil {
		res, err = bus.Result[T](info)
	}
	if err == nil {
		answered(w, info.ID, info.NodeID, false)
	}
	return res, err
}

// target is an address in Markdown, which may have brackets in pairs.
const target = `(?:[^\s()<>]|\([^\s()<>]*\))+`

var (
	pictures = regexp.MustCompile(`!\[[^\[\]]*\]\(<?` + target)
	links    = regexp.MustCompile(`\]\(<?(https?://` + target + `)`)
)

// linksIn are the addresses that a text in Markdown leads to, in their order, each once.
func linksIn(text string) []string {
	out := []string{}
	seen := make(map[string]bool)
	for _, m := range links.FindAllStringSubmatch(pictures.ReplaceAllString(text, ""), -1) {
		if !seen[m[1]] {
			seen[m[1]] = true
			out = append(out, m[1])
		}
	}
	return out
}
