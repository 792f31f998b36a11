package daemon

import (
	"context"
	"sync"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/protect"
	"github.com/mycoswarm/mycoswarm/internal/rhythm"
	"github.com/mycoswarm/mycoswarm/node"
)

const (
	// roomEvery is how often the disk is looked at: what fills it is seen well within a second.
	roomEvery = 250 * time.Millisecond
	// Of the disk with the store, one part in reservePart stays free, within these bounds: room for
	// the ends of what was accepted. JetStream (nats-server 2.15.2) does not recover from a full disk
	// until it is started again.
	reservePart  = 20
	reserveLeast = 8 << 20
	reserveMost  = 1 << 30
)

// room tells whether the disk of the data directory takes more durable tasks.
type room struct {
	dir, name string
	usage     func(dir string) (free, total uint64, err error)

	mu   sync.Mutex
	full error
	// free is what was free at the last look; taken is what may not be in it: what is being written,
	// and what was written since that look began, which is written.
	free, reserve  uint64
	taken, written uint64
}

func (d *Daemon) startRoom(ctx context.Context, up *lifeline) error {
	d.room = &room{dir: d.cfg.DataDir, name: d.id.Name(), usage: node.DiskUsage}
	d.lookForRoom()
	up.run(ctx, "watch the disk", func(ctx context.Context) error {
		rhythm.Each(ctx, d.began, roomEvery, func(time.Time) { d.lookForRoom() })
		return nil
	})
	return nil
}

// lookForRoom looks at the disk, and says so where its state changes.
func (d *Daemon) lookForRoom() {
	was := d.room.check()
	switch is := d.room.look(); {
	case is != nil && was == nil:
		d.log.Warn("the disk takes no more durable tasks", "err", is)
	case is == nil && was != nil:
		d.log.Info("the disk takes durable tasks again", "dir", d.room.dir)
	}
}

// check returns why there is no room, as last seen.
func (r *room) check() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.full
}

// disk is check, with the bytes that were free at the last look.
func (r *room) disk() (free uint64, full error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.free, r.full
}

func reserveOf(total uint64) uint64 { return min(max(total/reservePart, reserveLeast), reserveMost) }

// look reads the disk. It has no room once less than the reserve is free, and again once a quarter
// more is.
func (r *room) look() error {
	r.mu.Lock()
	before := r.written
	r.mu.Unlock()
	free, total, err := r.usage(r.dir)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		return r.full // not known: nothing changes
	}
	r.taken -= before // it is in what the disk tells now
	r.written -= before
	r.free, r.reserve = free, reserveOf(total)
	need := r.reserve
	if r.full != nil {
		need += r.reserve / 4
	}
	if r.left() < need && !protect.Room.Off() {
		r.full = r.error()
	} else {
		r.full = nil
	}
	return r.full
}

// take sets bytes of the disk aside for what is about to be written, so that no rate of writing passes
// the reserve between two looks. release tells that it is written, or will not be. Where they do not
// fit, the disk is full, and release is nil.
func (r *room) take(bytes int) (release func(), err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.full == nil && r.left() < r.reserve+uint64(bytes) && !protect.Room.Off() {
		r.full = r.error()
	}
	if r.full != nil {
		return nil, r.full
	}
	r.taken += uint64(bytes)
	return sync.OnceFunc(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.written += uint64(bytes)
	}), nil
}

// takeLarge is take for large content, which is written piece by piece: release tells of bytes that are
// written, or will not be, and is called until that is all. Where they do not fit, others may: the disk
// is not full.
func (r *room) takeLarge(bytes int64) (release func(bytes int64), err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	left := uint64(max(0, bytes))
	switch {
	case r.full != nil:
		return nil, r.full
	case r.left() < r.reserve+left && !protect.Room.Off():
		return nil, bus.Errorf(bus.CodeNoSpace, "the disk of node %s does not take %d MiB: %d MiB are free under %s, and %d MiB are kept for what was accepted",
			r.name, bytes>>20, r.left()>>20, r.dir, r.reserve>>20).WithHint("free some space there")
	}
	r.taken += left
	return func(bytes int64) {
		r.mu.Lock()
		defer r.mu.Unlock()
		n := min(left, uint64(max(0, bytes)))
		left -= n
		r.written += n
	}, nil
}

// left is what is free at least. The caller holds mu.
func (r *room) left() uint64 { return r.free - min(r.free, r.taken) }

func (r *room) error() error {
	return bus.Errorf(bus.CodeNoSpace, "the disk of node %s is nearly full: %d MiB are free under %s, and %d MiB are kept for what was accepted",
		r.name, r.left()>>20, r.dir, r.reserve>>20).WithHint("free some space there: it goes on by itself")
}
