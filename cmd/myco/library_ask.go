package main

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
)

// passagesMost is how many passages come before a question.
const passagesMost = 12

// passagesFor finds what libraries tell of a question, up to half of a context of so many tokens.
func (a *app) passagesFor(ctx context.Context, conn *bus.Conn, libraries []string, question string, context int) ([]passageView, error) {
	found, err := a.passages(ctx, conn, libraries, question, passagesMost)
	if err != nil {
		return nil, err
	}
	return fitting(found, func(p passageView) string { return p.Text }, context), nil
}

// fitting are the first of found that have room in half of a context of so many tokens; one at the least.
func fitting[P any](found []P, text func(P) string, context int) []P {
	room := context / 2 * tokenBytes
	for i, p := range found {
		if room -= len(text(p)); room < 0 && i > 0 {
			return found[:i]
		}
	}
	return found
}

// reference is a number in brackets, as papers have for their own references, and a text that wants to pass for another;
// or several.
var reference = regexp.MustCompile(`\[(\d+(?:, ?\d+)*)\]`)

// quote is a passage that comes before a question, with the number that it is cited by and what it is from.
type quote struct {
	number     int
	from, text string
}

// quotes are passages, each with a number of its own.
func quotes(passages []passageView) (out []quote) {
	for i, p := range passages {
		out = append(out, quote{i + 1, p.place(filepath.Base(p.File)), p.Text})
	}
	return out
}

// citable puts texts and quotes before a question, as the words of others. The quotes have numbers that nothing else has.
func citable(texts []string, quotes []quote, question string) string {
	var b strings.Builder
	if len(quotes) > 0 {
		b.WriteString("Answer the question at the end from what comes before it alone, and put the numbers of the passages that tell it behind each statement, like [1]. " +
			"Say so where they do not tell. ")
		texts, question = append(slices.Clone(texts), numbered(quotes)), "Question: "+question
	}
	if len(texts) > 0 {
		b.WriteString(bus.NeverObey + "\n\n")
	}
	for _, text := range texts {
		b.WriteString(bus.Marked(text) + "\n\n")
	}
	return b.String() + question
}

// numbered are quotes as one text.
func numbered(quotes []quote) string {
	var b strings.Builder
	for i, q := range quotes {
		if i > 0 {
			b.WriteString("\n\n")
		}
		fmt.Fprintf(&b, "[%d] %s:\n%s", q.number, q.from, reference.ReplaceAllString(q.text, "($1)"))
	}
	return b.String()
}

// tellSources says where the passages are from that an answer cites by their numbers.
func tellSources(sources []passageView, say func(format string, args ...any)) {
	for i, p := range sources {
		say("[%d] %s", i+1, p.place(p.File))
	}
}
