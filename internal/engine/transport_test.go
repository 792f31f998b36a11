package engine_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/mycoswarm/mycoswarm/internal/engine"
)

// counted is a server that counts the connections to it.
func counted(t *testing.T, h http.HandlerFunc) (url string, conns *atomic.Int64) {
	t.Helper()
	conns = new(atomic.Int64)
	s := httptest.NewUnstartedServer(h)
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			conns.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	return s.URL, conns
}

// rawServer is a server that does with its nth connection, from 0, what serve says.
func rawServer(t *testing.T, serve func(n int, conn net.Conn, in *bufio.Reader)) (url string) {
	t.Helper()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	t.Cleanup(func() {
		ln.Close()
		all.Wait()
	})
	all.Go(func() {
		for n := 0; ; n++ {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer conn.Close()
				serve(n, conn, bufio.NewReader(conn))
			})
		}
	})
	return "http://" + ln.Addr().String()
}

// send sends a request with a body of n bytes.
func send(ctx context.Context, t *testing.T, rt http.RoundTripper, url string, n int) (*http.Response, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(strings.Repeat("x", n)))
	if err != nil {
		t.Fatal(err)
	}
	return rt.RoundTrip(req)
}

// said sends a request and reads its whole answer.
func said(t *testing.T, rt http.RoundTripper, url string, n int) (string, error) {
	t.Helper()
	resp, err := send(t.Context(), t, rt, url, n)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

// A connection serves one request after the other, whichever way the body's end is told, and not after a body that was left.
func TestConnectionsAreKept(t *testing.T) {
	t.Parallel()
	url, conns := counted(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		switch r.URL.Path {
		case "/chunks":
			for range 3 {
				fmt.Fprint(w, n)
				http.NewResponseController(w).Flush() //nolint:errcheck // the client sees it
			}
		case "/long":
			fmt.Fprint(w, strings.Repeat("y", 1<<20))
		case "/nothing":
			w.WriteHeader(http.StatusNoContent)
		default:
			fmt.Fprint(w, n)
		}
	})
	rt := engine.NewTransport(t)
	for _, c := range []struct {
		path  string
		bytes int
		want  string
	}{{"/", 0, "0"}, {"/chunks", 7, "777"}, {"/nothing", 9, ""}, {"/", 64 << 10, "65536"}, {"/chunks", 0, "000"}} {
		if got, err := said(t, rt, url+c.path, c.bytes); err != nil || got != c.want {
			t.Errorf("%s says %q, %v; want %q", c.path, got, err, c.want)
		}
	}
	if n := conns.Load(); n != 1 {
		t.Errorf("%d connections for five requests, want 1", n)
	}
	resp, err := send(t.Context(), t, rt, url+"/long", 0)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if got, err := said(t, rt, url, 1); err != nil || got != "1" || conns.Load() != 2 {
		t.Errorf("after a body that was left: %q, %v on connection %d; want 1 on 2", got, err, conns.Load())
	}
	if got, err := said(t, rt, url, 100<<10); err != nil || got != "102400" || conns.Load() != 3 {
		t.Errorf("a long body: %q, %v on connection %d; want 102400 on 3, http.Transport's", got, err, conns.Load())
	}
}

// Many at once are each answered with their own.
func TestRequestsAtOnce(t *testing.T) {
	t.Parallel()
	url, _ := counted(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n)
	})
	rt := engine.NewTransport(t)
	var all sync.WaitGroup
	for i := range 32 {
		all.Go(func() {
			for k := range 20 {
				n := i*100 + k
				if got, err := said(t, rt, url, n); err != nil || got != fmt.Sprint(n) {
					t.Errorf("%d bytes: %q, %v", n, got, err)
				}
			}
		})
	}
	all.Wait()
}

const ok2 = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// A request is sent once more where its kept connection was closed, and not where a new one was.
func TestKeptConnectionIsClosed(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	url := rawServer(t, func(n int, conn net.Conn, in *bufio.Reader) {
		for range 1 + n%2 { // those of even numbers answer once, and close when the next request comes
			if _, err := http.ReadRequest(in); err != nil {
				return
			}
			asked.Add(1)
			fmt.Fprint(conn, ok2)
		}
		_, _ = in.Peek(1)
	})
	rt := engine.NewTransport(t)
	for i := range 6 {
		if got, err := said(t, rt, url, 0); err != nil || got != "ok" {
			t.Fatalf("request %d: %q, %v", i, got, err)
		}
	}
	if asked.Load() != 6 {
		t.Errorf("%d requests were answered, want 6", asked.Load())
	}
	asked.Store(0)
	dead := rawServer(t, func(_ int, _ net.Conn, in *bufio.Reader) {
		asked.Add(1)
		_, _ = http.ReadRequest(in)
	})
	if got, err := said(t, rt, dead, 0); err == nil || asked.Load() != 1 {
		t.Errorf("a server that only closes: %q, %v, asked %d times; want an error and 1", got, err, asked.Load())
	}
}

