package main

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
)

// image has the next question be about one more picture, or about none.
func (ch *chat) image(ctx context.Context, l chatLine) error {
	if !l.set {
		ch.note("%s with the next question.", cmp.Or(pictures(len(ch.shown)), "No picture goes"))
		return nil
	}
	if l.arg == "" {
		ch.shown, ch.s.Images = nil, nil
		ch.note("No picture goes with the next question.")
		return nil
	}
	return ch.show(ctx, dropped(l.arg))
}

// show reads pictures for the next question.
func (ch *chat) show(ctx context.Context, files ...string) error {
	for _, f := range files {
		b, err := pictureIn(ctx, f)
		if err != nil {
			return err
		}
		ch.shown = append(ch.shown, b)
		ch.note("%s with the next question.", pictures(len(ch.shown)))
	}
	return nil
}

// pictures says how many go; empty for none.
func pictures(n int) string {
	switch n {
	case 0:
		return ""
	case 1:
		return "1 picture goes"
	}
	return plural(n, "picture") + " go"
}

// escaped is a character that a shell would take for something else.
var escaped = regexp.MustCompile(`\\(.)`)

// dropped is the path of a file as terminals write one that is dropped on them, or as people do: in quotes, with a
// backslash before what is special to a shell, with ~ for their home.
func dropped(path string) string {
	if n := len(path); n >= 2 && (path[0] == '\'' || path[0] == '"') && path[n-1] == path[0] {
		return strings.ReplaceAll(path[1:n-1], `'\''`, "'")
	}
	if filepath.Separator == '/' {
		path = escaped.ReplaceAllString(path, "$1")
	}
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		if home, err := bus.HomeDir(); err == nil {
			return filepath.Join(home, rest)
		}
	}
	return path
}

// filesThatBegin are the files and folders whose path begins as typed.
func filesThatBegin(typed string) (paths []string) {
	path := dropped(typed)
	dir, name := filepath.Split(path)
	entries, err := os.ReadDir(cmp.Or(dir, "."))
	if err != nil {
		return nil
	}
	for _, e := range entries {
		rest, ok := strings.CutPrefix(e.Name(), name)
		if !ok || strings.HasPrefix(e.Name(), ".") && name == "" {
			continue
		}
		if e.IsDir() {
			rest += string(filepath.Separator)
		}
		paths = append(paths, typed+rest)
	}
	return paths
}

// sighted is the model that a conversation goes to: where there are pictures in it, one that sees.
func (ch *chat) sighted(ctx context.Context, t bus.Task) (model string, err error) {
	if !ch.s.sees() {
		return t.Model, nil
	}
	s, err := ch.status(ctx)
	if err != nil {
		return "", err
	}
	if model, err = modelThatSees(s, t); err != nil && ch.s.Model == "" { // it is the one that answered before
		t.Model = ""
		model, err = modelThatSees(s, t)
	}
	if err == nil || !ch.interactive {
		return model, err
	}
	e, without := bus.AsError(err), "/clear begins a conversation without pictures"
	if len(ch.s.Images) > 0 {
		without = `/image "" asks without a picture`
	}
	return "", e.WithHint("%s; %s", e.Hint, without)
}
