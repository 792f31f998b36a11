package sched

import (
	"context"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/protect"
)

const (
	forgetEvery = 10 * time.Minute
	endMost     = 64 // tasks whose end is written at one time

	missedFor = 30 * 24 * time.Hour // an end is kept for a node that is away
	askedBy   = time.Minute         // who is there for so long has asked for the ends of its tasks
)

// care looks after open tasks whatever the host does: deadlines, missing output, cancels that
// were not heard, custodians that are lost, and ends that are old.
func (o *outbox) care(ctx context.Context) {
	var forgot, collected time.Time
	for o.next(ctx, &o.cares, nil) {
		now := o.n.now()
		o.expire(ctx, now)
		o.refuse(ctx, now)
		o.endStuck(ctx, now)
		o.closeOverdue(now)
		o.repeatCancels(now)
		o.replaceCustodians(ctx, now)
		o.handBack(ctx, now)
		o.writeHeard()
		o.restore(ctx, now)
		if now.Sub(collected) > collectEvery && now.Sub(o.n.start) > listenFirst {
			collected = now
			o.collect(ctx, now)
		}
		if now.Sub(forgot) > forgetEvery {
			forgot = now
			o.forgetOld(ctx, now)
		}
	}
}

// expire ends what has passed its deadline. A custodian does so while the submitter is away.
func (o *outbox) expire(ctx context.Context, now time.Time) {
	if now.Sub(o.n.start) < listenFirst || now.Before(o.endAfter) || protect.Deadline.Off() {
		return // there may be no route yet to who knows better
	}
	var late []Job
	o.mu.Lock()
	for id, e := range o.entries {
		if o.n.expired(&e.job, now) && !o.awaited(id, now) {
			late = append(late, e.job)
		}
	}
	for id, k := range o.keptOpen {
		if o.entries[id] == nil && k.job.expired(now) && o.orphaned(k) && !o.awaited(id, now) {
			late = append(late, k.job)
		}
	}
	o.mu.Unlock()
	o.endAll(ctx, late, func(j *Job) Final {
		attempts, at := o.attemptsRead(ctx, j)
		e := o.errExpired(j.Task.ID, attempts)
		if at, ok := o.runningAt(j.Task.ID); ok {
			e = bus.Errorf(bus.CodeExpired, "its deadline passed while it ran on %s", at)
		}
		return Final{State: bus.StateExpired, Attempt: attempts, Ran: at, Error: e}
	})
}

// endAll ends tasks from outside, with what end says of each, but for those that have ended, as others know.
func (o *outbox) endAll(ctx context.Context, js []Job, end func(*Job) Final) {
	if len(js) == 0 {
		return
	}
	known := o.askFirst(ctx, js)
	// Side by side: each may wait for a host that does not answer.
	var all errgroup.Group
	all.SetLimit(endMost)
	for i := range js {
		all.Go(func() error {
			j := &js[i]
			if j.Durable() && (!known || o.isOver(j.Task.ID)) {
				return nil
			}
			f := end(j)
			if _, err := o.endTask(ctx, j, f); err != nil {
				o.n.log.Debug("end a task from outside", "task", j.Task.ID, "as", f.State, "err", err)
			}
			return nil
		})
	}
	_ = all.Wait() // they return none
}

// askFirst asks the others for ends of durable tasks, before this node writes one of its own. It reports false where this
// process just woke, and not all have answered yet who were there before: the tasks are ended in another try then.
func (o *outbox) askFirst(ctx context.Context, js []Job) (known bool) {
	if o.n.off(ProtectAskFirst) {
		return true
	}
	var ids []bus.TaskID
	for i := range js {
		if js[i].Durable() {
			ids = append(ids, js[i].Task.ID)
		}
	}
	woke := o.n.wokeLately(time.Time{}) // before it asks: a gap may begin meanwhile
	answered := o.ask(ctx, ids)
	if !woke || len(ids) == 0 || o.n.abreast(answered) {
		return true
	}
	o.endAfter = o.n.now().Add(retryWait)
	return false
}

// isOver reports whether a durable task has an end: in this node's store, or as another node has told.
func (o *outbox) isOver(id bus.TaskID) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	k := o.kept[id]
	return o.heard[id] != nil || k != nil && k.final != nil
}

