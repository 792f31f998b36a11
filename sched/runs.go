package sched

import (
	"slices"

	"github.com/mycoswarm/mycoswarm/bus"
)

// tellRun tells everybody what only this node knows of a task's runs: a queue host's records die with
// it, and heartbeats tell of a run too late where the run ends its process in a moment.
func (n *Node) tellRun(m runMsg) {
	m.Host = n.cfg.ID
	if err := n.fx.Publish(Msg{Subject: bus.SubjectRuns(n.cfg.ID), Data: marshal(m)}); err != nil {
		n.log.Debug("tell of a run", "task", m.Task, "err", err)
	}
}

// beginsHere tells of an attempt that is about to begin, where its record is in this process, and there is
// somebody to tell.
func (w *worker) beginsHere(a *attempt) {
	if a.q.Host == w.n.cfg.ID && !w.n.members.alone() && !w.n.off(ProtectTellBegin) {
		w.n.tellRun(runMsg{Task: a.job.Task.ID, Submitter: a.job.Submitter, Begins: true, Attempt: a.rec.Attempt, Crashes: a.rec.Crashes, Failures: a.rec.Failures})
	}
}

// tellCrash tells of the crash of a claim's worker: who gets the task next may not have noticed.
func (n *Node) tellCrash(task bus.TaskID, c Crash) {
	if n.off(ProtectTellCrash) {
		return
	}
	m := runMsg{Task: task, Attempt: c.Attempt, Crashes: []Crash{c}}
	n.members.noteRun(m)
	n.tellRun(m)
}

// retell tells a node that has just started of the crashes and failures of what is in the queue: it has heard of none.
func (h *host) retell() {
	h.do(func() {
		for id := range h.items {
			h.n.tellKnown(id)
		}
	})
}

// tellKnown tells of the crashes and failures of a task, where there are some: who has started since they were told
// has not heard of them.
func (n *Node) tellKnown(id bus.TaskID) {
	if n.off(ProtectTellCrash) {
		return
	}
	attempt, cs := n.members.known(id)
	if fs, _ := n.members.failures(id); len(cs)+len(fs) > 0 {
		n.tellRun(runMsg{Task: id, Attempt: attempt, Crashes: cs, Failures: fs})
	}
}

// readJournal takes in what ended with the process before.
func (n *Node) readJournal() error {
	crashed, err := n.fx.Crashed()
	if err != nil {
		return err
	}
	before, err := n.fx.CrashedBefore()
	if err != nil {
		return err
	}
	n.mu.Lock()
	n.crashed = crashed
	n.mu.Unlock()
	for id, cs := range before {
		n.members.noteRun(runMsg{Task: id, Attempt: crashed[id], Crashes: cs})
	}
	return nil
}

// tellJournal tells a node that is new here what the journal says beside what heartbeats tell of it: the crashes
// before the last. All others may have lost them with their processes.
func (n *Node) tellJournal() {
	n.mu.Lock()
	journal := n.crashed
	n.mu.Unlock()
	for id := range journal {
		if _, cs := n.members.known(id); len(cs) > 1 {
			n.tellKnown(id)
		}
	}
}

// onRun takes in what another node tells of a run.
func (n *Node) onRun(m Msg) {
	var r runMsg
	if bus.Unmarshal(m.Data, &r) == nil && r.Host != n.cfg.ID && m.Subject == bus.SubjectRuns(r.Host) {
		n.members.noteRun(r)
	}
}

// noteRun notes a run as heartbeats would tell it.
func (m *members) noteRun(r runMsg) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.note(r.Task, r.Attempt, m.now())
	t.crashes = mergeCrashes(t.crashes, r.Crashes)
	t.failed.note(r.Failures, m.now())
	p := m.peers[r.Host]
	if !r.Begins || p == nil || slices.ContainsFunc(p.Beat.Running, func(o bus.Running) bool { return o.Task == r.Task }) {
		return
	}
	// Not in place: a View may hold the list.
	p.Beat.Running = append(slices.Clone(p.Beat.Running), bus.Running{Task: r.Task, Submitter: r.Submitter, Attempt: r.Attempt})
}
