package sim

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
)

// Machine is what outlives a process: a disk and a store.
type Machine struct {
	net *Net
	id  bus.NodeID

	// Guarded by net.mu.
	proc    *proc
	starts  int
	skew    time.Duration
	full    bool // its disk, see Fill
	term    uint64
	journal map[bus.TaskID]int
	before  map[bus.TaskID][]sched.Crash // of what is in the journal
	custody map[bus.NodeID]bool          // submitters whose outbox is made here
	kept    []sched.Kept
	blobs   map[sched.BlobID]blob    // on disk
	queues  map[sched.QueueID]*queue // in memory: they end with the process
}

// proc is one life of a machine's process: it implements all effects.
type proc struct {
	net     *Net
	m       *Machine
	ctx     context.Context //nolint:containedctx // the life of the process
	cancel  context.CancelFunc
	crashed map[bus.TaskID]int
	before  map[bus.TaskID][]sched.Crash

	// Guarded by net.mu.
	start    int
	killed   bool
	frozen   chan struct{} // closed when it goes on; nil while it runs
	frozenAt time.Time
	later    []func()  // effects that did not wait for the end of a freeze, see soon
	joined   time.Time // from then on it has routes
	subs     []*sub
	inboxes  int
	hands    *sub               // takes what is handed over, once made
	waiting  map[string]awaited // slots, by where they wait
	memory   map[sched.BlobID]blob
	made     map[[2]bus.NodeID]bool // outboxes, by submitter and custodian
}

// ID returns the machine's node id.
func (m *Machine) ID() bus.NodeID { return m.id }

