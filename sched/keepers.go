package sched

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// awaitEnd is how long after its start a process writes no end of its own for a deadline that has passed, where another
// that keeps the task is away: it may know the end. For so long a custodian that is lost is waited for, too.
const awaitEnd = replaceWait

// expectBack is how long after its start a process runs nothing again where another that keeps the task is away.
const expectBack = 3 * time.Second

// keepers returns the other nodes whose disks may have k: its submitter, and all that were its custodian. The caller
// holds mu.
func (o *outbox) keepers(k *kept) (ids []bus.NodeID) {
	ids = append(ids, k.job.Submitter, k.job.Custodian)
	for _, p := range k.places {
		ids = append(ids, p.Custodian)
	}
	slices.Sort(ids)
	return slices.DeleteFunc(slices.Compact(ids), func(id bus.NodeID) bool {
		return id == "" || id == bus.NoCustodian || id == o.n.cfg.ID
	})
}

// away returns those of the keepers of k that are not there. The caller holds mu.
func (o *outbox) away(k *kept) []bus.NodeID {
	return slices.DeleteFunc(o.keepers(k), o.n.members.alive)
}

// found reports whether this process has found a task open on its disk, when it started. The caller holds mu.
func (o *outbox) found(id bus.TaskID) bool { return o.kept[id] != nil && o.kept[id].found }

// awaited reports whether the end of a task may yet be told by another that keeps it: this process has found the task
// open on its disk, a moment ago, and does not hear that one. The caller holds mu.
func (o *outbox) awaited(id bus.TaskID, now time.Time) bool {
	return o.found(id) && now.Sub(o.n.start) < awaitEnd && len(o.away(o.kept[id])) > 0
}

// expects reports whether k, which this process has found open on its disk, is not run again yet: another that keeps it is
// away, may know its end, and is back in a moment where both were killed, and started again. The caller holds mu.
func (o *outbox) expects(k *kept, now time.Time) bool {
	return k != nil && k.found && !o.n.off(ProtectExpect) && now.Sub(o.n.start) < expectBack && len(o.away(k)) > 0
}

// noteExpected notes for which open tasks others are waited for, before all nodes are asked: who comes back before they have
// answered was not asked with them, and is asked before the task is fed.
func (o *outbox) noteExpected(now time.Time) {
	if now.Sub(o.n.start) >= expectBack {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for id, e := range o.entries {
		if o.expects(o.kept[id], now) {
			e.waited = true
		}
	}
}

// waits reports whether the end of j, which nobody will run, is waited for: another that keeps it is away, was not put
// out, and may know it. For as long as ends are kept it is waited for, and whoever asks for the task is told so. Only
// care calls it.
func (o *outbox) waits(j *Job, putOut func(bus.NodeID) string, now time.Time) bool {
	o.mu.Lock()
	k := o.kept[j.Task.ID]
	var away []bus.NodeID
	if k != nil {
		away = o.away(k)
	}
	o.mu.Unlock()
	away = slices.DeleteFunc(away, func(id bus.NodeID) bool { return putOut(id) != "" })
	switch {
	case k == nil:
		return false
	case len(away) == 0:
		k.awayAt = time.Time{}
		return false
	case k.awayAt.IsZero():
		k.awayAt = now
	}
	most := o.n.cfg.Retention
	if now.Sub(k.awayAt) > most {
		return false
	}
	o.n.members.hold(j.Task.ID, fmt.Sprintf("held back: node %s, for which alone it is, was put out of the swarm; %s, which is away, may know its end, and is waited for, %v at most; to give it up: myco task cancel %s",
		putOut(j.Task.Node), o.nameOf(away[0]), most, j.Task.ID))
	return true
}

func (o *outbox) nameOf(id bus.NodeID) string {
	name, _ := o.n.cfg.PutOut(id)
	return cmp.Or(name, string(id))
}

// errExpired is the error of a task that is ended at its deadline, and is not known to run. Where this process has found it on
// its disk, and another that keeps it is away, it cannot tell whether the task ever ran.
func (o *outbox) errExpired(id bus.TaskID, attempts int) *bus.Error {
	o.mu.Lock()
	var away []bus.NodeID
	if o.found(id) && attempts == 0 {
		away = o.away(o.kept[id])
	}
	o.mu.Unlock()
	if len(away) == 0 {
		return errExpired(attempts)
	}
	return bus.Errorf(bus.CodeExpired, "its deadline passed; whether it ran before this node started is not known, for %s is away", o.nameOf(away[0]))
}
