package sched

import (
	"context"
	"errors"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// ErrCorrupt is a blob whose bytes are not those that its name tells.
var ErrCorrupt = errors.New("its bytes are not what was kept")

// BlobID names content over bus.MaxInline: the payload of a task, or a result of it.
type BlobID struct {
	Task bus.TaskID
	// Result tells a result from the payload.
	Result bool
	SHA256 string
	Size   int64
}

// Validate returns an Error with CodeInvalid for what names no file: others may have sent it. The
// size is not looked at.
func (id BlobID) Validate() error {
	if err := id.Task.Validate(); err != nil {
		return err
	}
	return bus.Blob{SHA256: id.SHA256, Size: 1}.Validate()
}

func blobID(task bus.TaskID, result bool, b *bus.Blob) BlobID {
	return BlobID{Task: task, Result: result, SHA256: b.SHA256, Size: b.Size}
}

// HeldBlob is a blob that this node has.
type HeldBlob struct {
	BlobID
	Memory bool
	// At is when it was kept, by this node's clock.
	At time.Time
}

// Blobs are the places for content over bus.MaxInline, on every node's disk and in its memory. A
// blob is there whole or not at all.
type Blobs interface {
	// PutBlob keeps data at a node: on its disk, synced when it returns, or in its memory until the
	// process ends. That the node has it already is no error. data must not be changed afterwards.
	PutBlob(ctx context.Context, at bus.NodeID, id BlobID, memory bool, data []byte) error
	// GetBlob returns a blob that a node has, and looks at each byte: ErrNotFound, ErrCorrupt.
	GetBlob(ctx context.Context, at bus.NodeID, id BlobID) ([]byte, error)
	// HasBlob asks a node for it, and looks at its size alone: ErrNotFound, where it is cut short too.
	HasBlob(ctx context.Context, at bus.NodeID, id BlobID) error
	// HeldBlobs returns what this node has.
	HeldBlobs() ([]HeldBlob, error)
	// DropBlob deletes it from this node's disk and memory. That it is not there is no error.
	DropBlob(id BlobID) error
}
