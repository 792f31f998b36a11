//go:build e2e && linux

package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
	"github.com/mycoswarm/mycoswarm/e2e/lab"
)

// Power is lost in the moment after a task is accepted: what is on the disk then, and not in
// memory, is all there is. The disk is a file; it is copied at that moment, and the node starts
// from the copy.
func TestPowerIsLost(t *testing.T) {
	t.Parallel()
	rounds := count(2, 20)
	const each = 10
	for round := range rounds {
		var ledger engine.Ledger
		s := harness.New(t, programs)
		a := s.Node(t, "a")
		image, copied := filepath.Join(a.Home, "disk"), filepath.Join(a.Home, "disk-as-it-was")
		lab.Image(t, image, 48)
		unmount := lab.Mount(t, a.Dir, "-o", "loop", image)
		a.Start(t)
		d, ctx := newDriver(t), within(t, "tasks and a loss of power")
		for i := range each {
			d.enqueue(ctx, a.Dial(t), fmt.Sprintf("kept-%d-%d", round, i))
		}
		lab.CopyImage(t, image, copied)
		a.Kill()
		unmount()
		lab.Mount(t, a.Dir, "-o", "loop", copied)
		a.Start(t, "--engine", startEngine(t, s, engine.Config{Name: "a", Ledger: &ledger}).URL())
		d.audit(ctx, a.Dial(t))
		if n := len(ledger.ByMarker()); n != each {
			t.Errorf("%d tasks ran, want %d", n, each)
		}
		a.Kill()
	}
	reach(t, "power", rounds, fmt.Sprintf("0 of %d accepted lost", each*rounds))
}

// A block of the submitter's or of the custodian's store is damaged while it is down: the log
// tells how many messages are unreadable, and what the other node holds of them is done.
func TestStoreIsDamaged(t *testing.T) {
	t.Parallel()
	const n = 30
	for _, c := range []struct {
		name      string
		submitter bool
		cut       bool
	}{{"submitter, flipped", true, false}, {"submitter, cut", true, true}, {"custodian, flipped", false, false}, {"custodian, cut", false, true}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var ledger engine.Ledger
			s := harness.New(t, programs)
			a := s.Found(t, "a")
			b := s.Join(t, a, "b")
			harness.Settle(t, a, b)
			d, ctx := newDriver(t), within(t, "tasks and a damaged store")
			for i := range n {
				d.enqueue(ctx, a.Dial(t), fmt.Sprintf("kept-%02d", i))
			}
			victim, other, stream := b, a, "CUSTODY_"
			if c.submitter {
				victim, other, stream = a, b, "OUTBOX_"
			}
			victim.Kill()
			blocks := lab.Blocks(t, victim.Dir, stream)
			if len(blocks) == 0 {
				t.Fatal("there is no block")
			}
			lab.Damage(t, blocks[0], c.cut)
			victim.Start(t, "--peer", other.Info.FabricAddr)
			harness.Settle(t, a, b)
			harness.Poll(t, harness.Patience, "the log tells of the loss", func() string {
				if log := victim.Log(1000); !strings.Contains(log, "has lost messages") || !strings.Contains(log, "lost=") {
					return log
				}
				return ""
			})
			eng := startEngine(t, s, engine.Config{Name: "b", Ledger: &ledger})
			worker := s.Join(t, a, "c", "--engine", eng.URL())
			harness.Settle(t, a, b, worker)
			d.audit(ctx, other.Dial(t))
			if got := len(ledger.ByMarker()); got != n {
				t.Errorf("%d tasks ran, want %d", got, n)
			}
			reach(t, "corrupt", 4, fmt.Sprintf("the loss is logged at the start, 0 of %d tasks lost", 4*n))
		})
	}
}

// A disk takes seconds for each sync, as a memory card does now and then. What is handed over is accepted all the same, once as well
// as twice, and nothing of the node waits for the disk that does not have to: a loop that did would take the node for one that slept.
func TestDiskIsSlow(t *testing.T) {
	t.Parallel()
	const each = 4 * time.Second
	var ledger engine.Ledger
	s := harness.New(t, programs)
	a := s.Found(t, "a", "--engine", startEngine(t, s, engine.Config{Name: "a", Ledger: &ledger}).URL())
	awaitModel(t, a, "a", engine.Model, true)
	fast := slowDisk(t, a, each)
	d, ctx := newDriver(t), within(t, "tasks on a slow disk")
	for _, id := range []string{"kept-0", "kept-0", "kept-1"} {
		began := time.Now()
		d.enqueue(ctx, a.Dial(t), id)
		t.Logf("%s is accepted after %v, where a sync takes %v", id, time.Since(began).Round(time.Millisecond), each)
	}
	b := s.Join(t, a, "b")
	harness.Settle(t, a, b)
	harness.Poll(t, harness.Patience, "a keeps where b is", func() string {
		kept, err := os.ReadFile(filepath.Join(a.Dir, "peers.json"))
		if err != nil || !strings.Contains(string(kept), string(b.Info.NodeID)) {
			return fmt.Sprintf("%s %v", kept, err)
		}
		return ""
	})
	d.enqueue(ctx, b.Dial(t), "kept-2")
	d.audit(ctx, b.Dial(t))
	fast()
	b.Kill()
	harness.Poll(t, harness.Patience, "a misses b", func() string {
		if state := a.View(t).Node("b").State; state != bus.NodeLost {
			return string(state)
		}
		return ""
	})
	if log := a.Log(1000); strings.Contains(log, "did not run for a while") {
		t.Errorf("the scheduler waited for the disk:\n%s", log)
	}
	if n := len(ledger.ByMarker()); n != 3 {
		t.Errorf("%d tasks ran, want 3", n)
	}
}

// slowDisk has each sync of n's daemon take so long, until fast is called.
func slowDisk(t *testing.T, n *harness.Node, each time.Duration) (fast func()) {
	t.Helper()
	p := harness.Launch(t, filepath.Join(n.Home, "strace.log"), os.Environ(), []string{
		"strace", "-f", "-o", os.DevNull, "-e", "trace=fsync,fdatasync",
		"-e", fmt.Sprintf("inject=fsync,fdatasync:delay_enter=%dus", each.Microseconds()), "-p", strconv.Itoa(n.PID()),
	}, "")
	harness.Poll(t, harness.Patience, "strace has attached", func() string {
		if log := p.Log(100); !strings.Contains(log, "attached") {
			return log
		}
		return ""
	})
	return func() {
		t.Helper()
		if err := p.Signal(syscall.SIGTERM); err != nil { // it lets go of the daemon, which a kill would stop where it is
			t.Fatal(err)
		}
		if _, err := p.Wait(harness.Patience); err != nil {
			t.Fatal(err)
		}
	}
}
