package daemon

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/internal/config"
)

// running is a daemon that is ready, alone and on loopback. It runs until ctx ends, which stop does; ended has what became of it.
func running(t *testing.T, cfg config.Config) (d *Daemon, ctx context.Context, stop context.CancelFunc, ended <-chan error) {
	t.Helper()
	cfg.DataDir, cfg.Name, cfg.NoMDNS = t.TempDir(), "a", true
	cfg.BusListen, cfg.FabricListen, cfg.JoinListen, cfg.HTTPListen = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	d, err := New(cfg, Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop = context.WithCancel(t.Context())
	t.Cleanup(stop)
	end := make(chan error, 1)
	go func() { end <- d.Run(ctx) }()
	select {
	case <-d.Ready():
	case err := <-end:
		t.Fatal(err)
	}
	return d, ctx, stop, end
}

// A daemon that holds a lock for good is not alive, though its process and its bus are.
func TestAlive(t *testing.T) {
	t.Parallel()
	d, _, stop, ended := running(t, config.Config{NoDemoEngine: true})
	alive := func(limit time.Duration) error {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		s, err := d.Alive(ctx)
		if err == nil && (s.Node.Name != "a" || len(s.Nodes) != 1) {
			t.Errorf("it answers %+v", s)
		}
		return err
	}
	if err := alive(time.Minute); err != nil {
		t.Error(err)
	}
	d.mu.Lock()
	err := alive(300 * time.Millisecond)
	d.mu.Unlock()
	if err == nil {
		t.Error("it answers while it holds its lock")
	}
	if err := alive(time.Minute); err != nil {
		t.Error(err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := alive(time.Minute); err == nil {
		t.Error("it answers when it has ended")
	}
}
