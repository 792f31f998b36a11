package plugin

import (
	"bytes"
	"strings"
	"sync"
)

const (
	// maxSaid is how much of what a program wrote to standard error at last is told in an error, in bytes.
	maxSaid = 1 << 10
	// maxLogged is how many lines of standard error go to the log while one task runs.
	maxLogged = 200
)

// tail is what a program writes to standard error: lines for the log, and the last of it for an error.
type tail struct {
	h *Handler

	mu     sync.Mutex
	buf    []byte
	logged int
	part   []byte
}

// Write implements io.Writer.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b...)
	t.buf = t.buf[max(0, len(t.buf)-maxSaid):]
	t.part = append(t.part, b...)
	for {
		l, rest, ok := bytes.Cut(t.part, []byte("\n"))
		if !ok {
			break
		}
		t.log(l)
		t.part = rest
	}
	if len(t.part) > maxSaid {
		t.log(t.part)
		t.part = nil
	}
	return len(b), nil
}

func (t *tail) log(l []byte) {
	switch t.logged++; {
	case t.logged < maxLogged:
		t.h.cfg.Log.Info("a plugin says", "plugin", t.h.Name, "line", string(l[:min(len(l), maxSaid)]))
	case t.logged == maxLogged:
		t.h.cfg.Log.Info("a plugin says more than is logged", "plugin", t.h.Name, "lines", maxLogged)
	}
}

func (t *tail) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf, t.logged = nil, 0
}

func (t *tail) last() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.buf))
}
