package jet

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/atomicfile"
	"github.com/mycoswarm/mycoswarm/sched"
)

var _ sched.Disk = (*disk)(nil)

const (
	// journalMost is the size in bytes at which the journal is written anew.
	journalMost = 1 << 20
	// crashedMost is how many crashed attempts are kept over a start, and olderMost how many of them over another one: each
	// heartbeat tells them, and those of a node that is switched off in its work each evening would be ever more.
	crashedMost = 1000
	olderMost   = 100
)

// disk holds two files: "term", a number, replaced and synced; and "journal", lines that are
// appended and not synced, and replaced at the start and where they are too many. A process that dies loses nothing that it has written; a machine
// that dies may, and then no attempt is counted as a crash of its process.
type disk struct {
	dir     string
	crashed map[bus.TaskID]int
	before  map[bus.TaskID][]sched.Crash

	mu   sync.Mutex
	file *os.File
	size int64
	open []attempt // oldest first
}

type attempt struct {
	task   bus.TaskID
	n      int
	before []sched.Crash
	old    bool // it was begun before this process started
}

// lines are those of a in the journal. Older programs read the last alone.
func (a *attempt) lines() string {
	var b strings.Builder
	for _, c := range a.before {
		fmt.Fprintf(&b, "! %s %d %s %s\n", a.task, c.Attempt, c.Node, c.Boot)
	}
	fmt.Fprintf(&b, "+ %s %d\n", a.task, a.n)
	return b.String()
}

func openDisk(dir string) (*disk, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make state directory: %w", err)
	}
	d := &disk{dir: dir, crashed: map[bus.TaskID]int{}, before: map[bus.TaskID][]sched.Crash{}}
	if err := errors.Join(atomicfile.Clean(d.path("term")), atomicfile.Clean(d.path("journal"))); err != nil {
		return nil, fmt.Errorf("tidy up the state directory: %w", err)
	}
	b, err := atomicfile.Read(d.path("journal"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	d.replay(b)
	older := 0 // they come first
	for _, a := range d.open {
		if a.old {
			older++
		}
	}
	d.open = d.open[max(0, older-olderMost, len(d.open)-crashedMost):]
	for i, a := range d.open {
		d.open[i].old = true
		d.crashed[a.task] = a.n
		if len(a.before) > 0 {
			d.before[a.task] = a.before
		}
	}
	if err := d.rewrite(); err != nil {
		return nil, err
	}
	return d, nil
}

func (d *disk) path(name string) string { return filepath.Join(d.dir, name) }

// replay reads "+ <task> <attempt>", before it "! <task> <attempt> <node> <boot>" for each crash that was known then, and
// "- <task>"; "=" where a process started. A line that is cut short is ignored.
func (d *disk) replay(b []byte) {
	before := map[bus.TaskID][]sched.Crash{}
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		f := strings.Fields(s.Text())
		switch {
		case len(f) == 3 && f[0] == "+":
			if n, err := strconv.Atoi(f[2]); err == nil {
				id := bus.TaskID(f[1])
				d.note(attempt{task: id, n: n, before: before[id]})
				delete(before, id)
			}
		case len(f) >= 4 && f[0] == "!":
			if n, err := strconv.Atoi(f[2]); err == nil {
				id := bus.TaskID(f[1])
				before[id] = append(before[id], sched.Crash{Node: bus.NodeID(f[3]), Attempt: n, Boot: strings.Join(f[4:], " ")})
			}
		case len(f) == 2 && f[0] == "-":
			d.note(attempt{task: bus.TaskID(f[1])})
		case len(f) == 1 && f[0] == "=":
			for i := range d.open {
				d.open[i].old = true
			}
		}
	}
}

// note keeps a as the attempt of its task that is open, or none where its number is 0.
func (d *disk) note(a attempt) {
	d.open = slices.DeleteFunc(d.open, func(o attempt) bool { return o.task == a.task })
	if a.n > 0 {
		d.open = append(d.open, a)
	}
}

// Begin notes that an attempt, counted from 1, starts.
func (d *disk) Begin(id bus.TaskID, n int, before ...sched.Crash) error {
	a := attempt{task: id, n: n, before: slices.Clone(before)}
	return d.write(a, a.lines())
}

// Finish notes that a task's attempt ended with the process alive.
func (d *disk) Finish(id bus.TaskID) error {
	return d.write(attempt{task: id}, fmt.Sprintf("- %s\n", id))
}

func (d *disk) write(a attempt, line string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.note(a)
	if d.size > journalMost {
		return d.rewrite()
	}
	c, err := d.file.WriteString(line)
	d.size += int64(c)
	if err != nil {
		d.size = journalMost + 1 // the line may be cut short: the next one does not follow it
		return fmt.Errorf("write journal: %w", err)
	}
	return nil
}

// rewrite replaces the journal by one that holds the open attempts alone. It is closed meanwhile: Windows replaces
// no file that is open. Where that fails the next write tries again.
func (d *disk) rewrite() error {
	var b bytes.Buffer
	for i, a := range d.open {
		b.WriteString(a.lines())
		if a.old && (i+1 == len(d.open) || !d.open[i+1].old) {
			b.WriteString("=\n")
		}
	}
	_ = d.file.Close() // nothing is left to write to it
	d.size = journalMost + 1
	if err := atomicfile.Write(d.path("journal"), b.Bytes()); err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	f, err := os.OpenFile(d.path("journal"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	d.file, d.size = f, int64(b.Len())
	return nil
}

// Crashed returns the attempts that were begun and not finished when this process started.
// They are told again after the next start, until the task is begun anew or finished here.
func (d *disk) Crashed() (map[bus.TaskID]int, error) { return maps.Clone(d.crashed), nil }

// CrashedBefore returns the crashes that were known when those attempts began.
func (d *disk) CrashedBefore() (map[bus.TaskID][]sched.Crash, error) {
	return maps.Clone(d.before), nil
}

// Term is the highest term this node has claimed, 0 where it has claimed none.
func (d *disk) Term() (uint64, error) {
	b, err := atomicfile.Read(d.path("term"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fileError(fmt.Errorf("read term: %w", err))
	}
	term, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
	if err != nil {
		// Nothing is made up here: a term that was claimed before would let an old queue pass for a new one.
		return 0, bus.Errorf(bus.CodeForbidden, "%s is damaged: %w", d.path("term"), err).
			WithHint("write a number into that file that is higher than the term which myco swarm shows on any member; on a node that is alone, delete it")
	}
	return term, nil
}

// SetTerm replaces the term. It is on disk, synced, when SetTerm returns.
func (d *disk) SetTerm(term uint64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := atomicfile.Write(d.path("term"), fmt.Appendf(nil, "%d\n", term)); err != nil {
		return fmt.Errorf("write term: %w", err)
	}
	return nil
}

// fileError is err, of a file of this node's state, with what to do.
func fileError(err error) error {
	return bus.Errorf(bus.CodeForbidden, "%w", err).
		WithHint("give the data directory, with all that is in it, to the user that runs mycod, and room on its disk; or use another: mycod --data-dir DIR")
}

func (d *disk) close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.file.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("close journal: %w", err)
	}
	return nil
}
