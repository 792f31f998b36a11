package jet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/atomicfile"
	"github.com/mycoswarm/mycoswarm/sched"
)

const (
	// partPrefix begins the name of a file that is not whole yet. No task id holds a dot.
	partPrefix = "part."
	// syncEvery is how many bytes of a blob are written between two syncs: the last is then quick.
	syncEvery = 16 << 20
	// blobMemory bounds, in bytes, the blobs in memory: the payloads of open attached tasks, and the
	// results of those that have ended.
	blobMemory = 2 * bus.MaxPayload
)

// blobs are the large payloads and results that this node has: files in one folder, each written
// beside, synced, and then given its name; and some in memory.
type blobs struct {
	dir  string
	take func(size int64) (release func(bytes int64), err error)
	sub  *nats.Subscription

	calls chan struct{} // of requests that are being answered from the disk
	wg    sync.WaitGroup

	mu      sync.Mutex // not held while the disk is used: what is in memory does not wait for that
	closed  bool
	waiting int // requests that have calls, or wait for it
	memory  map[string]memoryBlob
	size    int64 // of memory, and of what is on its way there
	uploads map[string]*upload
}

type memoryBlob struct {
	data []byte
	at   time.Time
}

// openBlobs makes the folder, and deletes what the last process left unfinished.
func openBlobs(dir string, take func(int64) (func(int64), error)) (*blobs, error) {
	if take == nil {
		take = func(int64) (func(int64), error) { return func(int64) {}, nil }
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of blobs: %w", err)
	}
	parts, err := filepath.Glob(filepath.Join(dir, partPrefix+"*"))
	for _, p := range parts {
		err = errors.Join(err, atomicfile.Remove(p))
	}
	if err != nil {
		return nil, fmt.Errorf("delete unfinished blobs: %w", err)
	}
	return &blobs{dir: dir, take: take, calls: make(chan struct{}, blobCalls), memory: map[string]memoryBlob{}, uploads: map[string]*upload{}}, nil
}

// run calls f in a goroutine of its own, and where it uses the disk once fewer than blobCalls do. It reports false where too
// many wait for that.
func (b *blobs) run(disk bool, f func()) (ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return true // nobody is answered any more
	case !disk:
		b.wg.Go(f)
		return true
	case b.waiting >= blobCalls+blobWaits:
		return false
	}
	b.waiting++
	b.wg.Go(func() {
		b.calls <- struct{}{}
		f()
		<-b.calls
		b.mu.Lock()
		defer b.mu.Unlock()
		b.waiting--
	})
	return true
}

// remembers reports whether the blob of that name is in memory.
func (b *blobs) remembers(name string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, ok := b.memory[name]
	return ok
}

// close ends what is under way; uploads leave nothing behind.
func (b *blobs) close() error {
	if b.sub != nil {
		stopper(b.sub)()
	}
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.wg.Wait()
	b.mu.Lock()
	left := slices.Collect(maps.Values(b.uploads))
	b.mu.Unlock()
	var err error
	for _, u := range left {
		u.mu.Lock()
		err = errors.Join(err, b.end(u))
		u.mu.Unlock()
	}
	return err
}

func (b *blobs) path(id sched.BlobID) string { return filepath.Join(b.dir, blobName(id)) }

// write puts a blob on disk.
func (b *blobs) write(ctx context.Context, id sched.BlobID, data []byte) error {
	p, err := b.create(id)
	if err != nil {
		return err
	}
	for from := 0; from < len(data) && err == nil; from += syncEvery {
		if err = context.Cause(ctx); err == nil {
			err = p.write(data[from:min(from+syncEvery, len(data))])
		}
	}
	if err != nil {
		return errors.Join(err, p.remove())
	}
	return p.finish(b.path(id))
}

// part is a file that is being written.
type part struct {
	*os.File
	size, synced int64
	whole        int64             // the room set aside for it
	release      func(bytes int64) // of that
}

func (b *blobs) create(id sched.BlobID) (*part, error) {
	release, err := b.take(id.Size)
	if err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(b.dir, partPrefix+"*")
	if err != nil {
		release(id.Size)
		return nil, err
	}
	return &part{File: f, whole: id.Size, release: release}, nil
}

func (p *part) write(data []byte) error {
	n, err := p.Write(data)
	if p.size += int64(n); err == nil && p.size-p.synced >= syncEvery {
		if err = p.Sync(); err == nil {
			p.release(p.size - p.synced) // the disk tells of it
			p.synced = p.size
		}
	}
	return err
}

