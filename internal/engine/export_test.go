package engine

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"syscall"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Limits of an answer, in bytes.
const (
	MaxAnswer = maxAnswer
	MaxPiece  = maxPiece
)

// Reader reads an answer from an engine's stream.
type Reader func(ctx context.Context, body io.Reader, emit func(bus.InferenceChunk) error) (bus.InferenceResult, error)

// NewOllama and NewOpenAI are clients of the servers at base, which want no key.
func NewOllama(base *url.URL) *Ollama { return newOllama(base, nil) }

// NewOpenAI is told of at NewOllama.
func NewOpenAI(base *url.URL) *OpenAI { return newOpenAI(base, nil) }

// Probe looks at an address, as it may be configured.
func Probe(ctx context.Context, address string) (Engine, error) {
	u, err := parseAddress(address)
	if err != nil {
		return nil, err
	}
	return probe(ctx, u, nil)
}

// Readers are those of every kind of engine that is a program of its own.
func Readers() map[string]Reader {
	base := &url.URL{Scheme: "http", Host: "engine.test"}
	all := bus.InferenceRequest{Logprobs: true, TopLogprobs: bus.MaxTopLogprobs}
	return map[string]Reader{
		KindOllama: func(ctx context.Context, body io.Reader, emit func(bus.InferenceChunk) error) (bus.InferenceResult, error) {
			return NewOllama(base).read(ctx, body, newAnswer(KindOllama, "m", all, emit))
		},
		KindOpenAI: func(ctx context.Context, body io.Reader, emit func(bus.InferenceChunk) error) (bus.InferenceResult, error) {
			return NewOpenAI(base).read(ctx, body, newAnswer(KindOpenAI, "m", all, emit))
		},
	}
}

// ErrorText takes the message out of the body of an error, as it is told.
func ErrorText(data []byte) (msg, kind string) {
	msg, kind = errorText(data)
	return (&client{}).hide(msg), kind
}

// Continuable reports whether an answer to req may be continued.
func Continuable(req bus.InferenceRequest, said bus.Said) bool { return continuable(req, said) }

// ReadPull reads what an Ollama says of a pull.
func ReadPull(ctx context.Context, body io.Reader, emit func(bus.PullProgress) error) error {
	return NewOllama(&url.URL{Scheme: "http", Host: "engine.test"}).readPull(ctx, body, "m", emit)
}

// JSONSize is the length of a text in JSON, without quotes.
func JSONSize(s string) int { return jsonSize(s) }

// NewTransport is what requests to engines go over. Its connections are closed with the test.
func NewTransport(t *testing.T) http.RoundTripper {
	s := newStraight()
	t.Cleanup(func() {
		s.other.CloseIdleConnections()
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, lines := range s.idle {
			for _, l := range lines {
				l.expiry.Stop()
				l.conn.Close()
			}
		}
	})
	return s
}

// AgeKept has the kept connections of a NewTransport seem kept for an hour, by the clock on the wall.
func AgeKept(rt http.RoundTripper) {
	s := rt.(*straight)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, lines := range s.idle {
		for _, l := range lines {
			l.since = l.since.Add(-time.Hour)
		}
	}
}

// AwaitWord waits until the other end of a kept connection of a NewTransport has said something on it.
func AwaitWord(t *testing.T, rt http.RoundTripper) {
	t.Helper()
	s := rt.(*straight)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, lines := range s.idle {
		for _, l := range lines {
			raw, err := l.conn.(syscall.Conn).SyscallConn()
			if err == nil {
				err = raw.Read(func(uintptr) bool { return !silent(l.conn) })
			}
			if err != nil {
				t.Error(err)
			}
		}
	}
}

// InTheOpen reports whether what is sent to u crosses public networks as it is.
func InTheOpen(ctx context.Context, u *url.URL) bool { return inTheOpen(ctx, u) }
