package daemon

import (
	"context"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/protect"
)

// window holds output back that its reader has no room for: a slow reader delays its own stream, and
// nothing piles up on the way to it.
type window struct {
	limit int // bytes that may be under way; 0 means any number

	mu   sync.Mutex
	out  int           // bytes under way
	more chan struct{} // closed when some have arrived
}

// wait returns when n more bytes may be sent, and counts them as under way. While half of the limit
// is free anything may be sent, however large it is: a reader that has read everything may keep back
// the word of less than that (see bus.ReadAck).
func (w *window) wait(ctx context.Context, n int) error {
	for {
		w.mu.Lock()
		if w.limit == 0 || protect.Window.Off() || w.out <= w.limit/2 || w.out+n <= w.limit {
			w.out += n
			w.mu.Unlock()
			return nil
		}
		more := w.more
		w.mu.Unlock()
		select {
		case <-more:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// read counts n bytes as arrived.
func (w *window) read(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.out = max(0, w.out-max(0, n))
	close(w.more)
	w.more = make(chan struct{})
}

// openWindow makes a window, and the subject on which its reader tells what it has read; "" where
// there is no limit.
func (s *rpcServer) openWindow(limit int) (w *window, subject string, end func()) {
	w = &window{limit: max(0, limit), more: make(chan struct{})}
	if w.limit == 0 {
		return w, "", func() {}
	}
	token := nuid.Next()
	s.mu.Lock()
	s.windows[token] = w
	s.mu.Unlock()
	return w, bus.SubjectPayloadRPC(s.d.id.NodeID(), bus.VerbRead) + "." + token, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.windows, token)
	}
}

// onRead takes in what a client has read.
func (s *rpcServer) onRead(m *nats.Msg) {
	var ack bus.ReadAck
	if bus.Unmarshal(m.Data, &ack) != nil {
		return
	}
	s.mu.Lock()
	w := s.windows[m.Subject[strings.LastIndexByte(m.Subject, '.')+1:]]
	s.mu.Unlock()
	if w != nil {
		w.read(ack.Bytes)
	}
}
