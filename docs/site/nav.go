package main

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// entry is a place in the sidebar.
type entry struct {
	label string
	// src is the file or the folder that the pages are made of, from the repository's root. A folder
	// is a page with its README, where it has one, and a list of its other pages.
	src string
	// out is the page in the site: a path with slashes.
	out string
}

// chapter is a part of the sidebar.
type chapter struct {
	name    string
	entries []entry
}

// What is made, and not written. Package bus is a folder of Go.
const (
	mycoSrc  = "cmd/myco"
	mycodSrc = "cmd/mycod"
	busSrc   = "bus"
)

// order is the sidebar: what somebody who is new reads first comes first. Pages of docs that are
// not in it come last, by themselves.
var order = []chapter{
	{"Start", []entry{
		{"Overview", "README.md", "index.html"},
		{"Install as a service", "docs/install.md", "install.html"},
		{"From the Python version", "docs/python.md", "python.html"},
	}},
	{"Use", []entry{
		{"Chat", "docs/chat.md", "chat.html"},
		{"Durable tasks", "docs/tasks.md", "tasks.html"},
		{"Documents", "docs/files.md", "files.html"},
		{"Libraries", "docs/library.md", "library.html"},
		{"Pages of the web", "docs/web.md", "web.html"},
		{"The owner's rules", "docs/policy.md", "policy.html"},
		{"Commands: myco", mycoSrc, "myco.html"},
	}},
	{"Interfaces", []entry{
		{"Ollama, OpenAI, Anthropic", "docs/api.md", "api.html"},
		{"Tools for models: MCP", "docs/mcp.md", "mcp.html"},
		{"Go: package bus", busSrc, "bus.html"},
		{"Plugins", "docs/plugins.md", "plugins.html"},
	}},
	{"Operate", []entry{
		{"The daemon: mycod", mycodSrc, "mycod.html"},
		{"Measuring the swarm", "docs/bench.md", "bench.html"},
		{"Metrics", "docs/metrics.md", "metrics.html"},
		{"Reliability", "docs/reliability.md", "reliability.html"},
		{"Security", "SECURITY.md", "security.html"},
	}},
	{"How it works", []entry{
		{"Protocol", "docs/protocol.md", "protocol.html"},
		{"Decisions", "docs/decisions", "decisions/index.html"},
		{"Figures", "docs/figures", "figures/index.html"},
		{"Contributing", "CONTRIBUTING.md", "contributing.html"},
	}},
}

// outline returns the sidebar with its pages, unread yet, and all pages in its order.
func outline(root string, order []chapter) ([]part, []*page, error) {
	docs, err := markdown(root, "docs")
	if err != nil {
		return nil, nil, err
	}
	more := chapter{name: "More"}
	for _, f := range docs {
		if !slices.ContainsFunc(order, func(c chapter) bool { return slices.ContainsFunc(c.entries, func(e entry) bool { return e.src == f }) }) {
			more.entries = append(more.entries, entry{src: f, out: strings.TrimSuffix(path.Base(f), ".md") + ".html"})
		}
	}
	if len(more.entries) > 0 {
		order = append(slices.Clone(order), more)
	}
	var parts []part
	var all []*page
	for _, c := range order {
		parts = append(parts, part{Name: c.name})
		for _, e := range c.entries {
			p, err := e.page(root)
			if err != nil {
				return nil, nil, err
			}
			to := &parts[len(parts)-1]
			to.Pages = append(to.Pages, p)
			all = append(append(all, p), p.Under...)
		}
	}
	outs := map[string]string{}
	for _, p := range all {
		if other, ok := outs[p.out]; ok {
			return nil, nil, fmt.Errorf("%s and %s would both be %s", other, p.src, p.out)
		}
		outs[p.out] = p.src
	}
	return parts, all, nil
}

// page is the page of a place in the sidebar, with those of its folder where it is one.
func (e entry) page(root string) (*page, error) {
	p := &page{label: e.label, src: e.src, out: e.out}
	info, err := os.Stat(filepath.Join(root, filepath.FromSlash(e.src)))
	if err != nil {
		return nil, fmt.Errorf("the sidebar (order in docs/site/nav.go) names a page that is not there: %w", err)
	}
	if !info.IsDir() || !strings.HasPrefix(e.src, "docs/") {
		return p, nil
	}
	p.folder = e.src
	files, err := markdown(root, e.src)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if path.Base(f) == "README.md" {
			p.src = f
			continue
		}
		p.Under = append(p.Under, &page{src: f, out: path.Dir(e.out) + "/" + strings.TrimSuffix(path.Base(f), ".md") + ".html"})
	}
	return p, nil
}

// markdown lists the pages of one folder, by their paths from the root.
func markdown(root, dir string) ([]string, error) {
	found, err := os.ReadDir(filepath.Join(root, filepath.FromSlash(dir)))
	if err != nil {
		return nil, err
	}
	var files []string
	for _, f := range found {
		if f.Type().IsRegular() && strings.HasSuffix(f.Name(), ".md") {
			files = append(files, dir+"/"+f.Name())
		}
	}
	slices.Sort(files)
	return files, nil
}
