package gateway

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"
)

// transcript is an answer as it is written, for who reads it meanwhile and for who reads it later. Its server-sent events
// are numbered from 1 on.
type transcript struct {
	// grow is told of so many bytes more; its error ends the writing.
	grow func(n int) error

	mu      sync.Mutex
	more    chan struct{} // closed once there is more to read than now
	status  int           // 0 before it is written
	header  http.Header
	written []byte
	ends    []int // where in written each event ends
	over    bool
}

func newTranscript(grow func(int) error) *transcript {
	return &transcript{grow: grow, more: make(chan struct{}), header: http.Header{}}
}

// change does what makes more of t to read.
func (t *transcript) change(do func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	do()
	close(t.more)
	t.more = make(chan struct{})
}

// end tells readers that nothing more comes.
func (t *transcript) end() { t.change(func() { t.over = true }) }

// position returns where in written the event after the last-th begins; ok is false where there is no last-th. rest tells whether
// there is, or will be, anything from there on.
func (t *transcript) position(last int) (from int, rest, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if last > len(t.ends) {
		return 0, false, false
	}
	if last > 0 {
		from = t.ends[last-1]
	}
	return from, !t.over || last < len(t.ends) || last == 0, true
}

// copyTo writes what t has from a byte on, and what comes, until its end or ctx's. begun tells whether there was anything.
func (t *transcript) copyTo(ctx context.Context, w http.ResponseWriter, from int) (begun bool, err error) {
	control := http.NewResponseController(w)
	defer func() { _ = control.SetWriteDeadline(time.Time{}) }() // as in stream.text
	for {
		t.mu.Lock()
		part, over, more, status := t.written[from:], t.over, t.more, t.status
		if !begun && status != 0 {
			maps.Copy(w.Header(), t.header) // nobody changes it any more
		}
		t.mu.Unlock()
		if !begun && status != 0 {
			w.WriteHeader(status)
			begun = true
		}
		for piece := range slices.Chunk(part, step) { // each has its time, as in writeAll
			if err := ctx.Err(); err != nil {
				return begun, err
			}
			_ = control.SetWriteDeadline(time.Now().Add(writeLimit))
			if _, err := w.Write(piece); err != nil {
				return begun, err
			}
		}
		from += len(part)
		if begun && !over {
			if err := control.Flush(); err != nil {
				return begun, err
			}
		}
		if over {
			return begun, nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return begun, ctx.Err()
		}
	}
}

// scribe writes a transcript as the response to a request, whose connection is no part of it: it may end before.
type scribe struct {
	*transcript
	conn   http.ResponseWriter
	header http.Header
	// code and sent are what is told with the first that is written: where there is no room for that, there is another answer.
	code int
	sent http.Header
	full error // why something was not written
}

// Header implements http.ResponseWriter.
func (s *scribe) Header() http.Header { return s.header }

// WriteHeader implements http.ResponseWriter.
func (s *scribe) WriteHeader(status int) {
	if s.code == 0 {
		s.code, s.sent = status, s.header.Clone()
	}
}

// begin tells the status and the header, once.
func (s *scribe) begin() {
	if s.status == 0 {
		s.status, s.transcript.header = s.code, s.sent
	}
}

// whole tells the status where there is nothing else.
func (s *scribe) whole() {
	if s.code != 0 && s.full == nil {
		s.change(s.begin)
	}
}

// Write implements http.ResponseWriter. An event, which comes whole, gets its number.
func (s *scribe) Write(p []byte) (int, error) {
	s.WriteHeader(http.StatusOK)
	id := ""
	if s.header.Get("Content-Type") == eventStream && !bytes.HasPrefix(p, []byte(":")) { // what is no comment
		id = fmt.Sprintf("id: %d\n", len(s.ends)+1)
	}
	if err := s.grow(len(id) + len(p)); err != nil {
		s.full = err
		return 0, err
	}
	s.change(func() {
		s.begin()
		s.written = append(append(s.written, id...), p...)
		if id != "" {
			s.ends = append(s.ends, len(s.written))
		}
	})
	return len(p), nil
}

// FlushError is for http.ResponseController: who reads is told of each piece.
func (s *scribe) FlushError() error { return nil }

// SetWriteDeadline is for http.ResponseController: a transcript waits for nobody.
func (s *scribe) SetWriteDeadline(time.Time) error { return nil }

// Unwrap is for http.ResponseController: the rest of the request is read from the connection.
func (s *scribe) Unwrap() http.ResponseWriter { return s.conn }