// closeOverdue ends streams whose missing output will not come.
func (o *outbox) closeOverdue(now time.Time) {
	type late struct {
		id bus.TaskID
		f  Final
	}
	var all []late
	o.mu.Lock()
	for id, e := range o.entries {
		if f := e.out.overdue(now); f != nil && !e.job.Durable() {
			all = append(all, late{id, *f})
		}
	}
	for _, t := range o.tails {
		if t.e.out.overdue(now) != nil {
			t.e.out.cut()
		}
	}
	o.mu.Unlock()
	for _, l := range all {
		o.complete(l.id, l.f)
	}
}

// endTask ends a task from outside: at its custodians, in its record, and at whoever runs it.
func (o *outbox) endTask(ctx context.Context, j *Job, f Final) (bus.TaskInfo, error) {
	f.Task, f.At, f.Nonce = j.Task.ID, o.n.now(), string(bus.NewTaskID())
	if j.Durable() {
		kctx, cancel := context.WithTimeout(ctx, effectWait)
		defer cancel()
		if err := o.keep(kctx, j, f); err != nil {
			return bus.TaskInfo{}, err
		}
	}
	o.mu.Lock()
	o.cancels[j.Task.ID] = cancelling{*j, o.n.now()} // from now on who reports it is told to stop
	o.stir()
	o.mu.Unlock()
	if q, ok := o.n.queue.get(); ok {
		f.Queue = q
		o.tombstone(q, j, f)
	}
	o.stopRunning(j)
	if !j.Durable() && j.Submitter != o.n.cfg.ID {
		// Its submitter learns of it now, or when it asks.
		o.n.worker.remember(f)
		if err := o.n.fx.Publish(Msg{Subject: bus.SubjectOut(j.Submitter, j.Task.ID), Data: marshal(endMsg(f))}); err != nil {
			o.n.log.Debug("send the end", "task", j.Task.ID, "err", err)
		}
	}
	o.complete(j.Task.ID, f)
	o.n.event(bus.EventKind(f.State), j, f.Attempt, "")
	return j.info(f.State, &f), nil
}

func (o *outbox) stopRunning(j *Job) {
	m := Msg{Subject: bus.SubjectCancel(j.Submitter, j.Task.ID), Data: marshal(bus.TaskRequest{ID: j.Task.ID})}
	if err := o.n.fx.Publish(m); err != nil {
		o.n.log.Debug("send cancel", "task", j.Task.ID, "err", err)
	}
}

func (o *outbox) runningAt(id bus.TaskID) (bus.NodeID, bool) {
	if o.n.worker.find(id) != nil {
		return o.n.cfg.ID, true
	}
	return o.n.members.runningAt(id)
}

// awaits reports whether another node runs a task of somebody who waits for it here, or did until it failed there: it begins
// elsewhere soon.
func (o *outbox) awaits() bool {
	var waited []Job
	o.mu.Lock()
	for _, e := range o.entries {
		if !e.job.Durable() {
			waited = append(waited, e.job)
		}
	}
	o.mu.Unlock()
	return slices.ContainsFunc(waited, func(j Job) bool { return o.attempts(&j) > 0 })
}

// attempts returns how many attempts a task has had, as far as is known here.
func (o *outbox) attempts(j *Job) int {
	told, _ := o.n.members.known(j.Task.ID)
	return max(j.Attempts, told, o.n.worker.attemptOf(j.Task.ID))
}

// attemptsRead is attempts, and who runs the task, or ran it last, as far as is known: with what its record says where nothing is
// known, for no heartbeat tells of a short run.
func (o *outbox) attemptsRead(ctx context.Context, j *Job) (n int, at bus.NodeID) {
	n = o.attempts(j)
	at, _ = o.runningAt(j.Task.ID)
	if q, ok := o.n.queue.get(); ok && n == 0 {
		ctx, cancel := context.WithTimeout(ctx, keepWait)
		defer cancel()
		if r, _, err := o.n.fx.readRecord(ctx, q, j.Task.ID); err == nil {
			n, at = r.Attempt, r.Worker
			if r.Final != nil && r.Final.Unrun {
				n, at = n-1, r.Final.Ran
			}
		}
	}
	return n, at
}

