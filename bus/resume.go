package bus

import (
	"context"
	"encoding/json"
)

// Continues marks the chunk where another node goes on with an answer.
type Continues struct {
	// Attempt is the run that goes on. Chunk.Attempt stays what it was: it numbers the text.
	Attempt int `json:"attempt"`
	// Lost is the node that said what came before; empty where that is not known any more.
	Lost NodeID `json:"lost,omitempty"`
}

// Shown is the output of a task that its readers have, and whose worker was lost.
type Shown struct {
	// Chunks are all of it, in order, as they were emitted.
	Chunks []json.RawMessage
	// Continue tells that what is emitted from now on goes on behind Chunks. It is called before the
	// first emit, or not at all: then readers are told that the output begins anew.
	Continue func() error
}

// shownKey finds in a Handler's context what WithShown put there.
type shownKey struct{}

// WithShown returns a context whose handler's ShownOf calls get.
func WithShown(ctx context.Context, get func(context.Context) *Shown) context.Context {
	return context.WithValue(ctx, shownKey{}, get)
}

// ShownOf returns what readers of the running task have of an earlier attempt; nil where there is
// nothing, where it is not known, and outside a task. It asks the submitter, for a second at most.
func ShownOf(ctx context.Context) *Shown {
	if get, ok := ctx.Value(shownKey{}).(func(context.Context) *Shown); ok {
		return get(ctx)
	}
	return nil
}
