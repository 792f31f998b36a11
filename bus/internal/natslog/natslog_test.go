package natslog_test

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/mycoswarm/mycoswarm/bus/internal/natslog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func setup(t *testing.T, level slog.Level) (*natslog.Logger, *bytes.Buffer) {
	t.Helper()
	var out bytes.Buffer
	return natslog.New(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: level}))), &out
}

func TestLevels(t *testing.T) {
	t.Parallel()
	l, out := setup(t, slog.LevelDebug)
	l.Noticef("ready %d", 1)
	l.Noticef("pipe - cid:5 - Slow Consumer Detected: MaxPending of %d Exceeded", 64)
	l.Warnf("TLS Hostname verification disabled for system %s", "x")
	l.Warnf("Filestore [OUTBOX] Stream state outdated, last block has additional entries, will rebuild")
	l.Warnf("Filestore [OUTBOX] Recovering stream state from index errored: %v", errors.New("prior state file"))
	l.Warnf("Filestore [OUTBOX] Recovering stream state from index errored: %v", errors.New("corrupt state file"))
	l.Warnf("slow")
	l.Errorf("gone")
	l.Debugf("debug")
	l.Tracef("a prompt")
	var got []string
	for line := range strings.Lines(out.String()) {
		_, line, _ = strings.Cut(line, " ")
		got = append(got, strings.TrimSpace(line))
	}
	want := []string{
		`level=DEBUG msg="ready 1"`,
		`level=WARN msg="pipe - cid:5 - Slow Consumer Detected: MaxPending of 64 Exceeded"`,
		`level=DEBUG msg="TLS Hostname verification disabled for system x"`,
		`level=DEBUG msg="Filestore [OUTBOX] Stream state outdated, last block has additional entries, will rebuild"`,
		`level=DEBUG msg="Filestore [OUTBOX] Recovering stream state from index errored: prior state file"`,
		`level=WARN msg="Filestore [OUTBOX] Recovering stream state from index errored: corrupt state file"`,
		`level=WARN msg=slow`,
		`level=WARN msg=gone`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Fatalf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// The server puts a connection's address and number into the format: one kind all the same.
func TestRepeatedLinesAreThinnedOut(t *testing.T) {
	t.Parallel()
	l, out := setup(t, slog.LevelInfo)
	for i := range 1000 {
		l.Errorf("127.0.0.1:"+strings.Repeat("1", i%5)+" - rid:"+strings.Repeat("2", i%7)+" - TLS route handshake error: %v", fs.ErrInvalid)
	}
	l.Errorf("another")
	if n := strings.Count(out.String(), "\n"); n != 4 {
		t.Fatalf("%d lines, want 3 of the first kind and 1 of the second", n)
	}
}

func TestFatalGoesToTheOwner(t *testing.T) {
	t.Parallel()
	l, out := setup(t, slog.LevelInfo)
	l.Fatalf("Error listening on router port: %d - %v", 7422, fs.ErrExist)
	var e *natslog.FatalError
	if err := <-l.Fatal(); !errors.As(err, &e) || !errors.Is(e, fs.ErrExist) {
		t.Fatalf("fatal error %v", err)
	}
	if e.Format != "Error listening on router port: %d - %v" || e.Error() != "Error listening on router port: 7422 - file already exists" {
		t.Fatalf("format %q, message %q", e.Format, e.Error())
	}
	if out.Len() > 0 {
		t.Fatalf("logged %q: the owner does that", out)
	}
	l.Started()
	l.Fatalf("later")
	if !strings.Contains(out.String(), "level=ERROR") || len(l.Fatal()) > 0 {
		t.Fatalf("after the start: log %q", out)
	}
}

// What goes on for ever does not fill the log.
func TestEndlessLinesAreFew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, out := setup(t, slog.LevelInfo)
		for range 3600 {
			l.Errorf("TLS route handshake error: %v", fs.ErrInvalid)
			time.Sleep(time.Second)
		}
		if n := strings.Count(out.String(), "\n"); n < 4 || n > 3+60/5 {
			t.Errorf("%d lines in an hour, want three and then one in five minutes", n)
		}
	})
}

func TestConnectionsErrorsAreThinnedOut(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	var o nats.Options
	if err := natslog.Errors(slog.New(slog.NewTextHandler(&out, nil)), "store sched")(&o); err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		o.AsyncErrorCB(nil, &nats.Subscription{Subject: "swarm.x"}, nats.ErrSlowConsumer)
	}
	o.AsyncErrorCB(nil, nil, nats.ErrPermissionViolation)
	if n := strings.Count(out.String(), "\n"); n != 4 || !strings.Contains(out.String(), "swarm.x") || !strings.Contains(out.String(), "store sched") {
		t.Errorf("%d lines, want 3 of the first kind and 1 of the second:\n%s", n, out.String())
	}
}
