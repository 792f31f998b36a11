package sim

import (
	"bytes"
	"context"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
)

// blob is large content on a machine's disk, or in the memory of its process.
type blob struct {
	data []byte
	at   time.Time
}

func (p *proc) PutBlob(ctx context.Context, at bus.NodeID, id sched.BlobID, memory bool, data []byte) error {
	_, err := p.callWithin(ctx, blobPatience, at, Step{Op: "PutBlob", Task: id.Task}, func(m *Machine, now time.Time) (any, error) {
		to := m.blobs
		switch {
		case memory:
			to = m.proc.memory
		case m.full:
			return nil, errFull
		}
		to[id] = blob{data, now.Add(m.skew)}
		return nil, nil
	})
	return err
}

func (m *Machine) blob(id sched.BlobID) (blob, bool) {
	if b, ok := m.proc.memory[id]; ok {
		return b, true
	}
	b, ok := m.blobs[id]
	return b, ok
}

func (p *proc) GetBlob(ctx context.Context, at bus.NodeID, id sched.BlobID) ([]byte, error) {
	v, err := p.callWithin(ctx, blobPatience, at, Step{Op: "GetBlob", Task: id.Task}, func(m *Machine, _ time.Time) (any, error) {
		b, ok := m.blob(id)
		if !ok {
			return nil, sched.ErrNotFound
		}
		if !(bus.Blob{SHA256: id.SHA256, Size: id.Size}).Is(b.data) {
			return nil, sched.ErrCorrupt
		}
		return b.data, nil
	})
	data, _ := v.([]byte)
	return data, err
}

func (p *proc) HasBlob(ctx context.Context, at bus.NodeID, id sched.BlobID) error {
	_, err := p.callWithin(ctx, blobPatience, at, Step{Op: "HasBlob", Task: id.Task}, func(m *Machine, _ time.Time) (any, error) {
		if _, ok := m.blob(id); !ok {
			return nil, sched.ErrNotFound
		}
		return nil, nil
	})
	return err
}

func (p *proc) HeldBlobs() (out []sched.HeldBlob, err error) {
	err = p.do(Step{Op: "HeldBlobs"}, func() {
		for id, b := range p.memory {
			out = append(out, sched.HeldBlob{BlobID: id, Memory: true, At: b.at})
		}
		for id, b := range p.m.blobs {
			out = append(out, sched.HeldBlob{BlobID: id, At: b.at})
		}
	})
	return out, err
}

func (p *proc) DropBlob(id sched.BlobID) error {
	return p.do(Step{Op: "DropBlob", Task: id.Task}, func() {
		delete(p.memory, id)
		delete(p.m.blobs, id)
	})
}

// Blobs returns the large content on the machine's disk, whether its process lives or not.
func (m *Machine) Blobs() []sched.BlobID {
	m.net.mu.Lock()
	defer m.net.mu.Unlock()
	var out []sched.BlobID
	for id := range m.blobs {
		out = append(out, id)
	}
	return out
}

// FlipBlobs changes a byte of all large content on the machine's disk.
func (m *Machine) FlipBlobs() {
	m.net.mu.Lock()
	defer m.net.mu.Unlock()
	for id, b := range m.blobs {
		b.data = bytes.Clone(b.data)
		b.data[len(b.data)/2] ^= 1
		m.blobs[id] = b
	}
}
