package jet_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
	"github.com/mycoswarm/mycoswarm/sched/jet"
)

// openDisk opens what a process that died has left: dies has it close its files, as the system does then.
func openDisk(t *testing.T, dir string) (d sched.Disk, dies func()) {
	t.Helper()
	d, closeDisk, err := jet.OpenDisk(dir)
	check(t, err)
	t.Cleanup(func() { check(t, closeDisk()) })
	return d, func() {
		t.Helper()
		check(t, closeDisk())
	}
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
	lines := "+ t1 1\n! t2 1 myco-a\n+ t2 2\n- t1\n\n+ t3\nnonsense\n+ t4 x\n! t4 1 myco-a\n! t4 x myco-a\n! t4\n+ t"
	check(t, os.WriteFile(filepath.Join(dir, "journal"), []byte(lines), 0o600))
	d, dies := openDisk(t, dir)
	if c := crashed(t, d); fmt.Sprint(c) != "map[t2:2]" {
		t.Fatalf("crashed %v, want t2 alone", c)
	}
	if b, err := d.CrashedBefore(); err != nil || fmt.Sprint(b) != "map[t2:[{myco-a 1 }]]" {
		t.Fatalf("known to have crashed before %v, %v", b, err)
	}
	check(t, d.Begin("t5", 1)) // on a line of its own
	dies()
	d, _ = openDisk(t, dir)
	if c := crashed(t, d); fmt.Sprint(c) != "map[t2:2 t5:1]" {
		t.Fatalf("crashed %v, want t2 and t5", c)
	}
}

func TestJournalStaysSmall(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d, dies := openDisk(t, dir)
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
	dies()
	d, _ = openDisk(t, dir)
	if c := crashed(t, d); fmt.Sprint(c) != "map[kept:1 last:3]" {
		t.Errorf("crashed %v, want kept and last", c)
	}
}

func TestCrashedIsBounded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d, dies := openDisk(t, dir)
	for i := range jet.CrashedMost + 10 {
		check(t, d.Begin(bus.TaskID(fmt.Sprint("t", i)), 1))
	}
	dies()
	d, _ = openDisk(t, dir)
	c := crashed(t, d)
	if len(c) != jet.CrashedMost || c["t9"] != 0 || c["t10"] != 1 {
		t.Errorf("%d crashed, the oldest kept: %d, want the newest %d", len(c), c["t9"], jet.CrashedMost)
	}
}

// What crashed before the last start is kept in small number, also where the journal was written anew meanwhile.
func TestCrashedOfLongAgoIsFew(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d, dies := openDisk(t, dir)
	for i := range 3 * jet.OlderMost {
		check(t, d.Begin(bus.TaskID(fmt.Sprint("t", i)), 1))
	}
	dies()
	d, dies = openDisk(t, dir)
	if c := crashed(t, d); len(c) != 3*jet.OlderMost {
		t.Errorf("%d crashed with the process before, want %d", len(c), 3*jet.OlderMost)
	}
	check(t, d.Begin("t0", 2)) // once more
	check(t, fill(d, dir))
	check(t, d.Begin("next", 1))
	dies()
	d, _ = openDisk(t, dir)
	c := crashed(t, d)
	if len(c) < jet.OlderMost+2 || len(c) > jet.OlderMost+3 || c["t0"] != 2 || c["next"] != 1 || c[bus.TaskID(fmt.Sprint("t", 3*jet.OlderMost-1))] != 1 || c["t1"] != 0 {
		t.Errorf("%d crashed, want the newest %d of long ago, and those of the last process: %v", len(c), jet.OlderMost, c)
	}
}

func TestTermUnreadable(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, "term"), []byte("seven"), 0o600))
	d, _ := openDisk(t, dir)
	_, err := d.Term()
	if e := bus.AsError(err); err == nil || e.Code != bus.CodeForbidden || e.Hint == "" {
		t.Errorf("a term that is no number: %v, want CodeForbidden and what to do", err)
	}
}

// A file of the state that cannot be used is named, and what to do.
func TestStateUnreadable(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"journal", "count", "term", "blobs"} {
		dir := t.TempDir()
		path := filepath.Join(dir, name)
		var err error
		if name == "blobs" {
			check(t, os.WriteFile(path, nil, 0o600))
		} else {
			check(t, os.Mkdir(path, 0o700))
		}
		if name == "term" {
			d, _ := openDisk(t, dir)
			_, err = d.Term()
		} else {
			_, err = jet.New(jet.Config{Dir: dir, Store: &nats.Conn{}})
		}
		if e := bus.AsError(err); err == nil || e.Code != bus.CodeForbidden || e.Hint == "" || !strings.Contains(e.Message, path) {
			t.Errorf("%s: %v, want CodeForbidden, the file and what to do", name, err)
		}
	}
}

// fill writes to the journal in dir until the next write replaces it.
func fill(d sched.Disk, dir string) error {
	for i := 0; ; i++ {
		info, err := os.Stat(filepath.Join(dir, "journal"))
		if err != nil || info.Size() > jet.JournalMost {
			return err
		}
		id := bus.TaskID(fmt.Sprintf("t-%060d", i/2))
		if i%2 == 0 {
			err = d.Begin(id, 1)
		} else {
			err = d.Finish(id)
		}
		if err != nil {
			return err
		}
	}
}

// TestJournalIsWholeAtAnyTime reads the journal while it is replaced, as the next process does after a kill.
func TestJournalIsWholeAtAnyTime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d, _ := openDisk(t, dir)
	check(t, d.Begin("kept", 1))
	filled := make(chan error, 1)
	go func() {
		var err error
		for i := 0; i < 3 && err == nil; i++ {
			if err = fill(d, dir); err == nil {
				err = d.Begin("kept", 1)
			}
		}
		filled <- err
	}()
	for reads := 0; ; reads++ {
		select {
		case err := <-filled:
			check(t, err)
			if reads == 0 {
				t.Error("nothing was read")
			}
			return
		default:
		}
		b, err := os.ReadFile(filepath.Join(dir, "journal"))
		if runtime.GOOS == "windows" && err != nil {
			continue // it is kept from readers while it gets its name
		}
		if check(t, err); !bytes.Contains(b, []byte("+ kept 1\n")) {
			t.Fatalf("the journal has %d bytes, and not the attempt that is open", len(b))
		}
	}
}

// TestJournalIsTriedAgain has one that cannot be replaced: attempts are refused until it can.
func TestJournalIsTriedAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d, dies := openDisk(t, dir)
	check(t, d.Begin("kept", 1))
	check(t, fill(d, dir))
	mend := spoil(t, filepath.Join(dir, "journal"))
	if err := d.Begin("refused", 1); err == nil {
		t.Fatal("an attempt that is in no journal may begin")
	}
	check(t, mend())
	check(t, errors.Join(d.Finish("refused"), d.Begin("last", 2)))
	dies()
	d, _ = openDisk(t, dir)
	if c := crashed(t, d); fmt.Sprint(c) != "map[kept:1 last:2]" {
		t.Errorf("crashed %v, want kept and last", c)
	}
}

// spoil sees to it that the file at path cannot be replaced, until mend is called.
func spoil(t *testing.T, path string) (mend func() error) {
	t.Helper()
	if runtime.GOOS == "windows" { // where one that somebody reads cannot be
		f, err := os.Open(path)
		check(t, err)
		return f.Close
	}
	check(t, os.Remove(path))
	check(t, os.MkdirAll(filepath.Join(path, "full"), 0o700))
	return func() error { return os.RemoveAll(path) }
}
