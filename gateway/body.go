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
	// bodyRoom is the default of Config.BodyRoom, and its most, in steps.
	bodyRoom = 512
	// bodyShare is which part of a machine's memory bodies may take: each may be there a few times until its task is
	// handed over, and as much again is garbage by then.
	bodyShare = 16
)

// BodyRoom is the Config.BodyRoom for a machine with so many bytes of memory: a sixteenth of it, from 16 to 512 MiB.
func BodyRoom(memory int64) int64 { return min(max(memory/bodyShare, 16*step), bodyRoom*step) }

// body is a request's body, as it comes: within maxBody, bodyLimit and bodyRoom.
type body struct {
	in      io.ReadCloser
	control *http.ResponseController
	room    *room
	start   time.Time
	read    int64
	come    int64 // whole steps that were read before the present one
	held    int64 // steps of room, for what has come or is to come
	stays   bool  // it is needed until the answer ends, beside large results on the way to that
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
	b := &body{in: http.MaxBytesReader(unwrapped(w), r.Body, most), control: http.NewResponseController(w), room: g.room}
	r.Body = b
	return func() { b.room.release(b.held) }, nil
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
	for (b.come+1)*step < b.read {
		b.come++
		if err := b.hold(b.come); err != nil {
			return 0, err
		}
		if err := b.deadline(b.start.Add(bodyLimit + time.Duration(b.come)*bodyStep)); err != nil {
			return 0, err
		}
	}
	b.err = readError(err)
	return n, b.err
}

// hold takes steps of room, all together. Without them the body ends.
func (b *body) hold(steps int64) error {
	switch {
	case steps <= b.held:
	case b.room.change(b.held, steps):
		b.held = steps
	default:
		b.err = b.room.full()
		return b.err
	}
	return nil
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
				if err := b.hold((length - 1) / step); err != nil {
					b.drain()
					return nil, err
				}
			}
			data = grown(data, size)
		}
		n, err := b.Read(data[len(data):min(cap(data), len(data)+step)])
		data = data[:len(data)+n]
		if err == io.EOF { //nolint:errorlint // an io.Reader returns it as it is
			return data, nil
		}
		if err != nil {
			b.drain()
			return nil, err
		}
	}
}

// drain reads on where the node has no room, and keeps nothing: many clients do not look for an answer before they have sent
// all, and would hear of a broken connection where they are to hear that they may try again.
func (b *body) drain() {
	if errors.Is(b.err, &bus.Error{Code: bus.CodeBusy}) {
		b.discard()
	}
}

// discard reads the rest, within the limits, and keeps nothing.
func (b *body) discard() {
	if b.deadline(time.Now().Add(bodyLimit)) != nil {
		return
	}
	b.room.release(b.held)
	b.held = 0
	_, _ = io.Copy(io.Discard, b.in) // who does not send it all hears the same
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

// again is a body of size bytes of what was read, which holds no room yet.
func (b *body) again(size int64) *body {
	return &body{in: http.NoBody, control: b.control, room: b.room, read: size, come: max(0, size-1) / step}
}

// answered counts a result of size bytes in place of the last one and of the request, unless that stays.
func (b *body) answered(size int64) error {
	steps := (size + step - 1) / step
	if b.stays {
		steps += b.come
	}
	if !b.room.change(b.held, steps) {
		return b.room.full()
	}
	b.held = steps
	return nil
}

// grows counts n bytes that come to a request on the way to its answer, in place of the results that they are of; less than 0 are
// bytes that it needs no more.
func (b *body) grows(n int) error {
	come := (b.read + int64(n) - 1) / step
	if !b.room.change(b.held, come) {
		return b.room.full()
	}
	b.read, b.come, b.held = b.read+int64(n), come, come
	return nil
}

// readOn reads the rest of a request that is refused, of which so many bytes have come: who does not look for an answer before all is
// sent would hear of a broken connection. Who asks first whether to send it hears the answer instead, unless it was told to, and what
// is too large for its route is not waited for.
func readOn(r *http.Request, in io.Reader, come int64) {
	if most := mostOf(r); r.ContentLength <= most && (come > 0 || r.Header.Get("Expect") == "") {
		_, _ = io.CopyN(io.Discard, in, most-come)
	}
}

// mostOf is how many bytes the body of a request may have.
func mostOf(r *http.Request) int64 {
	if r.Pattern == sendFileRoute {
		return fileBody
	}
	return maxBody
}

// skipBody reads to its end what nobody wants to know of a request: it is held to the limits too.
func skipBody(r *http.Request) error {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return err
	}
	return r.Body.(*body).whole()
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