// Start begins a new process, which must not run already. ctx ends with it.
func (m *Machine) Start() (ctx context.Context, fx sched.Effects) {
	m.net.mu.Lock()
	defer m.net.mu.Unlock()
	if m.proc != nil {
		panic("sim: " + string(m.id) + " runs already")
	}
	m.starts++
	p := &proc{
		net: m.net, m: m, crashed: maps.Clone(m.journal), before: maps.Clone(m.before), start: m.starts, memory: map[sched.BlobID]blob{},
		made: map[[2]bus.NodeID]bool{}, joined: time.Now().Add(connectTime),
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	m.proc, m.queues = p, map[sched.QueueID]*queue{}
	return p.ctx, sched.Effects{Wire: p, Queues: p, Outbox: outboxes{p}, Disk: p, Blobs: p}
}

// Skew sets the machine's clock that much ahead of the simulated time: what its store notes is
// by that clock.
func (m *Machine) Skew(ahead time.Duration) {
	m.net.mu.Lock()
	defer m.net.mu.Unlock()
	m.skew = ahead
}

// Fill has the machine's disk refuse what is written to it, as one that is full does, or take it again.
func (m *Machine) Fill(full bool) {
	m.net.mu.Lock()
	defer m.net.mu.Unlock()
	m.full = full
}

// Running reports whether the machine has a process, frozen or not.
func (m *Machine) Running() bool {
	m.net.mu.Lock()
	defer m.net.mu.Unlock()
	return m.proc != nil
}

// Frozen reports whether the machine's process is stopped.
func (m *Machine) Frozen() bool {
	m.net.mu.Lock()
	defer m.net.mu.Unlock()
	return m.proc != nil && m.proc.frozen != nil
}

// Starts counts the processes that the machine has had.
func (m *Machine) Starts() int {
	m.net.mu.Lock()
	defer m.net.mu.Unlock()
	return m.starts
}

// Kill ends the process at this instant. It does nothing any more, and its memory is gone.
func (m *Machine) Kill() {
	m.net.mu.Lock()
	p := m.proc
	m.net.mu.Unlock()
	if p != nil {
		p.kill()
	}
}

func (p *proc) kill() {
	p.net.mu.Lock()
	defer p.net.mu.Unlock()
	if p.killed {
		return
	}
	p.killed = true
	p.m.proc, p.m.queues = nil, nil
	if p.frozen != nil {
		close(p.frozen)
		p.frozen = nil
	}
	p.cancel()
}

// Freeze stops the process where it is, as SIGSTOP does, until Continue.
func (m *Machine) Freeze() {
	m.net.mu.Lock()
	defer m.net.mu.Unlock()
	if p := m.proc; p != nil && p.frozen == nil {
		p.frozen, p.frozenAt = make(chan struct{}), time.Now()
	}
}

// Continue lets a frozen process go on.
func (m *Machine) Continue() {
	m.net.mu.Lock()
	defer m.net.mu.Unlock()
	if p := m.proc; p != nil && p.frozen != nil {
		if now := time.Now(); now.Sub(p.frozenAt) > RouteTimeout {
			p.joined = now.Add(connectTime)
		}
		close(p.frozen)
		p.frozen = nil
		for _, do := range p.later {
			do()
		}
		p.later = nil
	}
}

// Gate blocks while the process of this start is frozen, and reports whether it is alive. What
// a process does beside its effects, a handler's work above all, goes through it.
func (m *Machine) Gate(start int) bool {
	m.net.mu.Lock()
	defer m.net.mu.Unlock()
	return m.proc != nil && m.starts == start && m.proc.thaw()
}

// Kept returns what the machine's store holds, whether its process lives or not.
func (m *Machine) Kept() []sched.Kept {
	m.net.mu.Lock()
	defer m.net.mu.Unlock()
	return append([]sched.Kept(nil), m.kept...)
}

// Damage makes the machine's store lose what it holds.
func (m *Machine) Damage() {
	m.net.mu.Lock()
	defer m.net.mu.Unlock()
	m.kept, m.blobs, m.custody = nil, map[sched.BlobID]blob{}, map[bus.NodeID]bool{}
}

// LoseJournal makes the machine forget what its last process ran, as one that lost its power may.
func (m *Machine) LoseJournal() {
	m.net.mu.Lock()
	defer m.net.mu.Unlock()
	m.journal, m.before = map[bus.TaskID]int{}, map[bus.TaskID][]sched.Crash{}
}

// thaw waits until the process is not frozen, and reports whether it is alive. The caller
// holds mu, which is free while thaw waits.
func (p *proc) thaw() bool {
	for p.frozen != nil {
		c := p.frozen
		p.net.mu.Unlock()
		<-c
		p.net.mu.Lock()
	}
	return !p.killed
}

// enter begins an effect: it waits while the process is frozen, and fails once it is dead. The
// caller gets mu locked where err is nil.
func (p *proc) enter(s Step) error {
	if p.crashes(s) {
		return errKilled
	}
	p.net.mu.Lock()
	if !p.thaw() {
		p.net.mu.Unlock()
		return errKilled
	}
	return nil
}

// soon is an effect that callers expect not to wait, for they hold a mutex: while the process is frozen it is
// put off, and the caller goes on to what waits. A goroutine that waits for a mutex would stop the clock
// of the simulation. do is called with mu held.
func (p *proc) soon(s Step, do func()) error {
	if p.crashes(s) {
		return errKilled
	}
	p.net.mu.Lock()
	killed := p.killed
	switch {
	case killed:
	case p.frozen != nil:
		p.later = append(p.later, do)
	default:
		do()
	}
	p.net.mu.Unlock()
	s.After = true
	if killed || p.crashes(s) {
		return errKilled
	}
	return nil
}

// leave ends an effect, with mu not held.
func (p *proc) leave(s Step) error {
	s.After = true
	if p.crashes(s) {
		return errKilled
	}
	p.net.mu.Lock()
	defer p.net.mu.Unlock()
	if !p.thaw() {
		return errKilled
	}
	return nil
}

func (p *proc) crashes(s Step) bool {
	s.Node = p.m.id
	p.net.mu.Lock()
	crash, dead := p.net.cfg.Crash, p.killed
	p.net.mu.Unlock()
	if dead || crash == nil || !crash(s) {
		return dead
	}
	p.kill()
	return true
}

// do is an effect on the own disk.
func (p *proc) do(s Step, fn func()) error {
	if err := p.enter(s); err != nil {
		return err
	}
	fn()
	p.net.mu.Unlock()
	return p.leave(s)
}

// onDisk is do for what a full disk refuses.
func (p *proc) onDisk(s Step, fn func()) error {
	full := false
	err := p.do(s, func() {
		if full = p.m.full; !full {
			fn()
		}
	})
	if full {
		return errors.Join(err, errFull)
	}
	return err
}

func (p *proc) Term() (t uint64, err error) {
	err = p.do(Step{Op: "Term"}, func() { t = p.m.term })
	return t, err
}

func (p *proc) SetTerm(t uint64) error {
	return p.onDisk(Step{Op: "SetTerm"}, func() { p.m.term = t })
}

func (p *proc) Begin(id bus.TaskID, attempt int, before ...sched.Crash) error {
	return p.onDisk(Step{Op: "Begin", Task: id}, func() {
		p.m.journal[id] = attempt
		delete(p.m.before, id)
		if len(before) > 0 {
			p.m.before[id] = slices.Clone(before)
		}
	})
}

func (p *proc) Finish(id bus.TaskID) error {
	return p.do(Step{Op: "Finish", Task: id}, func() {
		delete(p.m.journal, id)
		delete(p.m.before, id)
	})
}

func (p *proc) Crashed() (map[bus.TaskID]int, error) {
	return maps.Clone(p.crashed), p.do(Step{Op: "Crashed"}, func() {})
}

func (p *proc) CrashedBefore() (map[bus.TaskID][]sched.Crash, error) {
	return maps.Clone(p.before), p.do(Step{Op: "CrashedBefore"}, func() {})
}
