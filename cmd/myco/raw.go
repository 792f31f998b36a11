package main

import (
	"iter"

	"github.com/mycoswarm/mycoswarm/bus"
)

// raw prints the output of a task that is no inference: each piece as a line of JSON, and the
// result. With --json it is the task at its end, after the pieces where they are streamed.
func (p *printer) raw(chunks iter.Seq2[bus.Chunk, error]) error {
	for chunk, err := range chunks {
		if err != nil {
			return err
		}
		if chunk.Attempt > p.attempt {
			p.void(chunk)
		}
		switch end := chunk.End; {
		case end != nil && p.json:
			p.object(viewTask(*end))
			if p.stream {
				p.holed(end)
			}
		case end != nil:
			p.foreign(string(end.Result) + "\n")
			p.holed(end)
		case p.json && p.stream:
			p.object(chunk)
		case !p.json:
			p.begun = true
			p.foreign(string(chunk.Data) + "\n")
		}
	}
	return nil
}
