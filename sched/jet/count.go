package jet

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/mycoswarm/mycoswarm/internal/atomicfile"
)

// counter keeps, in a file, how many messages the outboxes in this node's store hold: a store
// that comes back with a damaged block holds fewer, and says nothing of it. The file is not
// synced. It may tell too few, never too many while the machine stays up: a message is counted
// after it was stored, and taken off before it is deleted.
type counter struct {
	mu   sync.Mutex
	file *os.File
	n    int64
	from map[string]uint64 // by stream, the first sequence that was not loaded, or told of since; nil before Load
}

func openCounter(path string) (*counter, error) {
	if err := atomicfile.Regular(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open count of the outbox: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open count of the outbox: %w", err)
	}
	c := &counter{file: f}
	b, err := io.ReadAll(io.LimitReader(f, 32))
	if err == nil {
		c.n, err = strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	}
	if err != nil {
		c.n = 0 // a new file, or one cut short: nothing is known
	}
	return c, nil
}

// loaded sets the count to what was read back, and returns how many messages are missing: others
// are still there, but of an identity that is not this node's any more.
func (c *counter) loaded(n int, others int64, from map[string]uint64) (missing int64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	missing = max(0, c.n-int64(n)-others)
	c.n, c.from = int64(n), from
	return missing, c.write()
}

// stored counts message seq of a stream, unless it was counted before.
func (c *counter) stored(stream string, seq uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.from == nil || seq < c.from[stream] {
		return nil
	}
	c.n++
	c.from[stream] = seq + 1
	return c.write()
}

// next returns the first sequence of a stream that was not loaded, nor told of since. It is not known before Load.
func (c *counter) next(stream string) (seq uint64, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return max(c.from[stream], 1), c.from != nil
}

// caughtUp counts n messages of a stream that were read, up to sequence next.
func (c *counter) caughtUp(stream string, n int, next uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if next > c.from[stream] {
		c.from[stream] = next
	}
	c.n += int64(n)
	return c.write()
}

// add changes the count by d.
func (c *counter) add(d int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n += d
	return c.write()
}

func (c *counter) write() error {
	if _, err := c.file.WriteAt(fmt.Appendf(nil, "%020d\n", max(0, c.n)), 0); err != nil {
		return fmt.Errorf("write count of the outbox: %w", err)
	}
	return nil
}

func (c *counter) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.file.Close(); err != nil {
		return fmt.Errorf("close count of the outbox: %w", err)
	}
	return nil
}
