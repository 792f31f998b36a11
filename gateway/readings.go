package gateway

import (
	"context"
	"crypto/sha256"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

const (
	readFor  = time.Hour // that a text is kept, from when it was last wanted
	readMost = 64 << 20  // bytes of all
	readLong = 1000      // how many
)

// readings are the texts of documents that were read lately, and those that are being read: a conversation has its documents
// in each of its requests.
type readings struct {
	most int // bytes of all that are kept

	mu    sync.Mutex
	by    map[documentName]*reading
	order []*reading // of those that are kept, the least recently wanted first
	bytes int
}

// documentName is whose a document is, as Task.User, and all that decides its text. Nobody gets what was read for another, who
// would else hear by the time it takes that somebody has sent the same.
type documentName struct {
	user, name, media string
	batch             bool // for a batch, which may wait longer than who else has it read
	sum               [sha256.Size]byte
}

// reading is a document that is being read, or was. What it came to is there once done is closed.
type reading struct {
	name documentName
	done chan struct{}
	text string
	err  error
	left bool // who had it read has left, and it came to nothing
	used time.Time
}

// text returns what read says of a document, or has said. While one request has it read, others wait for that one.
func (k *readings) text(r *http.Request, name documentName, read func() (string, error)) (string, error) {
	ctx := r.Context()
	for {
		x, first := k.find(name)
		if first {
			return k.read(ctx, x, read)
		}
		meanwhile(r, func() (int, time.Duration) { return 0, 0 }, func(func(func() error) error) {
			select {
			case <-x.done:
			case <-ctx.Done():
			}
		})
		if ctx.Err() != nil {
			return "", bus.AsError(context.Cause(ctx))
		}
		if !x.left {
			return x.text, x.err
		}
	}
}

// find returns the reading of a document; where there is none, a new one that the caller is to read.
func (k *readings) find(name documentName) (x *reading, first bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.expire()
	if x = k.by[name]; x != nil {
		if at := slices.Index(k.order, x); at >= 0 {
			x.used, k.order = time.Now(), append(slices.Delete(k.order, at, at+1), x)
		}
		return x, false
	}
	if k.by == nil {
		k.by = map[documentName]*reading{}
	}
	x = &reading{name: name, done: make(chan struct{}), left: true}
	k.by[name] = x
	return x, true
}

// read has x read, and keeps its text.
func (k *readings) read(ctx context.Context, x *reading, read func() (string, error)) (string, error) {
	defer func() { // also where read panics
		k.keep(x)
		close(x.done)
	}()
	text, err := read()
	x.text, x.err, x.left = text, err, err != nil && ctx.Err() != nil
	return text, err
}

// keep keeps x where it has a text that is not too long, for which others give way: the least recently wanted of whose texts are
// the longest together. Else it is forgotten.
func (k *readings) keep(x *reading) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if x.left || x.err != nil || len(x.text) > k.most {
		delete(k.by, x.name)
		return
	}
	k.expire()
	for len(k.order) >= readLong || k.bytes+len(x.text) > k.most {
		old, _ := oldestOfMost(slices.Values(k.order), func(x *reading) (string, int) { return x.name.user, len(x.text) + readMost/readLong })
		k.drop(old)
	}
	x.used, k.order = time.Now(), append(k.order, x)
	k.bytes += len(x.text)
}

// expire drops what nobody has wanted for long. The caller holds mu.
func (k *readings) expire() {
	for len(k.order) > 0 && time.Since(k.order[0].used) > readFor {
		k.drop(k.order[0])
	}
}

// drop forgets one that is kept. The caller holds mu.
func (k *readings) drop(x *reading) {
	delete(k.by, x.name)
	k.order = slices.DeleteFunc(k.order, func(other *reading) bool { return other == x })
	k.bytes -= len(x.text)
}
