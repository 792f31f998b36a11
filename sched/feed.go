package sched

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// run feeds what is open to the present host, and looks after the rest.
func (o *outbox) run(ctx context.Context) error {
	var all sync.WaitGroup
	defer all.Wait()
	all.Go(func() { o.care(ctx) })
	var synced QueueID
	for {
		if q, ok := o.n.queue.get(); ok && o.n.hearsAll(q.Host, o.n.now()) {
			if q != synced {
				// Only what the others do not know as ended is fed.
				o.noteExpected(o.n.now())
				o.ask(ctx, o.openIDs(o.n.now().Add(askAfter)))
				synced = q
			}
			o.feedOpen(ctx, q)
			o.feedKept(ctx, q)
			o.askAgain(ctx)
		}
		if !o.next(ctx, &o.feeds, o.poke) {
			return ctx.Err()
		}
	}
}

// meetWithin is how long a start waits for routes to all nodes that the host hears, before it
// feeds what it finds on its disk: who knows the end may be the last that it meets.
const meetWithin = 1500 * time.Millisecond

// hearsAll reports whether this node has a route to everybody that the host hears, or has waited
// for that long enough.
func (n *Node) hearsAll(host bus.NodeID, now time.Time) bool {
	if n.off(ProtectMeetAll) || now.Sub(n.start) > meetWithin {
		return true
	}
	routes := n.fx.Routes()
	for _, id := range n.members.sees(host) {
		if id != n.cfg.ID && !routes[id] {
			return false
		}
	}
	return true
}

// ask asks all nodes for the ends of ids, and returns who has answered.
func (o *outbox) ask(ctx context.Context, ids []bus.TaskID) (answered map[bus.NodeID]bool) {
	if len(ids) == 0 || o.n.off(ProtectSync) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, syncWithin)
	defer cancel()
	answered, err := o.n.sync(ctx, ids, func(Final) {})
	if err != nil {
		o.n.log.Debug("not all nodes answered which tasks have ended", "asked", len(ids), "err", err)
	}
	return answered
}

// openIDs returns the open tasks here that were last asked for more than askAfter before now,
// and notes that they are asked for.
func (o *outbox) openIDs(now time.Time) (ids []bus.TaskID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	told := func(id bus.TaskID) bool { h := o.heard[id]; return h != nil && h.final != nil }
	for id, e := range o.entries {
		if now.Sub(e.born) >= askAfter && now.Sub(e.askedAt) >= askAfter && !told(id) {
			e.askedAt = o.n.now()
			ids = append(ids, id)
		}
	}
	for id, k := range o.keptOpen {
		if o.entries[id] == nil && now.Sub(k.fedAt) >= askAfter && now.Sub(k.askedAt) >= askAfter && !told(id) {
			k.askedAt = o.n.now()
			ids = append(ids, id)
		}
	}
	return ids
}

// askAgain asks for tasks that have been open for long, and feeds them again: their end, or
// their message, may have been lost. Those that become due one after the other are asked for together: each
// question has every node send a heartbeat to all, and this node feeds nothing until they have answered.
func (o *outbox) askAgain(ctx context.Context) {
	now := o.n.now()
	if o.n.off(ProtectAskAgain) || now.Sub(o.asked) < askPause {
		return
	}
	ids := o.openIDs(now)
	if len(ids) == 0 {
		return
	}
	o.ask(ctx, ids)
	o.asked = o.n.now()
	o.mu.Lock()
	for _, id := range ids {
		if e := o.entries[id]; e != nil {
			e.acked = false
		}
		if k := o.kept[id]; k != nil {
			k.fed = QueueID{}
		}
	}
	o.mu.Unlock()
}

// feedsBefore is the order in which tasks are fed, which is theirs in the window, and at a host that goes: as
// they are taken from the queues, interactive ones first, then by priority, and of these in order of submission.
func feedsBefore(a, b *entry) int {
	return cmp.Or(moreUrgent(&a.job.Task, &b.job.Task), cmp.Compare(a.order, b.order))
}

func moreUrgent(a, b *bus.Task) int {
	return cmp.Or(cmp.Compare(boolInt(a.Lane == bus.Batch), boolInt(b.Lane == bus.Batch)), cmp.Compare(b.Priority, a.Priority))
}

