package sched

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/protect"
)

// What one submitter may have open: in memory, and the durable part of it on disk too.
const (
	openMost      = 100_000   // tasks
	openBytesMost = 256 << 20 // bytes of their payloads and unknown fields
)

// errLeaving is told to who comes while what others have asked for ends.
var errLeaving = bus.Errorf(bus.CodeUnavailable, "this node is stopping or leaving its swarm").WithHint("try again in a moment, or at another node")

// Submit runs an attached task: it lives as long as its caller, and touches no disk. The
// caller reads its output and, if it leaves early, calls Cancel. A node that leaves takes none.
func (n *Node) Submit(t bus.Task) (*Output, bus.SubmitReply, error) {
	if n.isLeaving() {
		return nil, bus.SubmitReply{ID: t.ID}, errLeaving
	}
	return n.SubmitNext(t)
}

// SubmitNext is Submit for what was asked for before, and takes one task after the other: a node that leaves takes it, too, as long
// as somebody waits for the rest. It may be done by others alone.
func (n *Node) SubmitNext(t bus.Task) (*Output, bus.SubmitReply, error) {
	e, reply, err := n.outbox.admit(t, false)
	if err == nil {
		err = n.outbox.lend(e)
	}
	if err != nil {
		return nil, reply, err
	}
	n.event(bus.EventQueued, &e.job, 0, reply.Why) // before a slot can have it
	if q, ok := n.queue.get(); ok {
		feed := func() { n.outbox.feed(context.Background(), q, e) }
		if q.Host == n.cfg.ID {
			feed() // the own store answers at once, sooner than a goroutine wakes
		} else {
			n.bg.run(feed)
		}
	} else {
		n.outbox.wake()
	}
	return n.outbox.output(e), reply, nil
}

// Enqueue hands over a durable task: when it returns, the task is on disk, synced, on as many
// nodes as the receipt says, and will reach an end whoever dies. copies is how many it waits
// for, at most 2; for the second it waits for acceptWait at most, unless that is 2 and a payload
// in pieces takes longer.
func (n *Node) Enqueue(ctx context.Context, t bus.Task, copies int) (bus.Receipt, error) {
	return n.outbox.enqueue(ctx, t, copies)
}

