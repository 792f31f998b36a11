package main

import (
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
)

// sieve takes something out of an answer, piece by piece.
type sieve interface {
	// add returns what is to be shown of what was held and of piece, and end what was held.
	add(piece string) string
	end() string
	// begin is called before an answer, and before one that begins anew.
	begin()
	// of is what is to be shown of a whole answer.
	of(answer string) string
}

// unmarking takes out of an answer the marks of texts that were put before the model, which models like to copy. The zero value
// leaves everything.
type unmarking struct {
	marks []string // the longer ones first
	held  string   // may be the beginning of one
}

var _ sieve = (*unmarking)(nil)

func unmark(texts ...string) *unmarking {
	u := &unmarking{}
	for _, text := range texts {
		before, behind := bus.Marks(text)
		u.marks = append(u.marks, before, behind, strings.TrimSpace(before), strings.TrimSpace(behind))
	}
	return u
}

func (u *unmarking) add(piece string) string {
	text := u.held + piece
	u.held = ""
	var b strings.Builder
	for {
		at := strings.IndexAny(text, "<\n") // marks begin so
		if at < 0 {
			return b.String() + text
		}
		b.WriteString(text[:at])
		text = text[at:]
		mark, begun := u.at(text)
		switch {
		case begun:
			u.held = text
			return b.String()
		case mark == "":
			b.WriteString(text[:1])
			text = text[1:]
		default:
			text = text[len(mark):]
		}
	}
}

// at is the mark that a text begins with, if any. begun tells that the text may be the beginning of one.
func (u *unmarking) at(text string) (mark string, begun bool) {
	for _, m := range u.marks {
		switch {
		case len(m) > len(text) && strings.HasPrefix(m, text):
			return "", true
		case mark == "" && strings.HasPrefix(text, m):
			mark = m
		}
	}
	return mark, false
}

func (u *unmarking) end() string {
	held := u.held
	u.held = ""
	if mark, _ := u.at(held + "\x00"); mark != "" { // nothing follows any more
		return held[len(mark):]
	}
	return held
}

func (u *unmarking) begin() { u.held = "" }

func (u *unmarking) of(answer string) string {
	one := unmarking{marks: u.marks}
	return one.add(answer) + one.end()
}

// unmarked is an answer without the marks of text.
func unmarked(answer, text string) string { return unmark(text).of(answer) }
