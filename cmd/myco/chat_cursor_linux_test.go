package main

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/charmbracelet/x/term"
)

// The editor waits without end for a terminal that does not tell where its cursor is, so it is asked once before. What was
// typed meanwhile is not lost.
func TestTellsCursor(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		says, typed string
		limit       time.Duration
		tells       bool
	}{
		"a terminal":                {"\x1b[12;3R", "", limit, true},
		"someone types meanwhile":   {"hel\x1b[1;80Rlo", "hello", limit, true},
		"one that does not":         {"", "", time.Millisecond, false},
		"an arrow key is no answer": {"\x1b[A", "", time.Millisecond, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			person, tty, err := pty.Open()
			must(t, err)
			defer person.Close()
			defer tty.Close()
			before, err := term.GetState(tty.Fd())
			must(t, err)
			asked := make(chan string, 1)
			go func() {
				buf := make([]byte, len("\x1b[6n"))
				_, _ = io.ReadFull(person, buf) // too little fails below
				asked <- string(buf)
				_, _ = io.WriteString(person, tt.says)
			}()
			typed, tells := tellsCursor(tty, tty, tt.limit)
			if q := receive(t, asked, "the question for the cursor"); q != "\x1b[6n" {
				t.Errorf("asked with %q", q)
			}
			if tells != tt.tells || tt.tells && string(typed) != tt.typed || strings.Contains(string(typed), "R") {
				t.Errorf("%t, typed %q", tells, typed)
			}
			if after, err := term.GetState(tty.Fd()); err != nil || *after != *before {
				t.Errorf("the terminal is left otherwise: %v", err)
			}
		})
	}
}
