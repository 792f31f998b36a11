//go:build e2e && linux

package e2e_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/e2e/figures"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// A disk that fills is noticed before it is full: new durable tasks are refused, with the node and
// the path, what was accepted is done, and with space the node goes on by itself.
func TestDiskIsFull(t *testing.T) {
	t.Parallel()
	var ledger engine.Ledger
	s := harness.New(t, programs)
	n := s.Node(t, "a")
	disk(t, n.Dir, 24<<20)
	gate := make(chan struct{})
	n.Start(t, "--engine", startEngine(t, s, engine.Config{
		Name: "a", Ledger: &ledger, Script: func(engine.Request) engine.Script { return engine.Script{Gate: gate} },
	}).URL())
	awaitModel(t, n, "a", engine.Model, true)
	d, c, ctx := newDriver(t), n.Dial(t), within(t, "a full disk")
	for i := range 20 {
		d.enqueue(ctx, c, fmt.Sprintf("before-%02d", i))
	}
	hog := filepath.Join(n.Dir, "hog")
	fill(t, hog, n.Dir, 4<<20)
	filled := time.Now()
	harness.Poll(t, harness.Patience, "new durable tasks are refused", func() string {
		task := d.task(fmt.Sprintf("during-%d", time.Now().UnixNano()))
		_, err := c.Enqueue(ctx, task)
		switch {
		case err == nil:
			d.durable[task.ID] = true
			return "accepted"
		case !errors.Is(err, &bus.Error{Code: bus.CodeNoSpace}) || !strings.Contains(err.Error(), "node a") || !strings.Contains(err.Error(), n.Dir):
			t.Fatalf("refused with %v: want the node and the path", err)
		}
		return ""
	})
	refused := figures.Row{What: "a full disk is told of", Promised: time.Second, Samples: []time.Duration{time.Since(filled)}}
	if r := n.Myco(t, "ask", "--detach", "-m", engine.Model, "anything"); r.Code != 1 || !strings.Contains(r.Stderr, n.Dir) || !strings.Contains(r.Stderr, "free some space") {
		t.Errorf("%s", r)
	}
	close(gate)
	d.submit(ctx, c, "attached")
	d.audit(ctx, c)
	if err := os.Remove(hog); err != nil {
		t.Fatal(err)
	}
	harness.Poll(t, harness.Patience, "durable tasks are taken again", func() string {
		task := d.task(fmt.Sprintf("after-%d", time.Now().UnixNano()))
		if _, err := c.Enqueue(ctx, task); err != nil {
			return err.Error()
		}
		d.durable[task.ID] = true
		return ""
	})
	d.audit(ctx, c)
	reachRow(t, "disk", refused)
	record(t, n, "disk-full", "A disk fills", "One process whose data directory is on a file system of 24 MB. Counted from the moment when "+
		"too little is free to the refusal of a durable task.", refused)
}

// disk mounts a file system of that size, in memory, at dir.
func disk(t *testing.T, dir string, size int) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0700", size)); err != nil {
		t.Fatalf("mount a small disk (this needs root): %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount the small disk: %v", err)
		}
	})
}

// fill writes a file until no more than left bytes are free on the disk of dir.
func fill(t *testing.T, file, dir string, left uint64) {
	t.Helper()
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	free := st.Bavail * uint64(st.Bsize)
	if free < left {
		t.Fatalf("%d bytes are free, fewer than %d", free, left)
	}
	if err := os.WriteFile(file, make([]byte, free-left), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A node that drains finishes what runs there, and `myco drain` waits for it; the queue goes on
// elsewhere, and nothing is lost.
func TestDrain(t *testing.T) {
	t.Parallel()
	var ledger engine.Ledger
	gate := make(chan struct{})
	nodes := cluster(t, &ledger, 3, func(engine.Request) engine.Script { return engine.Script{Gate: gate} })
	host, rest := hostAndRest(t, nodes)
	d, c, ctx := newDriver(t), rest[0].Dial(t), within(t, "a drain")
	const n = 15 // every slot of every node, but for one of six, which batch work leaves free
	for i := range n {
		d.enqueue(ctx, c, fmt.Sprintf("held-%02d", i))
	}
	if runs, err := ledger.Wait(ctx, func(r []engine.Run) bool { return len(r) == n }); err != nil {
		t.Fatalf("%d tasks run: %v", len(runs), err)
	}
	waiting := rest[0].LaunchMyco(t, "drain", host.Name)
	harness.Poll(t, harness.Patience, "another node hosts, and the drained one drains", func() string {
		v := rest[1].View(t)
		if v.Node(host.Name).State != bus.NodeDraining || v.Swarm.QueueHost == host.Info.NodeID || v.Swarm.QueueHost == "" {
			return fmt.Sprintf("%+v", v)
		}
		return ""
	})
	for i := range n {
		d.enqueue(ctx, c, fmt.Sprintf("later-%02d", i))
	}
	select {
	case <-waiting.Exited():
		t.Errorf("myco drain does not wait for what runs:\n%s", waiting.Log(20))
	default:
	}
	close(gate)
	if code, err := waiting.Wait(harness.Patience); err != nil || code != 0 || !strings.Contains(waiting.Log(5), "is drained") {
		t.Errorf("myco drain: exit code %d, error %v\n%s", code, err, waiting.Log(20))
	}
	d.audit(ctx, c)
	for marker, runs := range ledger.ByMarker() {
		if len(runs) != 1 {
			t.Errorf("task %s began %d times, want once", marker, len(runs))
		}
		if strings.HasPrefix(marker, "later-") && runs[0].Engine == host.Name {
			t.Errorf("task %s began on the drained node", marker)
		}
	}
	if r := rest[0].Myco(t, "drain", host.Name, "--off"); r.Code != 0 {
		t.Errorf("%s", r)
	}
	harness.Settle(t, nodes...)
}
