package sched

import (
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// told is what heartbeats have said of a task.
type told struct {
	attempt int
	crashes []Crash
	failed  failures
	at      time.Time
	lost    map[Crash]*lostRun // of crashes with a Boot
	held    string             // why its end waits, and until when that is news
	heldFor time.Duration
}

// note notes an attempt. The caller holds mu.
func (m *members) note(id bus.TaskID, attempt int, now time.Time) *told {
	t := m.told[id]
	if t == nil {
		t = &told{}
		m.told[id] = t
	}
	t.attempt, t.at = max(t.attempt, attempt), now
	return t
}

// known returns the highest attempt and the crashes that beats have told of a task. A peer that
// was lost while it ran the task counts as crashed until it is heard again: its journal is
// not told before it returns.
func (m *members) known(task bus.TaskID) (attempt int, crashes []Crash) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.told[task]
	if t == nil {
		return 0, nil
	}
	crashes = t.crashes
	for id, p := range m.peers {
		if p.State != bus.NodeLost || p.gone {
			continue
		}
		for _, r := range p.Beat.Running {
			if r.Task == task {
				crashes = mergeCrashes(crashes, []Crash{{id, r.Attempt, p.Beat.Boot}})
			}
		}
	}
	return t.attempt, crashes
}

// forgetTask drops what known keeps of a task that has ended.
func (m *members) forgetTask(task bus.TaskID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.told, task)
}
