package main

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
)

// asked is closed with the first read: somebody is waited for.
type asked struct {
	io.Reader
	began chan struct{}
}

func (a *asked) Read(p []byte) (int, error) {
	select {
	case <-a.began:
	default:
		close(a.began)
	}
	return a.Reader.Read(p)
}

// Ctrl-C ends a command that waits for an answer, or for a pipe that stays open, and nothing is changed.
func TestInterruptedWhileItReads(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"leave"},
		{"revoke", "tower"},
		{"rotate", "--swarm"},
		{"nodes", "recover"},
		{"join", "-"},
		{"ask", "hello"},
		{"chat", "hello"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			d := trusting(t)
			in, open := io.Pipe()
			defer func() { _ = open.Close() }() // it has no error
			s := &asked{in, make(chan struct{})}
			ctx, interrupt := context.WithCancel(t.Context())
			go func() {
				<-s.began
				interrupt()
			}()
			var out, errs bytes.Buffer
			words := args[0] == "ask" || args[0] == "chat"
			code := run(ctx, append([]string{"--data-dir", d.dir}, args...),
				streams{in: s, out: &out, err: &errs, piped: words, interactive: !words, environ: []string{"XDG_STATE_HOME=" + d.dir}})
			if code != 130 || !strings.Contains(errs.String(), "myco: interrupted") || out.Len() > 0 {
				t.Errorf("exit code %d, want 130\n%s%s", code, out.String(), errs.String())
			}
		})
	}
}
