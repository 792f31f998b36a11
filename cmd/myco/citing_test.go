package main

import "testing"

// Whatever the pieces, an answer has the same numbers.
func TestCitesSourcesAlone(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]string{
		"It glows [1]. So [3].": "It glows [1]. So.", "[4] Ah[2][9][1, 7][8,9]!": " Ah[2][1]!", "see [the map], [0] and [ 12": "see [the map], and [ 12",
		"`x[7]` and\n```\ny[8] = [9]\n```\n[7]": "`x[7]` and\n```\ny[8] = [9]\n```\n", "end [": "end [", "a [1] ": "a [1] ", "[2": "[2",
	} {
		c := &citing{sources: 2}
		if got := c.of(answer); got != want {
			t.Errorf("%q: %q, want %q", answer, got, want)
		}
		for cut := range len(answer) {
			c.begin()
			if got := c.add(answer[:cut]) + c.add(answer[cut:]) + c.end(); got != want {
				t.Errorf("%q cut at %d: %q, want %q", answer, cut, got, want)
			}
		}
	}
}
