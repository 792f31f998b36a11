package gateway

import (
	"net/url"
	"path"
	"slices"
	"strings"
)

// domain is one that a request allows or blocks, with those within it.
type domain struct {
	host string
	path string // as path.Match reads it: what a page's path is, or begins with
}

// literal has path.Match take for itself what is a mark there and none here.
var literal = strings.NewReplacer(`\`, `\\`, `[`, `\[`, `?`, `\?`)

// domainsOf reads domains of a tool: "example.org", "example.org/blog" with what is below, and "example.org/*/blog", where * is
// any name between two slashes, or a part of one. A domain that has it elsewhere would be of no page.
func domainsOf(f *fields, in []string) []domain {
	out := make([]domain, len(in))
	for i, name := range in {
		host, at, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(strings.ToLower(name), "https://"), "http://"), "/")
		at, err := url.PathUnescape(strings.Trim(at, "/"))
		if (host == "" || strings.Contains(host, "*") || err != nil) && f.err == nil {
			f.err = misfit("tools", "%q is no domain: want one such as example.org, which has those within it, and behind it perhaps a path, in which * is any name", name)
			return nil
		}
		out[i] = domain{host, literal.Replace(at)}
	}
	return out
}

// allows reports whether a page is of a domain that the request allows.
func (t *hostedTool) allows(page string) bool {
	u, err := url.Parse(page)
	if err != nil {
		return false
	}
	has := func(d domain) bool { return d.has(u) }
	return (len(t.allowed) == 0 || slices.ContainsFunc(t.allowed, has)) && !slices.ContainsFunc(t.blocked, has)
}

// has reports whether a page is of the domain, or of one within.
func (d domain) has(page *url.URL) bool {
	host := strings.TrimSuffix(strings.ToLower(page.Hostname()), ".")
	if host != d.host && !strings.HasSuffix(host, "."+d.host) {
		return false
	}
	if d.path == "" {
		return true
	}
	names := strings.Split(path.Clean("/" + strings.ToLower(page.Path))[1:], "/") // a server goes up by .. too
	names = names[:min(len(names), 1+strings.Count(d.path, "/"))]
	ok, err := path.Match(d.path, strings.Join(names, "/"))
	return ok && err == nil
}
