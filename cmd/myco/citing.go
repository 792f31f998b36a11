package main

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// citing takes out of an answer, piece by piece, the numbers of sources that there are not: a model may go on counting.
// What is written as code stays as it is.
type citing struct {
	sources int    // numbers 1 to this are of sources
	held    string // may be the beginning of numbers in brackets
	code    bool   // what comes is within backquotes
}

var _ sieve = (*citing)(nil)

var (
	// citation is one or more numbers in brackets, with the space before.
	citation = regexp.MustCompile(" ?" + reference.String() + "|`")
	// begunCitation is the beginning of one at the end of a piece; a model that never ends it is not waited for.
	begunCitation = regexp.MustCompile(` ?\[[\d, ]{0,40}$| $`)
)

func (c *citing) add(piece string) string {
	text := c.held + piece
	c.held = begunCitation.FindString(text)
	return c.cut(strings.TrimSuffix(text, c.held))
}

func (c *citing) end() (held string) {
	held, c.held = c.held, ""
	return held
}

func (c *citing) begin() { c.held, c.code = "", false }

func (c *citing) of(answer string) string {
	one := citing{sources: c.sources}
	return one.add(answer) + one.end()
}

// cut takes numbers out of a text that ends in none that is begun.
func (c *citing) cut(text string) string {
	return citation.ReplaceAllStringFunc(text, func(found string) string {
		if found == "`" {
			c.code = !c.code
			return found
		}
		if c.code {
			return found
		}
		before, list, _ := strings.Cut(strings.TrimSuffix(found, "]"), "[")
		numbers := strings.Split(list, ",")
		there := slices.DeleteFunc(slices.Clone(numbers), func(s string) bool {
			n, err := strconv.Atoi(strings.TrimSpace(s))
			return err != nil || n < 1 || n > c.sources
		})
		switch len(there) {
		case len(numbers):
			return found
		case 0:
			return ""
		}
		return before + "[" + strings.TrimSpace(strings.Join(there, ",")) + "]"
	})
}