// admit checks a task, decides where it may go, and makes its entry.
func (o *outbox) admit(t bus.Task, durable bool) (*entry, bus.SubmitReply, error) {
	lane := bus.Interactive
	if durable {
		lane = bus.Batch
	}
	t = t.WithDefaults(lane)
	reply := bus.SubmitReply{ID: t.ID}
	if err := t.Validate(); err != nil {
		return nil, reply, err
	}
	p, err := Place(t, o.n.Nodes(), o.n.cfg.ID, o.n.cfg.DefaultModel, durable)
	if err != nil {
		return nil, reply, err
	}
	reply.Model, reply.Why, reply.Demo = p.Task.Model, p.Why, p.Demo
	now := o.n.now()
	j := Job{Task: p.Task, Submitter: o.n.cfg.ID, Accepted: now}
	o.n.stamp(&j, t.Timeout, now)
	size := inline(&t)
	data := j.detach()
	if durable {
		size = inline(&j.Task) // what is detached is on disk
		j.Custodian = o.custodian()
	} else {
		j.Boot = o.n.cfg.Boot
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if !protect.Flood.Off() && (len(o.entries) >= openMost || o.openBytes+size > openBytesMost) {
		return nil, reply, bus.Errorf(bus.CodeBusy, "%d tasks of this node are open, with %d MiB of payload: the limit is %d, or %d MiB",
			len(o.entries), o.openBytes>>20, openMost, openBytesMost>>20).WithHint("wait for some of them to end: myco task ls")
	}
	if _, over := o.ended.get(t.ID); over || o.entries[t.ID] != nil || o.lending[t.ID] || o.kept[t.ID] != nil {
		return nil, reply, bus.Errorf(bus.CodeConflict, "task %s exists already", t.ID).WithHint("myco task show %s", t.ID)
	}
	o.count++
	e := &entry{job: j, key: j.key(), order: o.count, born: now, out: o.newStream(durable), data: data}
	switch {
	case durable:
	case data == nil:
		o.open(e)
	default: // not before its payload is where workers fetch it
		o.lending[t.ID] = true
		o.openBytes += e.size()
	}
	return e, reply, nil
}

func (o *outbox) output(e *entry) *Output {
	out := newOutput(e.out, o.n.now)
	out.over = o.n.over
	out.info = func(t *bus.TaskInfo) {
		o.mu.Lock()
		j := e.job // its custodian may just be replaced
		o.mu.Unlock()
		t.Type, t.Model, t.Submitter, t.Durable, t.Submitted = j.Task.Type, j.Task.Model, j.Submitter, j.Durable(), j.Accepted
	}
	return out
}

// besidePayload is, in bytes, what a durable task takes on disk beside its payload, at most.
const besidePayload = 4 << 10

func (o *outbox) enqueue(ctx context.Context, t bus.Task, copies int) (bus.Receipt, error) {
	if r, done, err := o.again(ctx, t); done {
		return r, err
	}
	size := inline(&t) + besidePayload
	if len(t.Payload) > bus.MaxInline {
		size -= len(t.Payload) // PutBlob takes that
	}
	release, err := o.n.cfg.Take(size)
	if err != nil {
		o.n.beatSoon() // nobody should choose this disk for a copy
		return bus.Receipt{}, err
	}
	defer release()
	e, reply, err := o.admit(t, true)
	if err != nil {
		if r, done, err := o.again(ctx, t); done { // another node has handed it over meanwhile, and this one keeps it
			return r, err
		}
		return bus.Receipt{}, err
	}
	if err := o.keepPayload(ctx, e, copies); err != nil {
		return bus.Receipt{}, err
	}
	want := 1
	actx, cancel := context.WithTimeout(ctx, acceptWait)
	defer cancel()
	if e.job.Custodian != bus.NoCustodian {
		ectx, cancel := context.WithTimeout(actx, acceptWait/2) // the own disk has the rest, whatever the other does
		if o.ensure(ectx, e.job.Custodian) {
			want = 2
		}
		cancel()
	}
	p := o.put(actx, &e.job, e.job.Custodian, nil, want)
	if p.Stores == 0 {
		return o.unanswered(ctx, e, t, p, reply.Why)
	}
	if p.Stores < copies && copies > 1 && len(o.n.View().Live()) > 1 {
		o.n.log.Info("accepted with fewer copies than asked", "task", e.job.Task.ID, "copies", p.Stores)
	}
	return o.accepted(e, reply.Why, p.Stores), nil
}

// accepted takes in a durable task that is on the disks of so many nodes, and returns its receipt.
func (o *outbox) accepted(e *entry, why string, stores int) bus.Receipt {
	id := e.job.Task.ID
	o.mu.Lock()
	e.stores = stores
	_, open := o.entries[id]
	if k := o.kept[id]; !open && (k == nil || k.final == nil) {
		o.open(e)
	}
	fits := o.fitsWindow()
	o.mu.Unlock()
	o.n.event(bus.EventQueued, &e.job, 0, why)
	switch q, ok := o.n.queue.get(); {
	case !ok:
		o.wake()
	case fits:
		o.n.bg.run(func() { o.feed(context.Background(), q, e) })
	}
	r := bus.Receipt{ID: id, Accepted: true, Copies: stores}
	if nodes := o.n.Nodes(); !canRunFor(e.key, nodes, o.n.cfg.ID) {
		r.Warning = waitsFor(e.key, nodes, o.n.cfg.ID, o.n.cfg.ID)
	}
	return r
}

// unanswered answers for a durable task, e, that no store has taken yet. The word of the own store may be on its way: that of a slow
// disk, or, where the stores have the task already, of one who has handed it over in the same moment, and was first.
func (o *outbox) unanswered(ctx context.Context, e *entry, t bus.Task, p Put, why string) (bus.Receipt, error) {
	ctx, cancel := context.WithTimeout(ctx, storeWait)
	defer cancel()
	for p.Refused > 0 || p.Pending {
		switch r, done, err := o.again(ctx, t); {
		case done && err == nil && p.Refused == 0:
			return o.accepted(e, why, r.Copies), nil
		case done:
			return r, err
		case ctx.Err() != nil && p.Refused > 0:
			return bus.Receipt{}, bus.Errorf(bus.CodeConflict, "task %s exists already", t.ID).WithHint("myco task show %s", t.ID)
		}
		if ctx.Err() != nil {
			break
		}
		o.n.worker.pause(ctx)
	}
	// A store may have it yet, and needs the payload then.
	return bus.Receipt{}, bus.Errorf(bus.CodeUnavailable, "not accepted: no store answered in time").WithHint("myco swarm")
}

// CheckID reports, as CodeConflict, that another node keeps a durable task of t's id with other content. What this node
// keeps, Enqueue sees.
func (n *Node) CheckID(ctx context.Context, t bus.Task) error {
	n.outbox.mu.Lock()
	here := n.outbox.kept[t.ID] != nil
	n.outbox.mu.Unlock()
	if here {
		return nil
	}
	sum, other := contentOf(t, nil).String(), false
	err := n.eachFound(ctx, t.ID, func(f found, _ bus.NodeID) { other = other || f.Sum != "" && f.Sum != sum })
	if err == nil && other {
		return errOtherContent(t.ID)
	}
	return err
}

func errOtherContent(id bus.TaskID) error {
	return bus.Errorf(bus.CodeConflict, "task %s exists with other content", id).WithHint("myco task show %s", id)
}

// again answers for a durable task that was accepted before: for the same content a receipt that tells on how many disks it
// is now, a conflict for other content.
func (o *outbox) again(ctx context.Context, t bus.Task) (r bus.Receipt, done bool, err error) {
	o.mu.Lock()
	k, e := o.kept[t.ID], o.entries[t.ID]
	r = bus.Receipt{ID: t.ID, Accepted: true, Copies: 1}
	var j Job
	var sum contentSum
	open := true
	switch {
	case t.ID == "":
	case k != nil:
		j, sum, open = k.job, k.sum, k.final == nil
	case e != nil && e.job.Durable(): // the own store may have missed it
		j, sum = e.job, contentOf(e.job.Task, e.job.Blob)
	}
	if e != nil {
		r.Copies = e.stores
	}
	o.mu.Unlock()
	if !j.Durable() {
		return bus.Receipt{}, false, nil
	}
	if sum != (contentSum{}) && sum != contentOf(t, nil) {
		return bus.Receipt{}, true, errOtherContent(t.ID)
	}
	if open {
		if err := o.putBack(ctx, &j, t.Payload); err != nil {
			return bus.Receipt{}, true, err
		}
	}
	r.Copies = max(r.Copies, o.n.copiesOf(ctx, t.ID))
	return r, true, nil
}

// copiesOf counts the nodes that keep a durable task, of those that are there.
func (n *Node) copiesOf(ctx context.Context, id bus.TaskID) int {
	at := map[bus.NodeID]bool{}
	err := n.eachFound(ctx, id, func(f found, node bus.NodeID) {
		if f.Sum != "" {
			at[node] = true
		}
	})
	if err != nil {
		n.log.Debug("not all nodes answered who keeps a task", "task", id, "err", err)
	}
	return len(at)
}

// custodian chooses who keeps the second copy: the host, else the steadiest other node.
func (o *outbox) custodian() bus.NodeID {
	v := o.n.members.view()
	self := o.n.cfg.ID
	if h := o.hostID(); h != "" && h != self && v.Alive(h) && takesCopies(v.Peers[h]) {
		return h
	}
	best := bus.NoCustodian
	for id, p := range v.Peers {
		if id == self || !takesCopies(p) {
			continue
		}
		if b := v.Peers[best]; best == bus.NoCustodian || p.Beat.UptimeMS > b.Beat.UptimeMS || p.Beat.UptimeMS == b.Beat.UptimeMS && id < best {
			best = id
		}
	}
	return best
}

func takesCopies(p Peer) bool { return p.State == bus.NodeReady && !p.Info.DiskFull }

// ensure makes this node's outbox at a custodian, where it is not there.
func (o *outbox) ensure(ctx context.Context, c bus.NodeID) bool {
	err := o.n.fx.Outbox.Ensure(ctx, o.n.cfg.ID, c)
	if err != nil {
		o.refusals.Do(string(c)+" "+err.Error(), func() { o.n.log.Warn("make an outbox at a custodian", "custodian", c, "err", err) })
	}
	return err == nil
}

// AttachAt reads the output of a task that was submitted at this node, from chunk from of an attempt on: where a later one
// has begun anew it is read from its beginning. Attempt 0 is whichever there is. ErrNotFound: the task was submitted
// elsewhere, or is unknown.
func (n *Node) AttachAt(id bus.TaskID, attempt, from int) (*Output, error) {
	o := n.outbox
	if out := o.attachOpen(id, attempt, from); out != nil {
		return out, nil
	}
	f, ok, err := o.endOf(id)
	if err != nil {
		return nil, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	var j *Job
	if k := o.kept[id]; k != nil {
		j = &k.job
	} else if e, has := o.ended.get(id); has {
		j = &e.job
	}
	if !ok || j == nil {
		return nil, ErrNotFound
	}
	t := j.info(f.State, &f)
	s := newStream(true, false)
	s.end = &bus.Chunk{Attempt: t.Attempts, Seq: f.Chunks, Node: t.NodeID, End: &t}
	if a := f.After; a != nil && a.Chunks > 0 {
		s.end.Attempt, s.end.Seq = a.Attempt, a.Chunks+f.Chunks
	}
	if r := o.results[id]; r != nil {
		s.readers = r
	}
	out := newOutput(s, o.n.now)
	out.over = o.n.over
	out.at = bus.PlaceAt(cmp.Or(attempt, s.end.Attempt), from)
	return out, nil
}

// attachOpen is AttachAt for a task that is open, or has ended just now; nil where it is neither.
func (o *outbox) attachOpen(id bus.TaskID, attempt, from int) *Output {
	o.mu.Lock()
	defer o.mu.Unlock()
	e := o.entries[id]
	if e == nil && attempt > 0 { // who comes back has missed its end
		e = o.tailOf(id)
	}
	if e == nil {
		return nil
	}
	out := o.output(e)
	e.out.mu.Lock()
	out.at = bus.PlaceAt(cmp.Or(attempt, e.out.attempt), from)
	e.out.mu.Unlock()
	return out
}

// Cancel ends a task, wherever it was submitted and wherever it runs. A task that has ended
// stays as it is: its TaskInfo tells.
func (n *Node) Cancel(ctx context.Context, id bus.TaskID) (bus.TaskInfo, error) {
	o := n.outbox
	var j Job
	o.mu.Lock()
	if e := o.entries[id]; e != nil {
		j = e.job
	} else if k := o.kept[id]; k != nil && k.final == nil {
		j = k.job
	}
	o.mu.Unlock()
	if j.Task.ID == "" {
		f, err := n.find(ctx, id)
		if err != nil || f.Info.State.Terminal() {
			return f.Info, err
		}
		j = f.job()
	}
	if f, ended := n.endedMeanwhile(ctx, &j, time.Time{}); ended {
		return j.info(f.State, &f), nil
	}
	attempts, at := o.attemptsRead(ctx, &j)
	t, err := o.endTask(ctx, &j, Final{State: bus.StateCancelled, Attempt: attempts, Ran: at, Error: errCancelled})
	if errors.Is(err, ErrConflict) {
		return n.Task(ctx, id)
	}
	return t, err
}
