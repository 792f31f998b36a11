package store_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/bus/store"
	"github.com/mycoswarm/mycoswarm/internal/unprivileged"
)

// A file that belongs to root, since mycod was run by it once, say: the start names it, and once it is given back all
// messages are there.
func TestStreamOfAnotherUserIsKept(t *testing.T) {
	t.Parallel()
	n := startFabric(t)
	dir := filepath.Join(t.TempDir(), "store")
	s, err := store.New(config(t, n, dir))
	check(t, err)
	ctx := within(t)
	check(t, s.Start(ctx))
	_, err = s.JetStream().CreateStream(ctx, jetstream.StreamConfig{Name: "KEEP", Subjects: []string{"payload.keep"}})
	check(t, err)
	_, err = s.JetStream().Publish(ctx, "payload.keep", []byte("x"))
	check(t, err)
	s.Shutdown()

	var block string
	check(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".blk" {
			block = path
		}
		if err == nil && os.Geteuid() == 0 {
			err = os.Chown(path, unprivileged.Nobody, -1)
		}
		return err
	}))
	check(t, os.Chmod(filepath.Dir(dir), 0o755))
	check(t, os.Chmod(filepath.Dir(filepath.Dir(dir)), 0o755))
	check(t, os.Chmod(block, 0))
	unprivileged.Run(t, func() { err = s.Start(ctx) })
	var e *bus.Error
	if !errors.As(err, &e) || e.Code != bus.CodeForbidden || e.Hint == "" || !errors.Is(err, fs.ErrPermission) {
		t.Errorf("a block that cannot be read: error %v, want CodeForbidden and a hint", err)
	}
	s.Shutdown()
	check(t, os.Chmod(block, 0o600))
	check(t, s.Start(ctx))
	defer s.Shutdown()
	stream, err := s.JetStream().Stream(ctx, "KEEP")
	check(t, err)
	if m := stream.CachedInfo().State.Msgs; m != 1 {
		t.Errorf("%d messages are left, want 1", m)
	}
}
