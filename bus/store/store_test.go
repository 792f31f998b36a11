package store_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/bus/fabric/fabrictest"
	"github.com/mycoswarm/mycoswarm/bus/store"
)

func config(tb testing.TB, n *fabrictest.Node, dir string) store.Config {
	tb.Helper()
	return store.Config{ID: n.ID, Dir: dir, LeafURL: n.Fabric.LeafURL(), LeafSeed: n.Fabric.LeafSeed(), Logger: fabrictest.Logger(tb, n.Key)}
}

func startFabric(tb testing.TB) *fabrictest.Node {
	tb.Helper()
	k := fabrictest.NewKey(tb)
	return fabrictest.StartFabric(tb, k, fabrictest.NewRoster(k))
}

func TestStreamsOutliveTheStore(t *testing.T) {
	t.Parallel()
	n := startFabric(t)
	dir := filepath.Join(t.TempDir(), "a", "store")
	ctx := within(t)
	for want := range 3 {
		s, err := store.New(config(t, n, dir))
		check(t, err)
		check(t, s.Start(ctx))
		stream, err := s.JetStream().CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: "KEEP", Subjects: []string{"payload.keep"}})
		check(t, err)
		info, err := stream.Info(ctx)
		check(t, err)
		if info.State.Msgs != uint64(want) {
			t.Fatalf("start %d: %d messages", want, info.State.Msgs)
		}
		_, err = s.JetStream().Publish(ctx, "payload.keep", []byte("x"))
		check(t, err)
		s.Shutdown()
		s.Shutdown() // again: nothing happens
		if s.Linked() || s.JetStream() != nil {
			t.Fatal("running after Shutdown")
		}
	}
}

func TestBusyMachine(t *testing.T) {
	t.Parallel()
	s, err := store.New(config(t, startFabric(t), t.TempDir()))
	check(t, err)
	t.Cleanup(s.Shutdown)
	check(t, s.Start(within(t)))
	nc, err := s.Conn("late", nats.InProcessServer(fabrictest.Busy{Server: s.Server()}))
	check(t, err)
	defer nc.Close()
	check(t, nc.FlushTimeout(fabrictest.Limit))
}

// How long a slow disk takes to read the streams back does not count: a start that is given up is as slow the next time.
func TestStartWaitsForTheDisk(t *testing.T) {
	t.Parallel()
	c := config(t, startFabric(t), t.TempDir())
	c.StartLimit = 5 * time.Second
	c.Logger = slog.New(slowDisk{c.Logger.Handler(), c.StartLimit})
	s, err := store.New(c)
	check(t, err)
	t.Cleanup(s.Shutdown)
	check(t, s.Start(within(t)))
}

// slowDisk keeps the server as long where it says that it reads its streams.
type slowDisk struct {
	slog.Handler
	takes time.Duration
}

func (slowDisk) Enabled(context.Context, slog.Level) bool { return true }
func (d slowDisk) WithAttrs([]slog.Attr) slog.Handler     { return d }

func (d slowDisk) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "Starting JetStream" {
		<-time.After(d.takes)
	}
	return nil
}

func TestSecondProcessIsRefused(t *testing.T) {
	t.Parallel()
	n := startFabric(t)
	dir := t.TempDir()
	first, err := store.New(config(t, n, dir))
	check(t, err)
	check(t, first.Start(within(t)))
	defer first.Shutdown()
	second, err := store.New(config(t, n, dir))
	check(t, err)
	err = second.Start(within(t))
	var e *bus.Error
	if !errors.As(err, &e) || e.Code != bus.CodeConflict || e.Hint == "" ||
		!strings.Contains(e.Message, dir) || !strings.Contains(e.Message, "process "+strconv.Itoa(os.Getpid())) {
		t.Fatalf("error %v, want a conflict that names directory and process", err)
	}
	first.Shutdown()
	check(t, second.Start(within(t)))
	second.Shutdown()
}

