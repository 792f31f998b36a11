package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/gateway"
)

// pipes is a listener whose connections hold no byte that nobody reads.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// client is one connection to a gateway.
type client struct {
	net.Conn
	in *bufio.Reader
}

// serving serves s, in a bubble of synctest. log gets what is logged.
func serving(t *testing.T, s gateway.Swarm, log io.Writer) (dial func() client) {
	t.Helper()
	return listening(t, gateway.Config{Swarm: s, Key: key, Logger: slog.New(slog.NewTextHandler(log, nil))})
}

// listening serves what cfg sets up, in a bubble of synctest.
func listening(t *testing.T, cfg gateway.Config) (dial func() client) {
	t.Helper()
	g, err := gateway.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	p, server, done := &pipes{make(chan net.Conn), make(chan struct{})}, g.Server(), make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(p) // it says that it was closed
	}()
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		<-done
	})
	return func() client {
		near, far := net.Pipe()
		p.conns <- far
		t.Cleanup(func() { _ = near.Close() })
		if err := near.SetDeadline(time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		return client{near, bufio.NewReader(near)}
	}
}

// send posts a request's header, and what it is given of the body.
func (c client) send(t *testing.T, path string, header map[string]string, size int, body string) {
	t.Helper()
	c.asks(t, "POST "+path, header, size, body)
}

// asks sends a request, a method and a path: its header, and what it is given of the body.
func (c client) asks(t *testing.T, request string, header map[string]string, size int, body string) {
	t.Helper()
	all := map[string]string{"Host": "localhost", "Authorization": "Bearer " + key, "Content-Type": "application/json", "Content-Length": fmt.Sprint(size)}
	maps.Copy(all, header)
	head := request + " HTTP/1.1\r\n"
	for name, v := range all {
		head += name + ": " + v + "\r\n"
	}
	if _, err := c.Write([]byte(head + "\r\n" + body)); err != nil {
		t.Fatal(err)
	}
}

// hears reads an answer.
func (c client) hears(t *testing.T) (int, string) {
	t.Helper()
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// large has results that count as large as they may be.
type large struct{ *oracle }

func (large) Stream(context.Context, bus.Task, func(bus.Chunk) error) (bus.TaskInfo, error) {
	return bus.TaskInfo{ID: "x", State: bus.StateDone, NodeID: other, ResultBlob: &bus.Blob{SHA256: strings.Repeat("0", 64), Size: bus.MaxPayload}}, nil
}

func (large) Whole(_ context.Context, t *bus.TaskInfo, _ bool) error {
	t.Result, t.ResultBlob = json.RawMessage(`{"text":"`+strings.Repeat("x", 3<<20)+`","version":1}`), nil
	return nil
}

// Clients that ask for large results and do not read them are let go: others wait for the room.
func TestWhoDoesNotReadIsLetGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o, _ := newOracle(t, paris())
		dial := serving(t, large{o}, io.Discard)
		body := hello + `,"stream":false}`
		for range 2 {
			c := dial()
			c.send(t, "/api/chat", nil, len(body), body)
			if line, err := c.in.ReadString('\n'); err != nil || !strings.Contains(line, "200") {
				t.Fatal(line, err)
			}
		}
		c := dial()
		c.send(t, "/api/chat", nil, len(body), body)
		if code, said := c.hears(t); code != http.StatusTooManyRequests {
			t.Errorf("while the room is taken: %d %.200s", code, said)
		}
		time.Sleep(90 * time.Second)
		c.send(t, "/api/chat", nil, len(body), body)
		if code, said := c.hears(t); code != http.StatusOK || len(said) < 3<<20 {
			t.Errorf("later: %d %.200s", code, said)
		}
		time.Sleep(90 * time.Second)
		if _, err := c.Write([]byte("GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + key + "\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		if code, said := c.hears(t); code != http.StatusOK { // the limit of the last answer is over
			t.Errorf("on the same connection: %d %.200s", code, said)
		}
	})
}

