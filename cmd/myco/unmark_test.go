package main

import (
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Marks that a model copies are taken out, however they come in pieces; what only looks like them stays.
func TestUnmark(t *testing.T) {
	t.Parallel()
	const a, b = "the first", "the second"
	before, behind := bus.Marks(a)
	_, other := bus.Marks("another")
	for answer, want := range map[string]string{
		"Here:\n" + bus.Marked(a) + "\nDone":         "Here:\n" + a + "\nDone",
		bus.Marked(a) + bus.Marked(b) + "\n":         a + b + "\n",
		"a " + strings.TrimSpace(before) + " b":      "a  b",
		strings.TrimSpace(before) + "x":              "x",
		strings.TrimSpace(before):                    "",
		"x" + strings.TrimSpace(behind) + ".":        "x.",
		"x < y\n\n<text>\n</text-0>" + other + "\n<": "x < y\n\n<text>\n</text-0>" + other + "\n<",
		behind[:8]: behind[:8],
		"":         "",
	} {
		for size := 1; size <= len(answer)+1; size++ {
			u, got := unmark(a, b), ""
			u.add("<text-")
			u.begin()
			for at := 0; at < len(answer); at += size {
				got += u.add(answer[at:min(at+size, len(answer))])
			}
			if got += u.end(); got != want || u.of(answer) != want {
				t.Fatalf("%q in pieces of %d: %q, and whole %q, want %q", answer, size, got, u.of(answer), want)
			}
		}
	}
	if u := new(unmarking); u.of(before+"\n") != before+"\n" {
		t.Error("one without marks takes some out")
	}
}

// An answer about a document that copies its marks is shown without.
func TestAskShowsNoMarks(t *testing.T) {
	t.Parallel()
	d := setup(t)
	shouting(d, 1<<20)
	if o := d.mycoIn(t.Context(), "a parrot", "ask", "--file", "-", "Write in capitals").want(t, 0); o.out != "A PARROT\n" {
		t.Errorf("printed %q", o.out)
	}
	if o := d.mycoIn(t.Context(), "a parrot", "ask", "--json", "--file", "-", "Write in capitals").want(t, 0); !strings.Contains(o.out, `"text":"A PARROT\n"`) {
		t.Errorf("printed %q", o.out)
	}
}
