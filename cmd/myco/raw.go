package main

import (
	"iter"

	"github.com/mycoswarm/mycoswarm/bus"
)

// raw prints the output of a task that is no inference: each piece as a line of JSON, and the
// result. With --json it is the task at its end, after the pieces if stream is set.
func (a *app) raw(chunks iter.Seq2[bus.Chunk, error], stream bool) error {
	for chunk, err := range chunks {
		switch {
		case err != nil:
			return err
		case chunk.End != nil && a.json:
			a.object(viewTask(*chunk.End))
		case chunk.End != nil:
			a.foreign(string(chunk.End.Result) + "\n")
			if chunk.End.Warning != "" {
				a.hint("warning: %s", chunk.End.Warning)
			}
		case a.json && stream:
			a.object(chunk)
		case !a.json:
			a.foreign(string(chunk.Data) + "\n")
		}
	}
	return nil
}
