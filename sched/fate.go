package sched

import (
	"fmt"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Times after which a lost worker counts as crashed, though nobody has heard that.
const (
	returnWithin = 3 * time.Minute  // of silence: a machine without power says nothing
	handsBack    = 10 * time.Second // after its next start, which tells by then what had ended
)

// lostRun is what this process has noted of a run whose worker was lost.
type lostRun struct {
	// up is for how long the start that was lost had run by its latest heartbeat, when fate was asked first
	// after one. Heartbeats may come late: only what it says of its own time tells that it lives.
	up    time.Duration
	heard bool
	// other is another start that was known when fate was asked first: it may be an earlier one, whose successor
	// was not heard here. up is for it then.
	other string
	// next is what members.listened was when a later start was noticed; 0 before.
	next time.Duration
}

// fateOf tells what has become of workers that were lost while they ran task, as far as is known here.
func (n *Node) fateOf(task bus.TaskID) func(Crash) Fate {
	return func(c Crash) Fate {
		if n.off(ProtectReturn) {
			return Ended
		}
		return n.members.fate(task, c)
	}
}

// fate goes by what was heard since it was asked first, and by times in which this process could hear: its
// own gaps say nothing.
func (m *members) fate(task bus.TaskID, c Crash) Fate {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.lostRun(task, c)
	p := m.peers[c.Node]
	if p == nil {
		p = &member{}
	}
	silent, up := m.listened-p.heard, time.Duration(p.Beat.UptimeMS)*time.Millisecond
	switch p.Beat.Boot {
	case "":
	case c.Boot:
		if !r.heard {
			r.heard, r.up = true, up
		}
		if p.gone || p.State != bus.NodeLost && up-r.up > suspectAfter { // others may notice sooner than this node that it is lost
			return Returned
		}
	default:
		if !r.heard && r.other == "" {
			r.other, r.up = p.Beat.Boot, up
		}
		if r.heard || p.Beat.Boot != r.other || up-r.up > suspectAfter { // it has begun, or lives, since then
			if silent+up > handsBack {
				return Ended // its journal may be lost with the power
			}
			if r.next == 0 {
				r.next = m.listened
			}
		}
		if r.next > 0 {
			silent = m.listened - r.next // it may start again and again
		}
	}
	if silent > returnWithin {
		return Ended
	}
	return Unsure
}

// lostRun returns what is noted of c. The caller holds mu.
func (m *members) lostRun(task bus.TaskID, c Crash) *lostRun {
	t := m.note(task, 0, m.now())
	r := t.lost[c]
	if r == nil {
		if t.lost == nil {
			t.lost = map[Crash]*lostRun{}
		}
		r = &lostRun{}
		t.lost[c] = r
	}
	return r
}

// heldNews is how long it is told that a task was held back: it is looked at again sooner.
const heldNews = 3 * time.Second

// noteHeld notes that task is neither run nor ended, because of c.
func (m *members) noteHeld(task bus.TaskID, c Crash) {
	m.mu.Lock()
	defer m.mu.Unlock()
	name, how := string(c.Node), fmt.Sprintf("this node has not heard; after %v the task is dead", returnWithin)
	if p := m.peers[c.Node]; p != nil {
		if p.Info.Name != "" {
			name = p.Info.Name
		}
		how = fmt.Sprintf("has been away for %v; after %v the task is dead", (m.listened - p.heard).Round(time.Second), returnWithin)
		if m.lostRun(task, c).next > 0 {
			how = fmt.Sprintf("has started again, and may tell its end; %v after that the task is dead", handsBack)
		}
	}
	m.holdLocked(task, "held back: it may still run on "+name+", which "+how)
}

// hold notes why task is neither run nor ended.
func (m *members) hold(task bus.TaskID, why string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.holdLocked(task, why)
}

// holdLocked is hold. The caller holds mu.
func (m *members) holdLocked(task bus.TaskID, why string) {
	t := m.note(task, 0, m.now())
	t.held, t.heldFor = why, m.listened+heldNews
}

// heldBack returns why task was neither run nor ended here a moment ago; empty where it was not held back.
func (m *members) heldBack(task bus.TaskID) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if t := m.told[task]; t != nil && m.listened < t.heldFor {
		return t.held
	}
	return ""
}
