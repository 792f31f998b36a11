package jet

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
)

const (
	// missedLimit is how long it may take to read what a watch has missed: as much as may wait for it is much.
	missedLimit = 30 * time.Second
	// againAfter is how long a watch waits after it could not.
	againAfter = time.Second
	// pauseTimes is for how many times as long as it took in vain a stream is not read again: what the others tell waits
	// meanwhile, for 30 s where one hangs. It is for as long as a read may take, at most.
	pauseTimes = 4
)

// watched hands on, one at a time, what this node's store has stored. The store tells of it once, and cuts the connection where
// 64 MiB wait there, as they may once a slow disk has written much at once: what was missed is read from the store.
type watched struct {
	o   outboxes
	ctx context.Context // until the watch is stopped

	mu    sync.Mutex
	fn    func(sched.Kept)
	vain  map[string]vain // by stream
	limit time.Duration   // missedLimit, but for tests
}

// vain is a try to read a stream that failed.
type vain struct {
	err   error
	until time.Time // it is not tried again
}

// Watch calls fn for each message that this node's store has stored, one at a time. After Load it misses none of those that
// came after.
func (o outboxes) Watch(fn func(sched.Kept)) (func(), error) {
	w, cancel := o.watched(fn)
	sub, err := o.watch(bus.SubjectKept(o.cfg.Node, ""), w.hear)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("watch outboxes: %w", err)
	}
	nc := o.store.nc
	changes := nc.StatusChanged(nats.CONNECTED, nats.CLOSED)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-w.ctx.Done():
				return
			case s := <-changes:
				if s != nats.CONNECTED {
					return
				}
				w.rejoin()
			}
		}
	})
	return func() {
		cancel()
		stopper(sub)()
		wg.Wait()
		nc.RemoveStatusListener(changes)
	}, nil
}

// watched returns what takes in messages until cancel is called.
func (o outboxes) watched(fn func(sched.Kept)) (w *watched, cancel context.CancelFunc) {
	w = &watched{o: o, fn: fn, vain: map[string]vain{}, limit: missedLimit}
	w.ctx, cancel = context.WithCancel(context.Background())
	return w, cancel
}

// hear takes in one message that the store tells of.
func (w *watched) hear(rest string, m *nats.Msg) error {
	k, err := parseKept(rest, m)
	if err != nil {
		return err
	}
	seq, err := strconv.ParseUint(m.Header.Get(jetstream.SequenceHeader), 10, 64)
	if err != nil {
		return fmt.Errorf("parse sequence: %w", err)
	}
	stream := m.Header.Get(jetstream.StreamHeader)
	w.mu.Lock()
	defer w.mu.Unlock()
	if next, known := w.o.count.next(stream); known && seq > next {
		if err := w.catchUp(stream); err != nil {
			w.fn(k) // with the next one those before it are looked for again
			if w.ctx.Err() != nil {
				return nil // the daemon stops, and its next start reads all
			}
			return err
		}
		return nil // it was among them, or is deleted already
	}
	w.fn(k)
	return w.o.count.stored(stream, seq)
}

// rejoin takes in what was stored while the connection was cut.
func (w *watched) rejoin() {
	for w.o.store.nc.IsConnected() {
		err := w.catchUpAll()
		if err == nil || w.ctx.Err() != nil {
			return
		}
		w.o.refusals.Do("missed "+err.Error(), func() { w.o.log.Warn("read what the own store did not tell of", "error", err) })
		select {
		case <-time.After(againAfter):
		case <-w.ctx.Done():
			return
		}
	}
}

func (w *watched) catchUpAll() error {
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	streams, _, err := w.o.streams(ctx)
	if err != nil {
		return err
	}
	var failed []error // the others do not wait for a stream that cannot be read
	for _, s := range streams {
		if _, known := w.o.count.next(s); !known {
			return nil // Load reads all
		}
		w.mu.Lock()
		failed = append(failed, w.catchUp(s))
		w.mu.Unlock()
	}
	return errors.Join(failed...)
}

// catchUp hands on what a stream has that was not told of. The caller holds mu.
func (w *watched) catchUp(stream string) error {
	began := time.Now()
	if v := w.vain[stream]; began.Before(v.until) {
		return v.err
	}
	ctx, cancel := context.WithTimeout(w.ctx, w.limit)
	defer cancel()
	first, _ := w.o.count.next(stream)
	missed, next, err := w.o.loadStream(ctx, stream, nil, first)
	if err != nil {
		err = fmt.Errorf("read what was missed of %s: %w", stream, err)
		now := time.Now()
		w.vain[stream] = vain{err, now.Add(min(pauseTimes*now.Sub(began), w.limit))}
		return err
	}
	delete(w.vain, stream)
	for _, k := range missed {
		w.fn(k)
	}
	return w.o.count.caughtUp(stream, len(missed), next)
}
