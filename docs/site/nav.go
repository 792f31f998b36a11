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
	var parts []part
	var all []*page
	known := map[string]bool{}
	add := func(to *part, e entry) error {
		known[e.src] = true
		p := &page{label: e.label, src: e.src, out: e.out}
		to.Pages = append(to.Pages, p)
		all = append(all, p)
		info, err := os.Stat(filepath.Join(root, filepath.FromSlash(e.src)))
		if err != nil {
			return fmt.Errorf("the sidebar (order in docs/site/nav.go) names a page that is not there: %w", err)
		}
		if !info.IsDir() || !strings.HasPrefix(e.src, "docs/") {
			return nil
		}
		p.folder = e.src
		files, err := markdown(root, e.src)
		if err != nil {
			return err
		}
		for _, f := range files {
			if path.Base(f) == "README.md" {
				p.src = f
				continue
			}
			c := &page{src: f, out: path.Dir(e.out) + "/" + strings.TrimSuffix(path.Base(f), ".md") + ".html"}
			p.Under = append(p.Under, c)
			all = append(all, c)
		}
		return nil
	}
	for _, c := range order {
		parts = append(parts, part{Name: c.name})
		for _, e := range c.entries {
			if err := add(&parts[len(parts)-1], e); err != nil {
				return nil, nil, err
			}
		}
	}
	files, err := markdown(root, "docs")
	if err != nil {
		return nil, nil, err
	}
	more := part{Name: "More"}
	for _, f := range files {
		if known[f] {
			continue
		}
		if err := add(&more, entry{src: f, out: strings.TrimSuffix(path.Base(f), ".md") + ".html"}); err != nil {
			return nil, nil, err
		}
	}
	if len(more.Pages) > 0 {
		parts = append(parts, more)
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
