package jet_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/bus/fabric/fabrictest"
	"github.com/mycoswarm/mycoswarm/sched"
	"github.com/mycoswarm/mycoswarm/sched/jet"
)

// logged is a log that a test can look into.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// A store that lost half of a block starts without a word: the own count must tell. Without
// damage it must not, whatever was stored and forgotten between.
func TestDamagedStoreIsNoticed(t *testing.T) {
	t.Parallel()
	n := swarm(t, 1, 0)[0]
	ctx, cancel := context.WithTimeout(t.Context(), fabrictest.Limit)
	defer cancel()
	var seen sync.WaitGroup
	load := func(damaged bool) {
		t.Helper()
		var log logged
		n.log = slog.New(slog.NewTextHandler(&log, nil))
		n.restart(t)
		_, err := n.jet.Effects().Outbox.Watch(func(sched.Kept) { seen.Done() })
		check(t, err)
		left, err := n.jet.Effects().Outbox.Load(ctx)
		check(t, err)
		want := ""
		if damaged {
			want = fmt.Sprintf(" lost=%d left=%d\n", 90-len(left), len(left))
		}
		if got := log.String(); strings.Contains(got, "lost=") != damaged || !strings.Contains(got, want) {
			t.Fatalf("%d messages are left, and the log says %q, want %q", len(left), got, want)
		}
	}
	kept := func(i int) sched.Kept {
		return sched.Kept{Submitter: n.ID, Custodian: bus.NoCustodian, Task: bus.TaskID(fmt.Sprint("t", i)), Data: []byte(strings.Repeat("x", 1000))}
	}
	load(false)
	seen.Add(100)
	for i := range 100 {
		if p := n.jet.Effects().Outbox.Put(ctx, kept(i), true, 1); p.Stores != 1 {
			t.Fatalf("put %d: %+v", i, p)
		}
	}
	seen.Wait()
	for i := range 10 {
		check(t, n.jet.Effects().Outbox.Forget(ctx, kept(i)))
	}
	load(false)
	n.harm = func() {
		check(t, filepath.WalkDir(n.Dir, func(path string, _ fs.DirEntry, err error) error {
			if filepath.Base(path) != "1.blk" || err != nil {
				return err
			}
			info, err := os.Stat(path)
			check(t, err)
			return os.Truncate(path, info.Size()/2)
		}))
	}
	load(true)
	n.harm = nil
	load(false) // what is gone is told of once
}

// putCounted has from hand over two tasks, with a custodian or none, and returns once the store of at has
// them, and has counted the first.
func putCounted(ctx context.Context, t *testing.T, from, at *node, custodian bus.NodeID) {
	t.Helper()
	seen := make(chan sched.Kept, 8)
	_, err := at.jet.Effects().Outbox.Watch(func(k sched.Kept) { seen <- k })
	check(t, err)
	_, err = at.jet.Effects().Outbox.Load(ctx) // from here on it counts
	check(t, err)
	want := 1
	if custodian != bus.NoCustodian {
		want = 2
		check(t, from.jet.Effects().Outbox.Ensure(ctx, from.ID, custodian))
	}
	for _, id := range []bus.TaskID{"t1", "t2"} {
		k := sched.Kept{Submitter: from.ID, Custodian: custodian, Task: id, Data: []byte("x")}
		if p := from.jet.Effects().Outbox.Put(ctx, k, true, want); p.Stores != want {
			t.Fatalf("put %s: %+v, want it on %d disks", id, p, want)
		}
		select {
		case <-seen:
		case <-ctx.Done():
			t.Fatal("it did not arrive")
		}
	}
}

// Copies of others' tasks that a node deletes, because it leaves its swarm, are no damage.
func TestDroppedCopiesAreNotMissed(t *testing.T) {
	t.Parallel()
	nodes := swarm(t, 2, 0)
	a, b := nodes[0], nodes[1]
	ctx, cancel := context.WithTimeout(t.Context(), fabrictest.Limit)
	defer cancel()
	putCounted(ctx, t, a, b, b.ID)
	own := sched.Kept{Submitter: b.ID, Custodian: bus.NoCustodian, Task: "own", Data: []byte("x")}
	if p := b.jet.Effects().Outbox.Put(ctx, own, true, 1); p.Stores != 1 {
		t.Fatalf("put its own: %+v", p)
	}
	content := map[bus.TaskID]sched.BlobID{}
	for _, id := range []bus.TaskID{"t1", "own"} {
		data := bytes.Repeat([]byte(id), bus.MaxInline)
		content[id] = sched.BlobID{Task: id, SHA256: bus.BlobOf(data).SHA256, Size: int64(len(data))}
		check(t, b.jet.PutBlob(ctx, b.ID, content[id], false, data))
	}
	b.stop(t)
	check(t, jet.DropCustody(ctx, b.Store.JetStream(), b.dir))
	b.start(t)
	if held, err := b.jet.HeldBlobs(); err != nil || len(held) != 1 || held[0].BlobID != content["own"] {
		t.Errorf("large content: %+v, %v; want that of its own task", held, err)
	}
	left, err := b.jet.Effects().Outbox.Load(ctx)
	check(t, err)
	if len(left) != 1 || left[0].Task != "own" || b.jet.Unreadable() > 0 {
		t.Errorf("%+v are left and %d are missed, want its own, and none", left, b.jet.Unreadable())
	}
}

// A node that was put out starts with a new key on the old data directory: what the old one had handed
// over is no damage.
func TestTasksOfAnotherKeyAreNotMissed(t *testing.T) {
	t.Parallel()
	n := swarm(t, 1, 0)[0]
	ctx, cancel := context.WithTimeout(t.Context(), fabrictest.Limit)
	defer cancel()
	putCounted(ctx, t, n, n, bus.NoCustodian)
	old := n.ID
	n.stop(t)
	n.ID = "myco-newnewnewnew"
	n.start(t)
	left, err := n.jet.Effects().Outbox.Load(ctx)
	check(t, err)
	if len(left) > 0 || n.jet.Unreadable() > 0 {
		t.Errorf("%d messages of %s are left and %d are missed, want none", len(left), old, n.jet.Unreadable())
	}
}
