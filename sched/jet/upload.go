package jet

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"sync"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
)

// uploadsMost is how many uploads to this node may be under way.
const uploadsMost = 256

// upload is a blob that another node sends, piece after piece.
type upload struct {
	mu   sync.Mutex // one piece at a time
	over bool

	id     sched.BlobID
	token  string
	memory bool // it goes there, and not to disk
	next   int64
	sum    hash.Hash
	file   *part
	data   []byte      // in memory
	idle   *time.Timer // nil before it has begun
}

// receive takes one piece of an upload, and answers for the last once the whole is kept.
func (b *blobs) receive(id sched.BlobID, token string, memory bool, offset int64, data []byte) error {
	u, err := b.uploadOf(id, token, memory, offset)
	if err != nil {
		return err
	}
	defer u.mu.Unlock()
	if u.over || u.id != id || u.next != offset || u.next+int64(len(data)) > id.Size || len(data) == 0 {
		return bus.Errorf(bus.CodeInvalid, "a piece of %d bytes at %d, where %d is due of %d", len(data), offset, u.next, u.id.Size)
	}
	u.idle.Reset(blobIdle)
	_, _ = u.sum.Write(data) // never fails
	u.next += int64(len(data))
	if u.memory {
		u.data = append(u.data, data...)
	} else if err := u.file.write(data); err != nil {
		return errors.Join(err, b.end(u))
	}
	if u.next < id.Size {
		return nil
	}
	if hex.EncodeToString(u.sum.Sum(nil)) != id.SHA256 {
		return errors.Join(sched.ErrCorrupt, b.end(u))
	}
	return b.complete(u)
}

// uploadOf returns an upload with its mutex held. Its first piece begins it.
func (b *blobs) uploadOf(id sched.BlobID, token string, memory bool, offset int64) (*upload, error) {
	u, err := b.enter(id, token, memory, offset == 0)
	if err != nil {
		return nil, err
	}
	u.mu.Lock()
	switch {
	case u.idle != nil || u.over:
		return u, nil
	case u.memory:
		u.data = make([]byte, 0, u.id.Size)
	default:
		u.file, err = b.create(u.id)
	}
	u.idle = time.AfterFunc(blobIdle, func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		_ = b.end(u) // whoever sent it is gone
	})
	if err != nil {
		err = errors.Join(err, b.end(u))
		u.mu.Unlock()
		return nil, err
	}
	return u, nil
}

// enter returns an upload that is known, or one that is to begin.
func (b *blobs) enter(id sched.BlobID, token string, memory, begin bool) (*upload, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	u := b.uploads[token]
	switch {
	case u != nil:
		return u, nil
	case b.closed || !begin:
		return nil, bus.Errorf(bus.CodeUnavailable, "the upload is not known here: this node has started anew, or waited for too long")
	case len(b.uploads) >= uploadsMost:
		return nil, bus.Errorf(bus.CodeBusy, "%d uploads are under way here already", uploadsMost)
	}
	if memory {
		if err := b.reserve(id.Size); err != nil {
			return nil, err
		}
	}
	u = &upload{id: id, token: token, memory: memory, sum: sha256.New()}
	b.uploads[token] = u
	return u, nil
}

// complete makes a whole upload a blob. The caller holds the upload's mutex.
func (b *blobs) complete(u *upload) error {
	u.over = true
	u.idle.Stop()
	b.mu.Lock()
	delete(b.uploads, u.token)
	if u.memory {
		if _, has := b.memory[blobName(u.id)]; has {
			b.size -= u.id.Size
		} else {
			b.memory[blobName(u.id)] = memoryBlob{u.data, time.Now()}
		}
	}
	b.mu.Unlock()
	if u.memory {
		return nil
	}
	return u.file.finish(b.path(u.id))
}

// end gives an upload up, and deletes what there is of it. The caller holds its mutex.
func (b *blobs) end(u *upload) error {
	if u.over {
		return nil
	}
	u.over = true
	u.idle.Stop()
	b.mu.Lock()
	delete(b.uploads, u.token)
	if u.memory {
		b.size -= u.id.Size
	}
	b.mu.Unlock()
	if u.file == nil {
		return nil
	}
	return u.file.remove()
}
