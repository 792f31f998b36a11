package bus

import "fmt"

// Place is where a reader is in the output of a task, and how much of that it has missed. The zero Place is the beginning.
type Place struct {
	// Attempt is the one that is read, and Next the number of the chunk that is due.
	Attempt, Next int

	some   bool // there is something before Next that the reader has
	missed int  // chunks of Attempt
}

// PlaceAt is where a reader is that has the chunks before from of an attempt; where that is 0, of the first that it reads.
func PlaceAt(attempt, from int) Place { return Place{Attempt: attempt, Next: from, some: from > 0} }

// Read notes that c was read, and returns it. Where c is the end of an output of which the reader has a part, and not all, the
// End that is returned warns of that, in a copy.
func (p *Place) Read(c Chunk) Chunk {
	if p.Attempt == 0 { // its reader did not know which: Next is in the one that comes
		p.Attempt = c.Attempt
	}
	if c.Attempt > p.Attempt { // what was read before is void
		*p = Place{Attempt: c.Attempt}
	}
	p.missed += max(0, c.Seq-p.Next)
	if c.End == nil {
		p.Next, p.some = c.Seq+1, true
		return c
	}
	if p.some && p.missed > 0 && c.End.Warning == "" {
		end := *c.End
		end.Warning = fmt.Sprintf("%d of %d pieces of the output are missing", p.missed, c.Seq)
		c.End = &end
	}
	return c
}

// Skips reports whether something is missing before c.
func (p *Place) Skips(c Chunk) bool {
	if c.Attempt > p.Attempt && p.Attempt > 0 {
		return c.End == nil && c.Seq > 0
	}
	return c.Attempt >= p.Attempt && c.Seq > p.Next
}
