package sim

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
)

// awaited is where a slot waits for work of one queue.
type awaited struct {
	q sched.QueueID
	c chan handed
}

// handed is what comes to a slot that waits.
type handed struct {
	d   sched.Delivery
	err error
}

func (p *proc) Await(q sched.QueueID, slot int) (to string, wait func(context.Context) (sched.Delivery, error), err error) {
	s := Step{Op: "Await"}
	if err := p.enter(s); err != nil {
		return "", nil, err
	}
	defer p.net.mu.Unlock()
	p.inboxes++
	to = fmt.Sprintf("%s%d.%d", slotPrefix(p), slot, p.inboxes)
	c := make(chan handed, 1)
	if p.waiting == nil {
		p.waiting = map[string]awaited{}
	}
	p.waiting[to] = awaited{q, c}
	return to, func(ctx context.Context) (sched.Delivery, error) {
		var h handed
		select {
		case h = <-c:
		case <-ctx.Done():
			h = p.giveUp(to, c, context.Cause(ctx))
		case <-p.ctx.Done():
			h.err = errKilled
		}
		if err := p.leave(s); err != nil {
			return sched.Delivery{}, err
		}
		return h.d, h.err
	}, nil
}

// giveUp ends a wait, but for what came in the very moment.
func (p *proc) giveUp(to string, c chan handed, cause error) handed {
	p.net.mu.Lock()
	defer p.net.mu.Unlock()
	delete(p.waiting, to)
	select {
	case h := <-c:
		return h
	default:
		return handed{err: cause}
	}
}

func (p *proc) Hand(q sched.QueueID, key bus.Key, to string, grant sched.Grant) error {
	return p.soon(Step{Op: "Hand"}, func() {
		k, other := p.m.queues[q], p.slotOwner(to)
		heard := other != nil && other.waiting[to].c != nil && (other == p || p.net.routed(p, other, time.Now()))
		if k == nil || !heard && grant == nil {
			return // the store delivers only where somebody listens
		}
		p.deliver(k, other, key, to, grant, handGrace)
	})
}

// Direct implements sched.Queues.
func (p *proc) Direct(q sched.QueueID, id bus.TaskID, d sched.Delivery, to string, c sched.Claim, rec []byte) error {
	s := Step{Op: "Direct"}
	if err := p.enter(s); err != nil {
		return err
	}
	k := p.m.queues[q]
	if k == nil || k.claims[id] != nil {
		p.net.mu.Unlock()
		if err := p.leave(s); err != nil {
			return err
		}
		return sched.ErrConflict
	}
	d.Nonce, d.Delivered, d.Rev = to, 1, k.write(c, rec)
	p.passOn(k, p.slotOwner(to), to, id, handed{d: d})
	p.net.mu.Unlock()
	return p.leave(s)
}

// handGrace is how long the store waits for a message that is not there yet.
const handGrace = time.Millisecond

// deliver hands the oldest message of key over, once there is one within grace. The caller holds mu.
func (p *proc) deliver(k *queue, other *proc, key bus.Key, to string, grant sched.Grant, grace time.Duration) {
	d, err := k.deliver(key, time.Now(), p.net.cfg.Lease)
	switch {
	case err != nil && grace > 0:
		time.AfterFunc(grace, func() {
			p.net.mu.Lock()
			defer p.net.mu.Unlock()
			if p.thaw() {
				p.deliver(k, other, key, to, grant, 0)
			}
		})
	case grant == nil || err != nil:
		p.passOn(k, other, to, k.taskOf(d.Seq), handed{d: d, err: err})
	default:
		p.pass(k, other, to, d, grant)
	}
}

// pass claims a delivery for the slot that it goes to, and passes it on. The caller holds mu.
func (p *proc) pass(k *queue, other *proc, to string, d sched.Delivery, grant sched.Grant) {
	if p.hands == nil {
		p.hands = p.subscribe("")
	}
	task := k.taskOf(d.Seq)
	p.hands.push(func() {
		c, rec, ok := grant(task, d)
		p.net.mu.Lock()
		defer p.net.mu.Unlock()
		d.Nonce = to
		if ok && k.claims[task] == nil {
			d.Rev = k.write(c, rec)
		}
		p.passOn(k, other, to, task, handed{d: d})
	})
}

// passOn sends a delivery, or that there is none, to where a slot waits. The caller holds mu.
func (p *proc) passOn(k *queue, other *proc, to string, task bus.TaskID, h handed) {
	if other == nil {
		return // lost
	}
	came := false
	p.net.send(p, other, Traffic{Op: "Hand", Ack: h.d.Ack}, func(time.Time) {
		if came {
			return // a connection repeats nothing
		}
		came = true
		slot := other.waiting[to]
		switch {
		case slot.c != nil && (slot.q == k.id || h.err != nil):
			delete(other.waiting, to)
			slot.c <- h
		case h.err == nil: // nobody waits for it: it goes back
			p.net.send(other, p, Traffic{Op: "refuse", Ack: h.d.Ack}, func(now time.Time) { k.refuse(task, h.d, now) })
		}
	})
}

// refuse frees a delivery, and takes back what was claimed for whoever gets it.
func (k *queue) refuse(task bus.TaskID, d sched.Delivery, now time.Time) {
	for _, m := range k.msgs {
		if m.seq == d.Seq && m.delivered == d.Delivered {
			m.free = now
		}
	}
	if r := k.claims[task]; d.Rev != 0 && r != nil && r.rev == d.Rev {
		k.write(sched.Claim{Task: task, Ack: d.Ack, Key: d.Key, Seq: d.Seq}, nil)
	}
}

// taskOf returns the task of a message.
func (k *queue) taskOf(seq uint64) (id bus.TaskID) {
	for _, m := range k.msgs {
		if m.seq == seq {
			id = m.task
		}
	}
	return id
}

// slotOwner returns the process whose slot to is, nil where that has ended. The caller holds mu.
func (p *proc) slotOwner(to string) *proc {
	for _, m := range p.net.order {
		if m.proc != nil && strings.HasPrefix(to, slotPrefix(m.proc)) {
			return m.proc
		}
	}
	return nil
}

func slotPrefix(p *proc) string { return fmt.Sprintf("_SLOT.%s.%d.", p.m.id, p.start) }
