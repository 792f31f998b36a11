package jet_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
	"github.com/mycoswarm/mycoswarm/sched/jet"
)

func openDisk(t *testing.T, dir string) sched.Disk {
	t.Helper()
	d, closeDisk, err := jet.OpenDisk(dir)
	check(t, err)
	t.Cleanup(func() { check(t, closeDisk()) })
	return d
}

func crashed(t *testing.T, d sched.Disk) map[bus.TaskID]int {
	t.Helper()
	c, err := d.Crashed()
	check(t, err)
	return c
}

func TestJournalCutShort(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	lines := "+ t1 1\n+ t2 2\n- t1\n\n+ t3\nnonsense\n+ t4 x\n+ t"
	check(t, os.WriteFile(filepath.Join(dir, "journal"), []byte(lines), 0o600))
	d := openDisk(t, dir)
	if c := crashed(t, d); fmt.Sprint(c) != "map[t2:2]" {
		t.Fatalf("crashed %v, want t2 alone", c)
	}
	check(t, d.Begin("t5", 1)) // on a line of its own
	if c := crashed(t, openDisk(t, dir)); fmt.Sprint(c) != "map[t2:2 t5:1]" {
		t.Fatalf("crashed %v, want t2 and t5", c)
	}
}

func TestJournalStaysSmall(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := openDisk(t, dir)
	check(t, d.Begin("kept", 1))
	written := 0
	for i := 0; written < 3*jet.JournalMost; i++ {
		id := bus.TaskID(fmt.Sprintf("t-%060d", i))
		check(t, d.Begin(id, 1))
		check(t, d.Finish(id))
		written += 2 * len(id)
	}
	check(t, d.Begin("last", 3))
	info, err := os.Stat(filepath.Join(dir, "journal"))
	check(t, err)
	if info.Size() > jet.JournalMost+100 {
		t.Errorf("journal has %d bytes, want at most about %d", info.Size(), jet.JournalMost)
	}
	if c := crashed(t, openDisk(t, dir)); fmt.Sprint(c) != "map[kept:1 last:3]" {
		t.Errorf("crashed %v, want kept and last", c)
	}
}

func TestCrashedIsBounded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := openDisk(t, dir)
	for i := range jet.CrashedMost + 10 {
		check(t, d.Begin(bus.TaskID(fmt.Sprint("t", i)), 1))
	}
	c := crashed(t, openDisk(t, dir))
	if len(c) != jet.CrashedMost || c["t9"] != 0 || c["t10"] != 1 {
		t.Errorf("%d crashed, the oldest kept: %d, want the newest %d", len(c), c["t9"], jet.CrashedMost)
	}
}

func TestTermUnreadable(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, "term"), []byte("seven"), 0o600))
	_, err := openDisk(t, dir).Term()
	if e := bus.AsError(err); err == nil || e.Code != bus.CodeForbidden || e.Hint == "" {
		t.Errorf("a term that is no number: %v, want CodeForbidden and what to do", err)
	}
}
