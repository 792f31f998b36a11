package main

import (
	"slices"
	"testing"
)

// What a model says around its plan, and before it, is no plan.
func TestPlannedQueries(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{
		`{"queries": ["foxfire cause"]}`, "Here it is:\n```json\n{\"queries\": [\"foxfire  cause\", \"GLOW?\"]}\n```\nI hope {this} helps!",
		`<think>They want {"queries": ["...", "..."]}, or {a set}.</think>{"queries": ["foxfire cause"]}`,
	} {
		if got := plannedQueries(answer, "glow?", 3); !slices.Equal(got, []string{"foxfire cause"}) {
			t.Errorf("%s: %q", answer, got)
		}
	}
	for _, answer := range []string{"", "{", "}{", `{"queries": []}`, `["a"]`, `{"queries": [1]}`} {
		if got := plannedQueries(answer, "glow?", 3); got != nil {
			t.Errorf("%s: %q", answer, got)
		}
	}
}
