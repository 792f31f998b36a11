package main

import (
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// follow returns where a link of a page leads in the site: to another page, to a heading, to a file of the
// repository on the web, or elsewhere as it is. Its error says that it leads nowhere.
func (l *library) follow(p *page, to string) (string, error) {
	u, err := url.Parse(to)
	if err != nil {
		return "", fmt.Errorf("the link %s is no address: %w", to, err)
	}
	switch {
	case u.Scheme == "https" || u.Scheme == "http" || u.Scheme == "mailto":
		return to, nil
	case u.Scheme != "" || u.Host != "":
		return "", fmt.Errorf("the link %s is neither a file nor a page of the web", to)
	case strings.HasPrefix(u.Path, "/"):
		return "", fmt.Errorf("the link %s begins with a slash: name the file by the way from this one", to)
	case u.Path == "" && u.Fragment == "":
		return "", fmt.Errorf("a link is empty")
	case u.Path == "":
		return "#" + u.EscapedFragment(), heads(p, to, u.Fragment)
	}
	file := path.Join(path.Dir(p.src), u.Path)
	for _, other := range l.pages {
		if file != other.src && file != other.folder {
			continue
		}
		if u.Fragment == "" {
			return way(p.out, other.out), nil
		}
		return way(p.out, other.out) + "#" + u.EscapedFragment(), heads(other, to, u.Fragment)
	}
	if strings.HasPrefix(file, "../") || file == ".." {
		return "", fmt.Errorf("the link %s leads out of the repository", to)
	}
	if _, err := os.Stat(filepath.Join(l.root, filepath.FromSlash(file))); err != nil {
		return "", fmt.Errorf("the link %s: there is no file %s", to, file)
	}
	at := l.web(file)
	if u.Fragment != "" {
		at += "#" + u.EscapedFragment()
	}
	return at, nil
}

// heads returns an error unless a page has an anchor.
func heads(p *page, to, id string) error {
	if p.ids[id] {
		return nil
	}
	return fmt.Errorf("the link %s: %s has no heading #%s", to, p.src, id)
}

// web is the address of a file or a folder of the repository on the web.
func (l *library) web(file string) string {
	kind := "blob"
	if info, err := os.Stat(filepath.Join(l.root, filepath.FromSlash(file))); err == nil && info.IsDir() {
		kind = "tree"
	}
	return l.source + "/" + kind + "/" + l.ref + "/" + file
}
