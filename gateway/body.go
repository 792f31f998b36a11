package gateway

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"slices"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/protect"
)

const (
	// maxBody bounds a request: a task with its payload, and the JSON around it.
	maxBody = bus.MaxPayload + 64<<10
	// bodyLimit is how long a client may take to send a request's body, and bodyStep how much longer
	// for each step of it.
	bodyLimit = time.Minute
	bodyStep  = 4 * time.Second
	// step is how many bytes are counted at a time. A request that is no longer is not counted.
	step = 1 << 20
	// bodyRoom bounds the bodies of all requests that are worked on, and the large results that answer
	// them, in steps.
	bodyRoom = 512
)

// body is a request's body, as it comes: within maxBody, bodyLimit and bodyRoom.
type body struct {
	in      io.ReadCloser
	control *http.ResponseController
	room    *semaphore.Weighted
	start   time.Time
	read    int64
	held    int64 // steps of room
	err     error // why it ends early
}

// limitBody replaces a request's body by one within the limits. done gives its room back.
func (g *Gateway) limitBody(w http.ResponseWriter, r *http.Request) (done func(), err error) {
	most := int64(maxBody)
	if protect.BodySize.Off() {
		most = math.MaxInt64
	}
	if r.ContentLength > most {
		return nil, bus.TooLarge("request", r.ContentLength) // and what comes is not waited for
	}
	b := &body{in: http.MaxBytesReader(w, r.Body, most), control: http.NewResponseController(w), room: g.room}
	r.Body = b
	return func() { b.room.Release(b.held) }, nil
}

// limitRest limits the time of a body that nobody may read: the server waits for one before the next
// request. Who reads it sets the limit again, and lifts it.
func limitRest(w http.ResponseWriter, r *http.Request) {
	if r.Body == nil || r.Body == http.NoBody || protect.SlowClients.Off() {
		return
	}
	// What does not support it has no limit: a recorder in a test.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyLimit))
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if b.start.IsZero() {
		b.start = time.Now()
		if err := b.deadline(b.start.Add(bodyLimit)); err != nil {
			return 0, err
		}
	}
	n, err := b.in.Read(p)
	b.read += int64(n)
	for (b.held+1)*step < b.read {
		if !b.room.TryAcquire(1) {
			b.err = bus.Errorf(bus.CodeBusy, "%d MiB of large requests are being worked on already", bodyRoom)
			return 0, b.err
		}
		b.held++
		if err := b.deadline(b.start.Add(bodyLimit + time.Duration(b.held)*bodyStep)); err != nil {
			return 0, err
		}
	}
	b.err = readError(err)
	return n, b.err
}

// all reads the body to its end, whose length is what the client tells; -1 if it tells none. What has come is copied
// seldom, and in steps: a copy into fresh memory takes a second or more on some machines where it is 256 MiB long, and a
// process whose garbage is collected meanwhile waits for it, its heartbeats too.
func (b *body) all(length int64) ([]byte, error) {
	data := make([]byte, 0, max(512, min(length+1, 64<<10)))
	for {
		if len(data) == cap(data) {
			size := 4 * cap(data)
			if size > step && int64(len(data)) < length { // who has sent so much means what it tells
				size = int(length) + 1
			}
			data = grown(data, size)
		}
		n, err := b.Read(data[len(data):min(cap(data), len(data)+step)])
		data = data[:len(data)+n]
		if err == io.EOF { //nolint:errorlint // an io.Reader returns it as it is
			return data, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// grown returns data with room for size bytes, copied in steps between which the scheduler may stop it.
func grown(data []byte, size int) []byte {
	to := make([]byte, 0, size)
	for piece := range slices.Chunk(data, step) {
		to = append(to, piece...)
	}
	return to
}

// readError tells why a body ends early; io.EOF and nil are as they are.
func readError(err error) error {
	_, long := errors.AsType[*http.MaxBytesError](err)
	switch {
	case err == nil, err == io.EOF: //nolint:errorlint // an io.Reader returns it as it is
		return err
	case long:
		return bus.TooLarge("request", 0)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return bus.Errorf(bus.CodeInvalid, "the request comes too slowly: it has %v, and %v more for each MiB", bodyLimit, bodyStep)
	}
	return bus.Errorf(bus.CodeInvalid, "read the request: %w", err)
}

// answered counts a result of size bytes in place of the request, which is over.
func (b *body) answered(size int64) error {
	b.room.Release(b.held)
	b.held = 0
	steps := (size + step - 1) / step
	if !b.room.TryAcquire(steps) {
		return bus.Errorf(bus.CodeBusy, "%d MiB of large requests and results are being worked on already", bodyRoom)
	}
	b.held = steps
	return nil
}

// Close implements io.Closer.
func (b *body) Close() error { return b.in.Close() }

// whole lifts the limit of time: one that stayed would end the request's context while its task runs.
func (b *body) whole() error { return b.deadline(time.Time{}) }

func (b *body) deadline(t time.Time) error {
	if err := b.control.SetReadDeadline(t); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("limit the time of a request: %w", err)
	}
	return nil
}