// What a server says beyond its answer is not taken for the next one.
func TestOddAnswers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		says  string
		want  string
		fails string
	}{
		"hints first":     {"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + ok2, "ok", ""},
		"more than said":  {ok2 + "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad", "ok", ""},
		"until it closes": {"HTTP/1.0 200 OK\r\n\r\nok", "ok", ""},
		"too short":       {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok", "ok", io.ErrUnexpectedEOF.Error()},
		"no HTTP":         {"SSH-2.0-OpenSSH_9.2\r\n", "", "malformed HTTP"},
		"another one":     {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "", "another protocol"},
		"endless head":    {"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 11<<20), "", "longer than"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := rawServer(t, func(_ int, conn net.Conn, in *bufio.Reader) {
				if _, err := http.ReadRequest(in); err == nil {
					fmt.Fprint(conn, c.says) // the client may have left by then
				}
			})
			rt := engine.NewTransport(t)
			for range 2 {
				got, err := said(t, rt, url, 0)
				if got != c.want || (err != nil) != (c.fails != "") || err != nil && !strings.Contains(err.Error(), c.fails) {
					t.Errorf("%q, %v; want %q, and %q", got, err, c.want, c.fails)
				}
			}
		})
	}
}

// A request that is given up ends at once, before the answer and within it, and the server sees it.
func TestRequestIsGivenUp(t *testing.T) {
	t.Parallel()
	for name, begins := range map[string]bool{"before the answer": false, "within it": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			came, left := make(chan struct{}), make(chan struct{})
			url, _ := counted(t, func(w http.ResponseWriter, r *http.Request) {
				if begins {
					fmt.Fprint(w, "a")
					http.NewResponseController(w).Flush() //nolint:errcheck // the client sees it
				}
				close(came)
				<-r.Context().Done()
				close(left)
			})
			ctx, cancel := context.WithCancelCause(t.Context())
			go func() {
				<-came
				cancel(errors.New("enough"))
			}()
			resp, err := send(ctx, t, engine.NewTransport(t), url, 0)
			if err == nil {
				_, err = io.ReadAll(resp.Body)
				resp.Body.Close()
			}
			if err == nil {
				t.Error("it came to an end")
			}
			<-left
		})
	}
}

// What a server says between two requests, such as that it waits no longer, is not the answer to the second.
func TestSaidBetweenRequests(t *testing.T) {
	t.Parallel()
	said408 := make(chan struct{})
	url := rawServer(t, func(n int, conn net.Conn, in *bufio.Reader) {
		if _, err := http.ReadRequest(in); err != nil {
			return
		}
		fmt.Fprint(conn, ok2)
		if n == 0 {
			<-said408
			fmt.Fprint(conn, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 3\r\n\r\nbad")
		}
		_, _ = in.Peek(1)
	})
	rt := engine.NewTransport(t)
	for i := range 2 {
		if got, err := said(t, rt, url, 0); err != nil || got != "ok" {
			t.Errorf("request %d: %q, %v; want ok", i, got, err)
		}
		if i == 0 {
			close(said408)
			engine.AwaitWord(t, rt)
		}
	}
}

// A request that has its server hang up is sent twice, not once for each connection that was kept.
func TestHangsUpAtOneRequest(t *testing.T) {
	t.Parallel()
	var bad atomic.Int64
	var meet sync.WaitGroup
	meet.Add(8)
	url := rawServer(t, func(_ int, conn net.Conn, in *bufio.Reader) {
		for {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			if r.URL.Path == "/bad" {
				bad.Add(1)
				return
			}
			meet.Done()
			meet.Wait() // each of them has a connection of its own
			fmt.Fprint(conn, ok2)
		}
	})
	rt := engine.NewTransport(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if got, err := said(t, rt, url, 0); err != nil || got != "ok" {
				t.Errorf("%q, %v; want ok", got, err)
			}
		})
	}
	all.Wait()
	if got, err := said(t, rt, url+"/bad", 0); err == nil || bad.Load() != 2 {
		t.Errorf("%q, %v after %d times; want an error after 2", got, err, bad.Load())
	}
}

// A connection that was kept while the machine was suspended is not used: its other end may be long gone, and
// nobody may say so.
func TestKeptForLongOnTheWall(t *testing.T) {
	t.Parallel()
	url, conns := counted(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") })
	rt := engine.NewTransport(t)
	for range 2 {
		if got, err := said(t, rt, url, 0); err != nil || got != "ok" {
			t.Errorf("%q, %v; want ok", got, err)
		}
		engine.AgeKept(rt)
	}
	if conns.Load() != 2 {
		t.Errorf("%d connections, want 2", conns.Load())
	}
}

// A body whose length nobody knows, or that cannot be had again, goes over http.Transport: it may be too long to
// be written before the answer is read, and a second try would send another one.
func TestBodyThatIsNotKnown(t *testing.T) {
	t.Parallel()
	url := rawServer(t, func(n int, conn net.Conn, in *bufio.Reader) {
		for i := 0; ; i++ {
			r, err := http.ReadRequest(in)
			if err != nil || i == 1 && n == 0 {
				return
			}
			b, _ := io.ReadAll(r.Body)
			fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(b), b)
		}
	})
	rt := engine.NewTransport(t)
	if got, err := said(t, rt, url, 0); err != nil || got != "" {
		t.Fatalf("%q, %v; want nothing", got, err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, io.LimitReader(strings.NewReader("text"), 4))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := rt.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); string(b) != "text" || err != nil {
		t.Errorf("%q, %v; want text", b, err)
	}
}