func TestDirectoryIsChecked(t *testing.T) {
	t.Parallel()
	n := startFabric(t)
	for name, tc := range map[string]struct {
		prepare func(dir string) string
		code    bus.Code
	}{
		"written by a newer version": {func(dir string) string {
			check(t, os.WriteFile(filepath.Join(dir, "store.version"), []byte("2\n"), 0o600))
			return dir
		}, bus.CodeConflict},
		"a broken version": {func(dir string) string {
			check(t, os.WriteFile(filepath.Join(dir, "store.version"), nil, 0o600))
			return dir
		}, bus.CodeForbidden},
		"a file": {func(dir string) string {
			path := filepath.Join(dir, "file")
			check(t, os.WriteFile(path, nil, 0o600))
			return path
		}, bus.CodeForbidden},
		"under a file": {func(dir string) string {
			path := filepath.Join(dir, "file")
			check(t, os.WriteFile(path, nil, 0o600))
			return filepath.Join(path, "store")
		}, bus.CodeForbidden},
		"a lock that is a directory": {func(dir string) string {
			check(t, os.Mkdir(filepath.Join(dir, "store.lock"), 0o700))
			return dir
		}, bus.CodeForbidden},
	} {
		s, err := store.New(config(t, n, tc.prepare(t.TempDir())))
		check(t, err)
		err = s.Start(within(t))
		var e *bus.Error
		if !errors.As(err, &e) || e.Code != tc.code || e.Hint == "" {
			t.Errorf("%s: error %v, want %s and a hint", name, err, tc.code)
		}
		s.Shutdown()
	}
}

// The lock goes with a failed start, too.
func TestFailedStartLeavesNoLock(t *testing.T) {
	t.Parallel()
	n := startFabric(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "store.version")
	check(t, os.WriteFile(path, []byte("2\n"), 0o600))
	s, err := store.New(config(t, n, dir))
	check(t, err)
	if err := s.Start(within(t)); err == nil {
		t.Fatal("started on a newer version's directory")
	}
	check(t, os.WriteFile(path, []byte("1\n"), 0o600))
	check(t, s.Start(within(t)))
	s.Shutdown()
}

func TestUnreadableDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sealed := filepath.Join(dir, "sealed")
	check(t, os.Mkdir(sealed, 0o500))
	if f, err := os.CreateTemp(sealed, "x"); err == nil { // root, and Windows, are not kept out
		check(t, f.Close())
		t.Log("this user may write anywhere; the rest of the test has no meaning")
		return
	}
	n := startFabric(t)
	s, err := store.New(config(t, n, filepath.Join(sealed, "store")))
	check(t, err)
	if err := s.Start(within(t)); !errors.Is(err, &bus.Error{Code: bus.CodeForbidden}) {
		t.Fatalf("error %v, want forbidden", err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	good := store.Config{ID: "myco-0123456789ab", Dir: "x", LeafURL: "nats://127.0.0.1:1"}
	for name, spoil := range map[string]func(*store.Config){
		"id":    func(c *store.Config) { c.ID = "x" },
		"dir":   func(c *store.Config) { c.Dir = "" },
		"leaf":  func(c *store.Config) { c.LeafURL = "" },
		"limit": func(c *store.Config) { c.MaxStoreBytes = -1 },
	} {
		c := good
		spoil(&c)
		if _, err := store.New(c); !errors.Is(err, &bus.Error{Code: bus.CodeInvalid}) {
			t.Errorf("%s: error %v, want invalid", name, err)
		}
	}
	s, err := store.New(good)
	check(t, err)
	if _, err := s.Conn("early"); !errors.Is(err, &bus.Error{Code: bus.CodeUnavailable}) {
		t.Errorf("a connection before Start: %v", err)
	}
	if _, err := s.Peers(t.Context()); !errors.Is(err, &bus.Error{Code: bus.CodeUnavailable}) {
		t.Errorf("peers before Start: %v", err)
	}
}

// A newer program marks an older one's directory, so that the older one refuses it from then on.
func TestUpgradeMarksTheDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "store.version")
	check(t, os.WriteFile(path, []byte("1\n"), 0o600))
	for range 2 {
		check(t, store.CheckVersion(dir, 2))
		if b, err := os.ReadFile(path); err != nil || string(b) != "2\n" {
			t.Errorf("after a program of format 2: %q, %v", b, err)
		}
	}
	err := store.CheckVersion(dir, 1)
	if err == nil || !strings.Contains(err.Error(), "format 2; this one knows up to 1") {
		t.Errorf("a program of format 1: %v", err)
	}
}
