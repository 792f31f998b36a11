package daemon

import (
	"context"
	"sync"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
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
}

func (d *Daemon) startRoom(ctx context.Context, up *lifeline) error {
	d.room = &room{dir: d.cfg.DataDir, name: d.id.Name(), usage: node.DiskUsage}
	d.lookForRoom()
	up.run(ctx, "watch the disk", func(ctx context.Context) error {
		tick := time.NewTicker(roomEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
				d.lookForRoom()
			}
		}
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

// fits returns why the disk does not take size bytes more, beside its reserve.
func (r *room) fits(size int64) error {
	if err := r.check(); err != nil {
		return err
	}
	free, total, err := r.usage(r.dir)
	if err != nil {
		return nil //nolint:nilerr // not known: writing tells
	}
	if reserve := reserveOf(total); free < reserve+uint64(max(0, size)) {
		return bus.Errorf(bus.CodeNoSpace, "the disk of node %s does not take %d MiB: %d MiB are free under %s, and %d MiB are kept for what was accepted",
			r.name, size>>20, free>>20, r.dir, reserve>>20).WithHint("free some space there")
	}
	return nil
}

func reserveOf(total uint64) uint64 { return min(max(total/reservePart, reserveLeast), reserveMost) }

// look reads the disk. It has no room once less than the reserve is free, and again once a quarter
// more is.
func (r *room) look() error {
	free, total, err := r.usage(r.dir)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		return r.full // not known: nothing changes
	}
	reserve := reserveOf(total)
	if r.full != nil && free < reserve+reserve/4 || free < reserve {
		r.full = bus.Errorf(bus.CodeNoSpace, "the disk of node %s is nearly full: %d MiB are free under %s, and %d MiB are kept for what was accepted",
			r.name, free>>20, r.dir, reserve>>20).WithHint("free some space there: it goes on by itself")
	} else {
		r.full = nil
	}
	return r.full
}