// feedOpen feeds what was submitted here and is not in q yet, by feedsBefore.
func (o *outbox) feedOpen(ctx context.Context, q QueueID) {
	now := o.n.now()
	var due []*entry
	var again []bus.TaskID // that others were waited for, who may know the end
	o.mu.Lock()
	in := newWindow()
	o.freed = 0
	for id, e := range o.entries {
		switch {
		case o.heard[id] != nil: // it has ended
		case o.found(id) && o.n.expired(&e.job, now): // care ends it, once it has asked; a worker asks nobody
		case e.fed != q && o.expects(o.kept[id], now):
			e.waited = true
		case e.fed == q && e.acked:
			if e.job.Durable() {
				in.add(e.key, &e.job)
			}
		case e.fed != q, now.Sub(e.fedAt) > feedWait && !o.n.off(ProtectRefeed):
			due = append(due, e)
			if e.waited {
				e.waited, again = false, append(again, id)
			}
		}
	}
	o.mu.Unlock()
	o.ask(ctx, again)
	due = slices.DeleteFunc(due, func(e *entry) bool { return e.job.Durable() && !in.takes(e.key, &e.job) })
	slices.SortFunc(due, feedsBefore)
	for _, e := range due {
		if e.job.Durable() {
			if !in.takes(e.key, &e.job) {
				continue // when others have ended; those that somebody waits for do not wait for that
			}
			in.add(e.key, &e.job)
		}
		if !o.feed(ctx, q, e) {
			return // the host does not answer; next time
		}
	}
}

// feed stores one task in q.
func (o *outbox) feed(ctx context.Context, q QueueID, e *entry) bool {
	now := o.n.now()
	o.mu.Lock()
	if id := e.job.Task.ID; o.entries[id] != e || o.heard[id] != nil {
		o.mu.Unlock()
		return true // it has ended
	}
	e.fed, e.fedAt, e.acked = q, now, false
	j, key := e.job, e.key
	o.mu.Unlock()
	ok := o.feedJob(ctx, q, key, j, now)
	o.mu.Lock()
	if e.fed == q {
		e.acked = ok
	}
	o.mu.Unlock()
	return ok
}

func (o *outbox) feedJob(ctx context.Context, q QueueID, key bus.Key, j Job, now time.Time) bool {
	if left, has := o.n.left(&j, now); has {
		o.n.stamp(&j, left, now)
		j.By = o.n.cfg.ID
	}
	if !o.n.off(ProtectJournal) {
		n, cs := o.n.members.known(j.Task.ID)
		j.Attempts, j.Crashes = max(j.Attempts, n), mergeCrashes(j.Crashes, cs)
		fs, _ := o.n.members.failures(j.Task.ID)
		j.Failures = mergeFailures(j.Failures, fs)
	}
	ctx, cancel := context.WithTimeout(ctx, feedWait)
	defer cancel()
	key = o.n.shared(key, &j)
	message, need := sync.OnceValue(func() []byte { return marshal(&j) }), o.needOf(&j)
	h := o.n.host()
	if h != nil && h.q == q {
		if !j.Durable() && h.offer(key, need, &j, message) {
			return true
		}
		h.expect(key, j.Task.ID, need)
	}
	if h == nil && !j.Durable() && j.Blob == nil {
		return o.offerTo(ctx, q, key, need, message())
	}
	if err := o.n.fx.Feed(ctx, q, key, j.Task.ID, need, message()); err != nil {
		if h != nil {
			h.missed(j.Task.ID)
		}
		o.n.log.Debug("feed", "task", j.Task.ID, "host", q.Host, "err", err)
		return false
	}
	return true
}

// feedKept feeds the tasks of submitters that are away.
func (o *outbox) feedKept(ctx context.Context, q QueueID) {
	if o.n.off(ProtectCustody) {
		return
	}
	now := o.n.now()
	var due []*kept
	in := newWindow()
	o.mu.Lock()
	for id, k := range o.keptOpen {
		if k.found && k.job.expired(now) || o.expects(k, now) {
			continue // care ends what is overdue, once it has asked
		}
		switch {
		case o.heard[id] != nil || o.entries[id] != nil || k.job.Submitter != o.n.cfg.ID && !o.orphaned(k):
		case k.fed == q:
			in.add(k.job.key(), &k.job)
		case now.Sub(o.n.start) > listenFirst:
			due = append(due, k)
		}
	}
	slices.SortFunc(due, func(a, b *kept) int {
		return cmp.Or(moreUrgent(&a.job.Task, &b.job.Task), cmp.Compare(a.order, b.order))
	})
	var ids []bus.TaskID
	due = slices.DeleteFunc(due, func(k *kept) bool {
		key := k.job.key()
		if !in.takes(key, &k.job) {
			return true // when others have ended
		}
		in.add(key, &k.job)
		ids = append(ids, k.job.Task.ID)
		return false
	})
	o.mu.Unlock()
	// Its end may have been kept by a stand-in while this node was away.
	o.ask(ctx, ids)
	for _, k := range due {
		// Noted before it is fed: an end that comes meanwhile is then told to q.
		o.mu.Lock()
		open, before := k.final == nil && o.heard[k.job.Task.ID] == nil, k.fed
		j := k.job
		k.fed, k.fedAt = q, now
		o.mu.Unlock()
		if !open || o.feedJob(ctx, q, j.key(), j, now) {
			continue
		}
		o.mu.Lock()
		if k.fed == q {
			k.fed = before
		}
		o.mu.Unlock()
		return
	}
}
