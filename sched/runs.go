package sched

import (
	"slices"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// tellRun tells everybody what only this queue host knows of a task's runs: its records die with
// it, and heartbeats tell of a run too late where the run ends its process in a moment.
func (n *Node) tellRun(m runMsg) {
	m.Host = n.cfg.ID
	if err := n.fx.Publish(Msg{Subject: bus.SubjectRuns(n.cfg.ID), Data: marshal(m)}); err != nil {
		n.log.Debug("tell of a run", "task", m.Task, "err", err)
	}
}

// beginsHere tells of an attempt that is about to begin, where its record is in this process.
func (w *worker) beginsHere(a *attempt) {
	if a.q.Host == w.n.cfg.ID && !w.n.off(ProtectTellBegin) {
		w.n.tellRun(runMsg{Task: a.job.Task.ID, Submitter: a.job.Submitter, Begins: true, Attempt: a.rec.Attempt, Crashes: a.rec.Crashes})
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

// retell tells a node that has just started of the crashes of what is in the queue: it has heard of none.
func (h *host) retell() {
	if h.n.off(ProtectTellCrash) {
		return
	}
	h.do(func() {
		for id := range h.items {
			if attempt, cs := h.n.members.known(id); len(cs) > 0 {
				h.n.tellRun(runMsg{Task: id, Attempt: attempt, Crashes: cs})
			}
		}
	})
}

// onRun takes in what another host tells of a run.
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
	t := m.tell(r.Task, r.Attempt, m.now())
	t.crashes = mergeCrashes(t.crashes, r.Crashes)
	p := m.peers[r.Host]
	if !r.Begins || p == nil || slices.ContainsFunc(p.Beat.Running, func(o bus.Running) bool { return o.Task == r.Task }) {
		return
	}
	// Not in place: a View may hold the list.
	p.Beat.Running = append(slices.Clone(p.Beat.Running), bus.Running{Task: r.Task, Submitter: r.Submitter, Attempt: r.Attempt})
}

// Times after which a lost worker counts as crashed, though nobody has heard that.
const (
	returnWithin = 3 * time.Minute  // of silence: a machine without power says nothing
	handsBack    = 10 * time.Second // after its next start, which tells by then what had ended
)

// fateOf tells what has become of workers that were lost while they ran task, as far as is known here.
func (n *Node) fateOf(task bus.TaskID) func(Crash) Fate {
	return func(c Crash) Fate {
		if n.off(ProtectReturn) {
			return Ended
		}
		return n.members.fate(task, c)
	}
}

func (m *members) fate(task bus.TaskID, c Crash) Fate {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	asked := m.askedFor(task, c, now)
	p := m.peers[c.Node]
	if p == nil {
		p = &member{}
	}
	back := p.Beat.Boot == c.Boot
	switch {
	case back && (p.gone || p.State != bus.NodeLost && p.Seen.Sub(asked) > suspectAfter): // others may notice sooner than this node that it is lost
		return Returned
	case !back && p.Beat.Boot != "" && now.Sub(p.Seen)+time.Duration(p.Beat.UptimeMS)*time.Millisecond > handsBack:
		return Ended // its journal may be lost with the power
	case now.Sub(latest(p.Seen, m.began, m.wokeAt)) > returnWithin: // what was not heard before this process began, or while it slept, says nothing
		return Ended
	}
	return Unsure
}

// askedFor returns when fate was asked first. The caller holds mu.
func (m *members) askedFor(task bus.TaskID, c Crash, now time.Time) time.Time {
	t := m.tell(task, 0, now)
	if t.asked == nil {
		t.asked = map[Crash]time.Time{}
	}
	at, ok := t.asked[c]
	if !ok {
		at = now
		t.asked[c] = at
	}
	return at
}

func latest(t time.Time, others ...time.Time) time.Time {
	for _, o := range others {
		if o.After(t) {
			t = o
		}
	}
	return t
}