// An answer that its client may come back to goes to a slow one, too: each MiB has its minute.
func TestKeptAnswerGoesToTheSlow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o, _ := newOracle(t, paris())
		c := serving(t, large{o}, io.Discard)()
		body := hello + `,"stream":false}`
		c.send(t, "/api/chat", map[string]string{"X-Myco-Answer": answerName}, len(body), body)
		resp, err := http.ReadResponse(c.in, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		for read := 0; read < 3<<20; read += 64 << 10 {
			if _, err := io.CopyN(io.Discard, resp.Body, 64<<10); err != nil {
				t.Fatalf("after %d bytes: %v", read, err)
			}
			time.Sleep(2500 * time.Millisecond) // a MiB takes 40 s
		}
		if rest, err := io.ReadAll(resp.Body); err != nil || !strings.HasSuffix(string(rest), "}\n") {
			t.Errorf("the rest is %.100s, error %v", rest, err)
		}
	})
}

// A body that does not come is not waited for, whoever sends it, and is the client's own fault.
func TestBodiesHaveALimitOfTime(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		path   string
		header map[string]string
		status int
	}{
		"a good one":     {"/v1/chat/completions", nil, 400},
		"a task":         {"/task", nil, 400},
		"no key":         {"/task", map[string]string{"Authorization": ""}, 401},
		"a foreign name": {"/api/chat", map[string]string{"Host": "evil.example"}, 403},
		"another site":   {"/api/chat", map[string]string{"Origin": "http://evil.example"}, 403},
		"another type":   {"/v1/chat/completions", map[string]string{"Content-Type": "text/plain"}, 400},
		"no such path":   {"/v1/nothing", nil, 400},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				o, _ := newOracle(t, paris())
				conn := serving(t, o, &log)()
				start := time.Now()
				conn.send(t, c.path, c.header, 1000, `{`)
				code, said := conn.hears(t)
				if took := time.Since(start); code != c.status || took > 3*time.Minute {
					t.Errorf("after %v: %d %s", took, code, said)
				}
				if _, err := conn.in.ReadByte(); err == nil {
					t.Error("the connection is used again")
				}
				if log.Len() > 0 {
					t.Errorf("logged: %s", &log)
				}
			})
		})
	}
}

// A client whose key is wrong, or has reached a limit, hears of that, too, where it has much to send and does not listen meanwhile.
func TestRefusalsAreHeardBehindALargeRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		one, secret := made("one", bus.KeyRequest{PerMinute: 1})
		o, _ := newOracle(t, paris())
		dial := listening(t, gateway.Config{Swarm: o, Key: key, Keys: []gateway.Key{one}})
		body := `{"model":"m","stream":false,"messages":[{"role":"user","content":"` + strings.Repeat("x", 1<<20) + `"}]}`
		for _, c := range []struct {
			path, secret string
			status       int
		}{
			{"/api/chat", secret, http.StatusOK},
			{"/api/chat", secret, http.StatusTooManyRequests},
			{"/api/chat", "none", http.StatusUnauthorized},
			{"/api/pull", secret, http.StatusForbidden},
		} {
			conn := dial()
			conn.send(t, c.path, map[string]string{"Authorization": "Bearer " + c.secret}, len(body), body)
			if code, said := conn.hears(t); code != c.status {
				t.Errorf("%s: %d %.200s, want %d", c.path, code, said, c.status)
			}
		}
		message := `{"jsonrpc":"2.0","id":1,"method":"` + strings.Repeat("x", 8<<20) + `"}`
		long := dial() // as a tool's call with a document in it
		long.send(t, "/mcp", map[string]string{"Authorization": "Bearer " + key}, len(message), message)
		if code, said := long.hears(t); code != http.StatusRequestEntityTooLarge {
			t.Errorf("a message of 8 MiB: %d %.200s", code, said)
		}
		for _, path := range []string{"/api/chat", "/v1/files"} {
			conn := dial() // and who asks before is not told to send it
			conn.send(t, path, map[string]string{"Authorization": "Bearer " + secret, "Expect": "100-continue"}, len(body), "")
			if code, said := conn.hears(t); code != http.StatusTooManyRequests {
				t.Errorf("%s: who asks before it sends: %d %.200s", path, code, said)
			}
		}
		for path, size := range map[string]int{"/api/chat": 300 << 20, "/v1/files": 220 << 20} {
			conn, start := dial(), time.Now() // what is far too large is not waited for
			conn.send(t, path, map[string]string{"Authorization": "Bearer none"}, size, "")
			if code, said := conn.hears(t); code != http.StatusUnauthorized || time.Since(start) > 0 {
				t.Errorf("%s of %d bytes: %d %.200s, after %v", path, size, code, said, time.Since(start))
			}
			if _, err := conn.in.ReadByte(); err == nil {
				t.Errorf("%s: the connection is used again", path)
			}
		}
	})
}
