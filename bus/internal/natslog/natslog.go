// Package natslog carries what an embedded NATS server logs, and what a connection to one meets,
// into a slog.Logger. It owns the
// mapping of levels, the thinning out of repeated lines, and keeping a server's "fatal" errors
// from ending the process: they are handed to the owner of the server instead.
package natslog

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/time/rate"
)

// Logger implements the Logger interface of nats-server. It never ends the process.
//
// Levels: a server's notices are debug lines here, but for that of a connection that is cut for reading too slowly, whose
// requests have no answer; its errors are warnings, but for a peer that is away, see Away; its fatal errors are the owner's to log or to return. Debug and trace lines of the server are dropped: the
// latter would show content.
type Logger struct {
	log     *slog.Logger
	fatal   chan error
	started atomic.Bool

	mu   sync.Mutex
	seen map[string]*rate.Sometimes
}

// Lines of one kind: the first three, then one every interval. An address that leads elsewhere is
// dialled each second, for as long as the node there is a member.
const (
	firstLines = 3
	interval   = 5 * time.Minute
	maxKinds   = 512
	maxFatal   = 8 // more than there are listeners
)

// expected are warnings about what is done on purpose: certificates are self-signed and checked
// against the roster, and the default domain is set. The last two come with each start after a crash: the
// index of a stream on disk, which is written now and then and at a stop, is made anew from the messages. What is
// lost of these is told by package store.
var expected = []string{
	"TLS Hostname verification disabled",
	"TLS certificate chain and hostname of",
	"The option `default_js_domain`",
	"Stream state outdated, last block has additional entries, will rebuild",
	"Recovering stream state from index errored: prior state file",
}

// New returns a Logger that writes to log.
func New(log *slog.Logger) *Logger {
	return &Logger{log: log, fatal: make(chan error, maxFatal), seen: map[string]*rate.Sometimes{}}
}

// Fatal delivers the errors that the server would have ended the process for, until Started.
func (l *Logger) Fatal() <-chan error { return l.fatal }

// Started says that the server is up and nobody reads Fatal any more: such errors are logged.
func (l *Logger) Started() { l.started.Store(true) }

// Errors returns an option that logs what happens on a connection outside of its requests, thinned
// out like the lines of a server. name tells connections apart.
func Errors(log *slog.Logger, name string) nats.Option {
	l := New(log)
	return nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
		subject := ""
		if sub != nil {
			subject = sub.Subject
		}
		l.sometimes(kind(err.Error())).Do(func() {
			log.Warn("connection", "conn", name, "subject", subject, "error", err)
		})
	})
}

// Noticef implements the server's Logger.
func (l *Logger) Noticef(format string, v ...any) {
	level := slog.LevelDebug
	if strings.Contains(format, "Slow Consumer Detected") {
		level = slog.LevelWarn
	}
	l.write(level, format, v)
}

// Warnf implements the server's Logger.
func (l *Logger) Warnf(format string, v ...any) { l.write(slog.LevelWarn, format, v) }

// Errorf implements the server's Logger.
func (l *Logger) Errorf(format string, v ...any) { l.write(slog.LevelWarn, format, v) }

// Away tells, thinned out, that nobody answers at the address of a peer, and as err how that failed. Machines sleep and go
// home: it is no warning. That it was lost others tell, by its name; but of an address that was wrong from the beginning
// there is no other line.
func (l *Logger) Away(err any) {
	l.sometimes("away").Do(func() {
		l.log.Info("nobody answers at an address of another node: it is tried until somebody does", "err", err)
	})
}

// Fatalf implements the server's Logger. It returns.
func (l *Logger) Fatalf(format string, v ...any) {
	err := &FatalError{Format: format, Message: fmt.Sprintf(format, v...), Cause: cause(v)}
	if !l.started.Load() {
		select {
		case l.fatal <- err:
			return
		default:
		}
	}
	l.log.Error("server", "error", err)
}

// Debugf implements the server's Logger and drops the line.
func (*Logger) Debugf(string, ...any) {}

// Tracef implements the server's Logger and drops the line.
func (*Logger) Tracef(string, ...any) {}

// FatalError is an error that the server would have ended the process for.
type FatalError struct {
	// Format tells the kind of error: the server's format string.
	Format  string
	Message string
	Cause   error // may be nil
}

// Error returns the server's message.
func (e *FatalError) Error() string { return e.Message }

// Unwrap returns the error that the server met.
func (e *FatalError) Unwrap() error { return e.Cause }

func cause(v []any) error {
	for _, a := range v {
		if err, ok := a.(error); ok {
			return err
		}
	}
	return nil
}

func (l *Logger) write(level slog.Level, format string, v []any) {
	if !l.log.Enabled(context.Background(), level) {
		return
	}
	msg := fmt.Sprintf(format, v...)
	for _, e := range expected {
		if strings.Contains(msg, e) {
			level = slog.LevelDebug
		}
	}
	if level < slog.LevelWarn {
		l.log.Log(context.Background(), level, msg)
		return
	}
	l.sometimes(kind(format)).Do(func() {
		l.log.Log(context.Background(), level, msg)
	})
}

func (l *Logger) sometimes(kind string) *rate.Sometimes {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.seen[kind]
	if s == nil {
		if len(l.seen) >= maxKinds {
			clear(l.seen)
		}
		s = &rate.Sometimes{First: firstLines, Interval: interval}
		l.seen[kind] = s
	}
	return s
}

// kind is the format without digits: connections put their address and number into it.
func kind(format string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, format)
}