// repeatCancels sends a cancel again while a heartbeat still reports the task.
func (o *outbox) repeatCancels(now time.Time) {
	if o.n.off(ProtectCancelRepeat) {
		return
	}
	var again []Job
	o.mu.Lock()
	for id, c := range o.cancels {
		if _, runs := o.runningAt(id); runs {
			again = append(again, c.job)
		}
		if now.Sub(c.since) > cancelFor {
			delete(o.cancels, id)
		}
	}
	o.mu.Unlock()
	for i := range again {
		o.stopRunning(&again[i])
	}
}

// replaceCustodians gives a durable task a second custodian where it has none, or where that
// has been lost for long. Where one does not take a task, the others wait: deadlines come after them.
func (o *outbox) replaceCustodians(ctx context.Context, now time.Time) {
	if !o.replacing.due(now) {
		return
	}
	var due []*entry
	o.mu.Lock()
	for _, e := range o.entries {
		if !e.job.Durable() || e.copying || !e.copied.due(now) {
			continue
		}
		c := e.job.Custodian
		if c != bus.NoCustodian && o.n.members.alive(c) && e.stores > 1 {
			e.lostAt = time.Time{}
			continue
		}
		if e.lostAt.IsZero() {
			e.lostAt = now
		}
		if wait := now.Sub(e.lostAt); c == bus.NoCustodian && wait > acceptWait || wait > replaceWait {
			due = append(due, e)
		}
	}
	o.mu.Unlock()
	for _, e := range due {
		c := o.custodian()
		if c == bus.NoCustodian || ctx.Err() != nil {
			return
		}
		if e.job.Blob != nil {
			o.replaceLarge(ctx, e, c)
			continue
		}
		if !o.replaceCustodian(ctx, e, c) {
			o.replacing.wait(o.n.now(), replacePause, replacePauseMost)
			return
		}
		o.replacing = backoff{}
	}
}

// replaceCustodian makes c the second custodian of e's task, and reports whether it is now.
func (o *outbox) replaceCustodian(ctx context.Context, e *entry, c bus.NodeID) bool {
	ctx, cancel := context.WithTimeout(ctx, acceptWait)
	defer cancel()
	if !o.ensure(ctx, c) {
		return false
	}
	j := e.job
	j.Custodian = c
	p := o.put(ctx, &j, c, nil, 2)
	if p.Stores+p.Refused < 2 {
		return false // another try, with the custodian that is best then
	}
	o.mu.Lock()
	e.job.Custodian, e.stores, e.lostAt = c, 2, time.Time{}
	o.mu.Unlock()
	o.n.log.Info("new custodian", "task", j.Task.ID, "custodian", c)
	return true
}

// forgetOld deletes ends that are older than the retention, and that are known to all who keep their tasks. It does so in
// the background: after a flood they are very many. What the disk does not delete is tried again.
func (o *outbox) forgetOld(ctx context.Context, now time.Time) {
	old := map[bus.TaskID]*kept{}
	o.mu.Lock()
	for id, k := range o.kept {
		if k.final != nil && now.Sub(k.endAt) > o.retentionOf(k.final) && !o.missedBy(k, now) {
			old[id] = k
			delete(o.kept, id)
		}
	}
	o.mu.Unlock()
	if len(old) == 0 {
		return
	}
	o.n.bg.run(func() {
		for id, k := range old {
			if ctx.Err() != nil {
				return
			}
			if err := o.forget(ctx, k); err != nil {
				o.refusals.Do("forget", func() { o.n.log.Warn("forget an old task", "task", id, "err", err) })
				o.remembers(id, k)
			}
		}
	})
}

// remembers takes back a task that was to be forgotten, unless there is another of its id.
func (o *outbox) remembers(id bus.TaskID, k *kept) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.kept[id] == nil {
		o.kept[id] = k
	}
}

// missedBy reports whether the end of k may be unknown to another node that keeps the task: it would have it
// run again when it is back. The caller holds mu.
func (o *outbox) missedBy(k *kept, now time.Time) bool {
	if now.Sub(k.endAt) > max(missedFor, o.n.cfg.Retention) {
		return false
	}
	return slices.ContainsFunc(o.keepers(k), func(id bus.NodeID) bool { return !o.n.members.met(id, now) })
}
