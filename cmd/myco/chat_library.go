package main

import (
	"cmp"
	"context"
	"errors"

	"github.com/mycoswarm/mycoswarm/bus"
)

// library lists the libraries, or has answers made from one from here on.
func (ch *chat) library(l chatLine) error {
	if l.set {
		return ch.useLibrary(l.arg)
	}
	var rows [][]string
	for _, name := range libraries(ch.environ) {
		now := ""
		if name == ch.s.Library {
			now = "*"
		}
		rows = append(rows, []string{now, name})
	}
	if len(rows) == 0 {
		ch.note("There are no libraries yet: myco library add papers FOLDER makes one.")
		return nil
	}
	ch.say(tabulate([]string{"", "LIBRARY"}, rows))
	return nil
}

// useLibrary has passages of a library come before each question; an empty name has none.
func (ch *chat) useLibrary(called string) error {
	if called == "" {
		ch.s.Library = ""
		ch.note("Answers are made from no library.")
		return nil
	}
	if _, err := ch.app.library(called); err != nil {
		return err
	}
	ch.s.Library = called
	ch.note("Passages of %s come before each question from here on.", called)
	return nil
}

// withPassages puts what the library tells of the last question of req before it. What a question is about, the one
// before it often tells.
func (ch *chat) withPassages(ctx context.Context, nodes []bus.NodeInfo, req *bus.InferenceRequest) ([]passageView, error) {
	if ch.s.Library == "" {
		return nil, nil
	}
	last := &req.Messages[len(req.Messages)-1]
	about := last.Content
	if n := len(req.Messages); n >= 3 {
		about = req.Messages[n-3].Content + "\n" + about
	}
	found, err := ch.passagesFor(ctx, ch.conn, []string{ch.s.Library}, about, contextFor(bus.Status{Nodes: nodes}, cmp.Or(ch.s.Model, ch.s.Used), ch.s.Node))
	if errors.Is(err, &bus.Error{Code: bus.CodeNotFound}) { // the conversation outlives it
		without := `myco chat --library ""`
		if ch.interactive {
			without = `/library ""`
		}
		return nil, bus.AsError(err).WithHint("go on without it: %s", without)
	}
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		ch.note("[nothing of that is in the library %s]", ch.s.Library)
	}
	last.Content = citable(nil, quotes(found), last.Content)
	return found, req.Validate()
}