// settle releases what room is left.
func (p *part) settle() {
	p.release(p.whole - p.synced)
	p.synced = p.whole
}

func (p *part) remove() error {
	defer p.settle()
	return errors.Join(p.Close(), atomicfile.Remove(p.Name()))
}

// finish gives the file its name, on disk when it returns.
func (p *part) finish(path string) error {
	defer p.settle()
	if err := p.Sync(); err != nil {
		return errors.Join(err, p.remove())
	}
	if err := p.Close(); err != nil {
		return errors.Join(err, atomicfile.Remove(p.Name()))
	}
	return atomicfile.Replace(p.Name(), path)
}

// remember puts a blob in memory.
func (b *blobs) remember(id sched.BlobID, data []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, has := b.memory[blobName(id)]; has {
		return nil
	}
	if err := b.reserve(id.Size); err != nil {
		return err
	}
	b.memory[blobName(id)] = memoryBlob{data, time.Now()}
	return nil
}

// reserve counts size bytes of memory. The caller holds mu.
func (b *blobs) reserve(size int64) error {
	if b.size+size > blobMemory {
		return bus.Errorf(bus.CodeBusy, "%d MiB of large content are in memory already: the limit is %d MiB", b.size>>20, int64(blobMemory)>>20)
	}
	b.size += size
	return nil
}

func (b *blobs) recall(id sched.BlobID) ([]byte, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	m, ok := b.memory[blobName(id)]
	return m.data, ok
}

func (b *blobs) has(id sched.BlobID) error {
	if _, ok := b.recall(id); ok {
		return nil
	}
	info, err := os.Stat(b.path(id))
	if err == nil && info.Size() != id.Size {
		return fmt.Errorf("%w whole: it has %d bytes, want %d", sched.ErrNotFound, info.Size(), id.Size)
	}
	return notFound(err, fs.ErrNotExist)
}

func (b *blobs) read(id sched.BlobID) ([]byte, error) {
	if data, ok := b.recall(id); ok {
		if int64(len(data)) != id.Size {
			return nil, fmt.Errorf("%w: it has %d bytes, want %d", sched.ErrCorrupt, len(data), id.Size)
		}
		return data, nil
	}
	info, err := os.Stat(b.path(id))
	if err != nil {
		return nil, notFound(err, fs.ErrNotExist)
	}
	if info.Size() != id.Size { // it is not read: room was made for a blob of that size
		return nil, fmt.Errorf("%w: it has %d bytes, want %d", sched.ErrCorrupt, info.Size(), id.Size)
	}
	data, err := os.ReadFile(b.path(id))
	if err != nil {
		return nil, notFound(err, fs.ErrNotExist)
	}
	return data, checkBlob(id, data)
}

// piece returns what begins at offset. Its reader checks the whole.
func (b *blobs) piece(id sched.BlobID, offset int64) ([]byte, error) {
	if data, ok := b.recall(id); ok {
		from := min(offset, int64(len(data)))
		return data[from:min(from+bus.BlobPiece, int64(len(data)))], nil
	}
	f, err := os.Open(b.path(id))
	if err != nil {
		return nil, notFound(err, fs.ErrNotExist)
	}
	defer f.Close()
	data := make([]byte, bus.BlobPiece)
	n, err := f.ReadAt(data, offset)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return data[:n], err
}

func (b *blobs) list() ([]sched.HeldBlob, error) {
	var out []sched.HeldBlob
	b.mu.Lock()
	for name, m := range b.memory {
		if id, err := parseBlobName(name); err == nil {
			id.Size = int64(len(m.data))
			out = append(out, sched.HeldBlob{BlobID: id, Memory: true, At: m.at})
		}
	}
	b.mu.Unlock()
	files, err := os.ReadDir(b.dir)
	if err != nil {
		return nil, fmt.Errorf("list the blobs: %w", err)
	}
	for _, f := range files {
		id, err := parseBlobName(f.Name())
		if err != nil || strings.HasPrefix(f.Name(), partPrefix) {
			continue
		}
		info, err := f.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("list the blobs: %w", err)
		}
		id.Size = info.Size()
		out = append(out, sched.HeldBlob{BlobID: id, At: info.ModTime()})
	}
	return out, nil
}

func (b *blobs) drop(id sched.BlobID) error {
	b.mu.Lock()
	if m, ok := b.memory[blobName(id)]; ok {
		b.size -= int64(len(m.data))
		delete(b.memory, blobName(id))
	}
	b.mu.Unlock()
	if err := atomicfile.Remove(b.path(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete a blob: %w", err)
	}
	return nil
}
