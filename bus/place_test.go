package bus_test

import (
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

// The end of an output warns who has a part of it, and not all.
func TestPlaceWarns(t *testing.T) {
	t.Parallel()
	piece := func(attempt, seq int) bus.Chunk { return bus.Chunk{Attempt: attempt, Seq: seq} }
	end := func(attempt, seq int) bus.Chunk { return bus.Chunk{Attempt: attempt, Seq: seq, End: &bus.TaskInfo{}} }
	for name, c := range map[string]struct {
		at    bus.Place
		reads []bus.Chunk
		want  string
	}{
		"whole":                  {bus.Place{}, []bus.Chunk{piece(1, 0), piece(1, 1), end(1, 2)}, ""},
		"a hole":                 {bus.Place{}, []bus.Chunk{piece(1, 0), piece(1, 3), end(1, 4)}, "2 of 4 pieces of the output are missing"},
		"its end":                {bus.Place{}, []bus.Chunk{piece(1, 0), end(1, 2)}, "1 of 2 pieces of the output are missing"},
		"its beginning":          {bus.Place{}, []bus.Chunk{piece(1, 1), end(1, 2)}, "1 of 2 pieces of the output are missing"},
		"none came":              {bus.Place{}, []bus.Chunk{end(1, 2)}, ""},
		"the rest":               {bus.PlaceAt(1, 1), []bus.Chunk{piece(1, 1), end(1, 2)}, ""},
		"not the rest":           {bus.PlaceAt(1, 1), []bus.Chunk{end(1, 2)}, "1 of 2 pieces of the output are missing"},
		"the rest of any":        {bus.PlaceAt(0, 5), []bus.Chunk{piece(1, 5), end(1, 6)}, ""},
		"not the rest of any":    {bus.PlaceAt(0, 5), []bus.Chunk{piece(1, 7), end(1, 8)}, "2 of 8 pieces of the output are missing"},
		"more than was asked":    {bus.PlaceAt(0, 5), []bus.Chunk{piece(1, 0), piece(1, 1), end(1, 2)}, ""},
		"a hole in what is void": {bus.Place{}, []bus.Chunk{piece(1, 1), piece(2, 0), end(2, 1)}, ""},
		"all of it is void":      {bus.PlaceAt(1, 3), []bus.Chunk{end(2, 5)}, ""},
		"a node of before":       {bus.PlaceAt(1, 3), []bus.Chunk{end(1, 0)}, ""},
	} {
		given := c.reads[len(c.reads)-1].End
		var got bus.Chunk
		for _, r := range c.reads {
			got = c.at.Read(r)
		}
		if got.End.Warning != c.want || given.Warning != "" {
			t.Errorf("%s: warned %q, want %q; what others read warns %q", name, got.End.Warning, c.want, given.Warning)
		}
	}
}
