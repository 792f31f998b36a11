package daemon_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/internal/config"
)

// Who has the beginning of an answer has as long for the rest as a node that stops gives its tasks, though its task has ended.
func TestStoppingNodeWaitsForWhoReads(t *testing.T) {
	t.Parallel()
	words := make([]string, 400)
	for i := range words {
		words[i] = strings.Repeat("x", 1<<10)
	}
	var ledger engine.Ledger
	a := start(t, "a", withEngine(t, &ledger, func(engine.Request) engine.Script { return engine.Script{Words: words} }),
		func(c *config.Config) { c.DrainLimit = limit })
	eventually(t, "the model is known", func() string {
		_, body := call(t, a, "GET", "/v1/models", "", noKey)
		if !strings.Contains(body, engine.Model) {
			return body
		}
		return ""
	})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, a.Info().HTTPURL+"/v1/completions", strings.NewReader(`{"model":"scripted","prompt":"<q>"}`))
	check(t, err)
	req.Header.Set("Content-Type", "application/json")
	slow := &http.Transport{DialContext: (&net.Dialer{Control: smallWindow}).DialContext}
	defer slow.CloseIdleConnections()
	resp, err := (&http.Client{Transport: slow}).Do(req)
	check(t, err)
	defer resp.Body.Close()

	stopped := make(chan error, 1)
	go func() { stopped <- a.stop() }()
	select {
	case err := <-stopped:
		t.Fatalf("it waits for nobody: %v", err)
	case <-time.After(5 * time.Second): // longer than it waits for last words, and for no signal
	}
	body, err := io.ReadAll(resp.Body)
	if want := strings.Join(words, ""); err != nil || !strings.Contains(string(body), want) {
		t.Errorf("of an answer of %d bytes there are %d, %v", len(want), len(body), err)
	}
	check(t, <-stopped)
}

// smallWindow keeps the kernel from taking an answer of more than some ten thousand bytes that its client does not read: on the loopback
// device it starts with room for ten segments of 64 KiB.
func smallWindow(_, _ string, c syscall.RawConn) error {
	var err error
	if e := c.Control(func(fd uintptr) {
		if err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4<<10); err == nil {
			err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_MAXSEG, 536)
		}
	}); e != nil {
		return e
	}
	return err
}
