package gateway

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Headers of a streamed answer that had to wait: where its task stood in the queue, 1 for the next, and
// for about how many seconds it would wait, as known when the headers were sent.
const (
	headerPosition = "X-Myco-Queue-Position"
	headerWait     = "X-Myco-Queue-Wait"
)

const (
	waitsAfter = time.Second      // a streamed request is told that it waits
	waitsEvery = 10 * time.Second // and again, also when its answer pauses for so long, as where its worker was lost
)

// Queued is what a Swarm has beside that tells of tasks that wait: where one stands in the queue, and
// about how long it waits, 0 where that is not known. ok is false where it is in no queue.
type Queued interface {
	Queued(ctx context.Context, id bus.TaskID) (position int, wait time.Duration, ok bool)
}

// keepAlive returns r as a request whose client is told while its task waits. Server-sent events have
// comments for that. Lines of JSON have none, and their clients take the first line for the answer: they
// find the headers when it begins.
func (s *stream) keepAlive(r *http.Request) *http.Request {
	s.asked = time.Now()
	return r.WithContext(context.WithValue(r.Context(), waitKey{}, s.waiting))
}

// waits reports whether the client of a request is told while it waits.
func waits(r *http.Request) bool { return r.Context().Value(waitKey{}) != nil }

// waitKey finds in a request's context what keepAlive put there.
type waitKey struct{}

// waiting tells the client that its task waits at a position, or where that is 0 that it runs. Until a stream has begun an error
// may have a status of its own, so that a task that runs begins none, unless it takes long: programs and proxies on the way wait
// for the first byte for a minute or less, and a large model takes longer to load.
func (s *stream) waiting(position int, wait time.Duration) error {
	if !s.begun && position > 0 {
		s.w.Header().Set(headerPosition, strconv.Itoa(position))
		if wait > 0 {
			s.w.Header().Set(headerWait, strconv.Itoa(int(wait.Round(time.Second)/time.Second)))
		}
	}
	began, reading := s.asked, !s.reading.IsZero()
	if reading {
		began = s.reading
	}
	if s.media != eventStream || !s.begun && position == 0 && time.Since(began) <= waitsEvery {
		return nil
	}
	text := waitingText(position, wait)
	if reading && position == 0 {
		text = "reading a document"
	}
	s.begin("", false)
	_ = s.control.SetWriteDeadline(time.Now().Add(writeLimit)) // as in text
	if _, err := s.w.Write([]byte(": " + text + "\n\n")); err != nil {
		return bus.Errorf(bus.CodeCancelled, "tell that the answer waits: %w", err)
	}
	return s.control.Flush()
}

// waitingText is what a client is told whose task waits at a position, or where that is 0 runs.
func waitingText(position int, wait time.Duration) string {
	switch {
	case position == 0:
		return "working"
	case wait > 0:
		return fmt.Sprintf("waiting, %d in the queue, about %s", position, wait.Round(time.Second))
	}
	return fmt.Sprintf("waiting, %d in the queue", position)
}

// awaited is Swarm.Stream, and tells the client whenever its task waits.
func (g *Gateway) awaited(r *http.Request, t bus.Task, piece func(bus.Chunk) error) (info bus.TaskInfo, err error) {
	swarm, can := g.cfg.Swarm.(Queued)
	if !can || !waits(r) {
		return g.stream(r, t, piece)
	}
	if t.ID == "" {
		t.ID = bus.NewTaskID()
	}
	ctx, leave := context.WithCancel(r.Context())
	defer leave()
	at := func() (int, time.Duration) {
		position, wait, _ := swarm.Queued(ctx, t.ID)
		return position, wait
	}
	meanwhile(r, at, func(alone func(func() error) error) {
		info, err = g.stream(r, t, func(c bus.Chunk) error { return alone(func() error { return piece(c) }) })
	})
	return info, err
}

// meanwhile tells the client of a request, if it is to be told, that it waits for what do does: where in the queue, at tells. What
// writes to the client meanwhile does so alone, upon which the client hears nothing for a while.
func meanwhile(r *http.Request, at func() (int, time.Duration), do func(alone func(func() error) error)) {
	if !waits(r) {
		do(func(write func() error) error { return write() })
		return
	}
	tell := r.Context().Value(waitKey{}).(func(int, time.Duration) error)
	var mu sync.Mutex // of what is written, and of:
	var next *time.Timer
	over := false
	mu.Lock()
	next = time.AfterFunc(waitsAfter, func() {
		position, wait := at()
		mu.Lock()
		defer mu.Unlock()
		switch {
		case over:
		case tell(position, wait) != nil:
			over = true // the client has left: the task's end is not for here
		default:
			next.Reset(waitsEvery)
		}
	})
	mu.Unlock()
	defer func() { // also where do panics
		mu.Lock()
		defer mu.Unlock()
		over = true
		next.Stop()
	}()
	do(func(write func() error) error {
		mu.Lock()
		defer mu.Unlock()
		if !over {
			next.Reset(waitsEvery)
		}
		return write()
	})
}
