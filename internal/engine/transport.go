package engine

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	// idleLimit is how long a connection is kept for the next request. Engines close theirs after 5 s at
	// the earliest.
	idleLimit = 4 * time.Second
	// idleMost is how many are kept to one engine.
	idleMost = 16
	// straightBody is the longest body, in bytes, that is written before the answer is read. It fits into the
	// buffers of a socket, so that an engine which answers early and reads no further holds nobody up.
	straightBody = 64 << 10
	// maxHeader is the longest header of an answer in bytes, as in net/http.
	maxHeader = 10 << 20
)

// straight is a RoundTripper that writes a request and reads its answer in the goroutine of its caller.
// http.Transport has two more for each connection, and to pass a request to them and back wakes four threads of
// a machine that has nothing else to do: longer than the rest of the way to the engine. What it is not made
// for, TLS, a proxy or a long body, goes over http.Transport.
type straight struct {
	dialer net.Dialer
	other  *http.Transport

	mu   sync.Mutex
	idle map[string][]*line // by address, the latest last
}

func newStraight() *straight {
	s := &straight{dialer: net.Dialer{Timeout: dialTimeout}, idle: map[string][]*line{}}
	s.other = &http.Transport{
		Proxy: proxy, DialContext: s.dialer.DialContext, MaxIdleConnsPerHost: idleMost, IdleConnTimeout: idleLimit,
	}
	return s
}

// takes reports whether req goes straight.
func (s *straight) takes(req *http.Request) bool {
	if req.URL.Scheme != "http" || req.ContentLength > straightBody {
		return false
	}
	if req.Body != nil && req.Body != http.NoBody && (req.ContentLength <= 0 || req.GetBody == nil) {
		return false // its length is not known, or it cannot be sent again
	}
	return !s.proxied(req)
}

// proxied reports whether req goes through a proxy.
func (s *straight) proxied(req *http.Request) bool {
	if s.other.Proxy == nil {
		return false
	}
	via, err := s.other.Proxy(req)
	return via != nil || err != nil
}

// RoundTrip implements http.RoundTripper. A request whose kept connection is found closed is sent once more, over a
// new one: requests to engines may be repeated, but one that has its engine hang up is not told so by each.
func (s *straight) RoundTrip(req *http.Request) (*http.Response, error) {
	if !s.takes(req) {
		return s.other.RoundTrip(req)
	}
	addr := net.JoinHostPort(req.URL.Hostname(), cmp.Or(req.URL.Port(), "80"))
	if l := s.take(addr); l != nil {
		resp, err := s.exchange(l, addr, req)
		if err == nil || l.heard || req.Context().Err() != nil {
			return resp, err
		}
		if req, err = rewound(req); err != nil {
			return nil, err
		}
	}
	conn, err := s.dialer.DialContext(req.Context(), "tcp", addr)
	if err != nil {
		return nil, err
	}
	return s.exchange(newLine(conn), addr, req)
}

// rewound returns req with its body from the beginning.
func rewound(req *http.Request) (*http.Request, error) {
	if req.GetBody == nil {
		return req, nil // it has none
	}
	again := *req
	var err error
	again.Body, err = req.GetBody()
	return &again, err
}

// exchange sends req over l and reads the head of its answer. After an error l is closed.
func (s *straight) exchange(l *line, addr string, req *http.Request) (*http.Response, error) {
	stop := context.AfterFunc(req.Context(), func() { l.conn.Close() })
	resp, err := l.ask(req)
	if err != nil {
		stop()
		l.conn.Close()
		return nil, err
	}
	keeps := !resp.Close && !req.Close
	b := &lineBody{ReadCloser: resp.Body, end: func(whole bool) {
		if stop() && whole && keeps && l.in.Buffered() == 0 {
			s.keep(addr, l)
		} else {
			l.conn.Close()
		}
	}}
	if resp.Body == http.NoBody {
		b.finish(true)
	}
	resp.Body = b
	return resp, nil
}

// take returns the connection to addr that was used last and can be used again, or nil.
func (s *straight) take(addr string) *line {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := len(s.idle[addr]) - 1; n >= 0; n-- {
		l := s.idle[addr][n]
		s.idle[addr][n] = nil
		s.idle[addr] = s.idle[addr][:n]
		l.expiry.Stop()
		// Timers stand still while the machine is suspended, and so does Go's own clock: the wall's tells.
		if time.Now().Round(0).Sub(l.since) < idleLimit && silent(l.conn) {
			return l
		}
		l.conn.Close()
	}
	return nil
}

// keep keeps l for the next request, for a while.
func (s *straight) keep(addr string, l *line) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.idle[addr]) >= idleMost {
		l.conn.Close()
		return
	}
	l.since = time.Now().Round(0)
	s.idle[addr] = append(s.idle[addr], l)
	if l.expiry == nil {
		l.expiry = time.AfterFunc(idleLimit, func() { s.drop(addr, l) })
	} else {
		l.expiry.Reset(idleLimit)
	}
}

// drop closes l, unless it is in use again.
func (s *straight) drop(addr string, l *line) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.idle[addr], l); i >= 0 {
		s.idle[addr] = slices.Delete(s.idle[addr], i, i+1)
		l.conn.Close()
	}
}

// line is a connection to an engine.
type line struct {
	conn   net.Conn
	head   io.LimitedReader
	in     *bufio.Reader
	out    *bufio.Writer
	heard  bool      // of the present request something was answered
	since  time.Time // when it was kept, without Go's own clock
	expiry *time.Timer
}

func newLine(conn net.Conn) *line {
	l := &line{conn: conn, head: io.LimitedReader{R: conn}, out: bufio.NewWriter(conn)}
	l.in = bufio.NewReader(&l.head)
	return l
}

// inOne keeps http.Request.Write from sending the head of a request before its body, which it does with a bufio.Writer
// where it does not know the body's type. The engine would be woken twice.
type inOne struct{ *bufio.Writer }

// ask sends req and reads the head of its answer.
func (l *line) ask(req *http.Request) (*http.Response, error) {
	l.heard, l.head.N = false, maxHeader
	if err := req.Write(inOne{l.out}); err != nil {
		return nil, err
	}
	if err := l.out.Flush(); err != nil {
		return nil, err
	}
	if _, err := l.in.Peek(1); err != nil {
		return nil, err
	}
	l.heard = true
	for {
		resp, err := http.ReadResponse(l.in, req)
		switch {
		case err != nil && l.head.N <= 0:
			return nil, fmt.Errorf("the head of its answer is longer than %d bytes", maxHeader)
		case err != nil:
			return nil, err
		case resp.StatusCode == http.StatusSwitchingProtocols:
			return nil, errors.New("it speaks another protocol than HTTP from here on")
		case resp.StatusCode >= http.StatusOK:
			l.head.N = math.MaxInt64
			return resp, nil
		}
	}
}

// lineBody is the body of an answer, at whose end its connection is free.
type lineBody struct {
	io.ReadCloser
	end  func(whole bool)
	once sync.Once
}

// Read implements io.Reader.
func (b *lineBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.finish(err == io.EOF)
	}
	return n, err
}

// Close ends the connection where the body was not read to its end. Another goroutine may be reading.
func (b *lineBody) Close() error {
	b.finish(false)
	return nil
}

func (b *lineBody) finish(whole bool) { b.once.Do(func() { b.end(whole) }) }
