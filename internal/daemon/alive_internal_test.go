package daemon

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/internal/config"
)

// A daemon that holds a lock for good is not alive, though its process and its bus are.
func TestAlive(t *testing.T) {
	t.Parallel()
	d, err := New(config.Config{
		DataDir: t.TempDir(), Name: "a", NoMDNS: true, NoDemoEngine: true,
		BusListen: "127.0.0.1:0", FabricListen: "127.0.0.1:0", JoinListen: "127.0.0.1:0", HTTPListen: "127.0.0.1:0",
	}, Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	select {
	case <-d.Ready():
	case err := <-ended:
		t.Fatal(err)
	}
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
	err = alive(300 * time.Millisecond)
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
