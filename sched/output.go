package sched

import "github.com/mycoswarm/mycoswarm/bus"

// onOut takes in output of a task that was submitted here.
func (o *outbox) onOut(m Msg) {
	var out outMsg
	if bus.Unmarshal(m.Data, &out) != nil {
		return
	}
	if id, ok := bus.TaskOfOut(m.Subject); ok {
		o.take(id, out)
	}
}

// take puts output of a task into its stream.
func (o *outbox) take(id bus.TaskID, out outMsg) {
	o.mu.Lock()
	e := o.entries[id]
	open := e != nil
	if !open {
		e = o.tailOf(id)
	}
	o.mu.Unlock()
	if e == nil {
		return
	}
	gap, ended := e.out.take(out, o.n.now())
	if gap >= 0 {
		o.resend(id, out.Attempt, gap)
	}
	switch {
	case !open:
	case ended != nil:
		o.complete(id, *ended)
	case out.Final != nil && e.job.Durable():
		// It ends by its record in the store, which this one may have missed.
		o.learn(*out.Final)
	}
}

// resend asks who runs a task, or has just ended it, for its output from a chunk on.
func (o *outbox) resend(id bus.TaskID, attempt, from int) {
	r := resendMsg{Attempt: attempt, From: from}
	if err := o.n.fx.Publish(Msg{Subject: bus.SubjectResend(o.n.cfg.ID, id), Data: marshal(r)}); err != nil {
		o.n.log.Debug("ask for output again", "err", err)
	}
}
