package sched

import (
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

// A reader goes on with the pieces that who ran a task last has yet, by the numbers that readers know: where they are all that
// follow, and of the run that it has read.
func TestFollow(t *testing.T) {
	t.Parallel()
	from := func(attempt, seq, n int, a *after) (all []outMsg) {
		for i := range n {
			all = append(all, piece(attempt, seq+i, a))
		}
		return all
	}
	for name, c := range map[string]struct {
		pieces []outMsg
		at     bus.Place
		before bus.NodeID
		want   string
		ok     bool
	}{
		"the rest":                     {from(1, 0, 4, nil), bus.PlaceAt(1, 2), "x", "1.2 1.3 ", true},
		"the rest, of which some":      {from(1, 2, 2, nil), bus.PlaceAt(1, 2), "x", "1.2 1.3 ", true},
		"who read it is not known":     {from(1, 0, 4, nil), bus.PlaceAt(1, 3), "", "1.3 ", true},
		"nothing":                      {from(1, 0, 4, nil), bus.PlaceAt(1, 4), "x", "", true},
		"none is kept":                 {nil, bus.PlaceAt(1, 2), "x", "", false},
		"the next is gone":             {from(1, 3, 2, nil), bus.PlaceAt(1, 2), "x", "", false},
		"another run was read":         {from(1, 0, 4, nil), bus.PlaceAt(1, 2), "y", "", false},
		"a later attempt, from anew":   {from(2, 0, 2, nil), bus.PlaceAt(1, 2), "x", "2.0 2.1 ", true},
		"its beginning is gone":        {from(2, 1, 2, nil), bus.PlaceAt(1, 2), "x", "", false},
		"a later attempt, continued":   {from(2, 0, 3, &after{1, 2}), bus.PlaceAt(1, 2), "x", "+x1.2 1.3 1.4 ", true},
		"in the midst of that":         {from(2, 0, 3, &after{1, 2}), bus.PlaceAt(1, 4), "y", "1.4 ", true},
		"what it continues is missing": {from(2, 0, 3, &after{1, 2}), bus.PlaceAt(1, 1), "x", "", false},
		"an earlier attempt":           {from(1, 0, 3, nil), bus.PlaceAt(2, 1), "y", "", false},
	} {
		next, ok := follow(c.pieces, c.at, c.before)
		if got := places(next); got != c.want || ok != c.ok {
			t.Errorf("%s: %q, %t, want %q, %t", name, got, ok, c.want, c.ok)
		}
		for _, n := range next {
			if n.Continues != nil && n.Continues.Lost != c.before {
				t.Errorf("%s: it goes on for %s", name, n.Continues.Lost)
			}
		}
	}
}
