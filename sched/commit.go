package sched

import (
	"context"
	"errors"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Times of the commit.
const (
	keepWait  = 500 * time.Millisecond // for the custodians' stores to answer
	retryWait = 100 * time.Millisecond // between tries of what must not be lost
	endWait   = 30 * time.Second       // for all of a commit
	stopWait  = 3 * time.Second        // for what is left of it once the daemon stops, or leaves the swarm
)

// outlive returns a context that ends after most, and no later than after from when ctx ends: a daemon
// that stops still commits what it has finished, but a host that is out of reach does not hold it up.
func outlive(ctx context.Context, most, after time.Duration) (context.Context, context.CancelFunc) {
	out, cancel := context.WithTimeout(context.WithoutCancel(ctx), most)
	stop := context.AfterFunc(ctx, func() {
		t := time.NewTimer(after)
		defer t.Stop()
		select {
		case <-t.C:
			cancel()
		case <-out.Done():
		}
	})
	return out, func() { stop(); cancel() }
}

// end commits f as the end of attempt a, in the order of docs/protocol.md: the record by
// compare-and-set, the terminal record with the custodians, the end message, the event, and
// last the ack. Whoever is refused anywhere was superseded, and shows nothing.
func (w *worker) end(ctx context.Context, a *attempt, f Final) {
	ctx, cancel := outlive(ctx, endWait, stopWait)
	defer cancel()
	f.Task, f.Node, f.Attempt, f.Nonce, f.At = a.job.Task.ID, w.n.cfg.ID, a.rec.Attempt, a.rec.Nonce, w.n.now()
	f.Crashes = a.rec.Crashes
	if f.Unrun {
		f.Ran = a.rec.ran()
	}
	a.mu.Lock()
	f.Chunks, f.After = a.seq, a.after
	a.mu.Unlock()
	if w.n.off(ProtectAckLast) {
		w.ack(a.ack())
	}
	if w.endedAsleep(ctx, a) {
		w.superseded(a, f.State)
		return
	}
	if !w.commit(ctx, a, &f) || !w.n.off(ProtectKeepFirst) && !w.keep(ctx, a.job, f) {
		if ctx.Err() != nil { // nobody has refused it: its message stays, and is delivered again
			w.n.log.Warn("an end could not be written", "task", f.Task, "attempt", f.Attempt, "err", context.Cause(ctx))
			return
		}
		w.superseded(a, f.State)
		return
	}
	w.remember(f)
	if !a.told {
		if err := a.send(endMsg(f)); err != nil {
			w.n.log.Debug("send the end", "task", f.Task, "err", err)
		}
	}
	a.tell(bus.EventKind(f.State), "")
	if w.n.off(ProtectKeepFirst) {
		w.keep(ctx, a.job, f)
	}
	w.ack(a.ack())
}

// superseded drops the end of an attempt, as which it would have ended the task: that has an end already, or is another attempt's.
// An attempt that was cancelled mostly comes here, for who cancels a task writes its end: each client that leaves does, which
// is no news for the log.
func (w *worker) superseded(a *attempt, as bus.TaskState) {
	if as == bus.StateCancelled {
		w.n.log.Debug("a cancelled task has stopped", "task", a.job.Task.ID, "attempt", a.rec.Attempt)
		a.tell(bus.EventSuperseded, errCancelled.Message)
		a.result = bus.EventCancelled
	} else {
		w.n.log.Info("a result is dropped: another attempt has ended the task, or has it now, or it was cancelled", "task", a.job.Task.ID, "attempt", a.rec.Attempt)
		a.tell(bus.EventSuperseded, "another attempt finished first")
	}
	if !a.taken { // else the message is that attempt's, and whose is next where its worker dies
		w.ack(a.ack())
	}
}

// commit writes f into the task's record, under the claim's host or, when that has gone, under
// the present one. It reports false where another attempt has the record.
func (w *worker) commit(ctx context.Context, a *attempt, f *Final) bool {
	a.rec.State, a.rec.Final = f.State, f
	for ctx.Err() == nil {
		if cur, ok := w.n.queue.get(); ok && cur != a.q {
			if won, done := w.rehome(ctx, a, f, cur); done {
				return won
			}
			continue
		}
		f.Queue = a.q
		cctx, cancel := w.n.queue.during(ctx)
		rec := marshal(a.rec)
		then := a.hostTells(f, rec)
		_, err := w.n.fx.UpdateClaim(cctx, a.q, a.head(), rec, a.rev, then)
		cancel()
		switch {
		case err == nil:
			a.told = then != nil
			return true
		case errors.Is(err, ErrConflict) && w.n.off(ProtectCommit):
			return true
		case errors.Is(err, ErrConflict):
			if won, known := w.wrote(ctx, a.q, a); known {
				return won
			}
		}
		w.pause(ctx)
	}
	return false
}

// hostTellsMost is the size, in bytes, of a record with the end that its host tells: both cross in one
// message.
const hostTellsMost = 768 << 10

// hostTells returns the end message for the host to send, where nothing is left to do between the
// record rec and the end but that: the way by way of this worker is longer by one hop.
func (a *attempt) hostTells(f *Final, rec []byte) *Msg {
	if a.job.Durable() || a.job.Submitter == a.w.n.cfg.ID {
		return nil
	}
	end := marshal(endMsg(*f))
	if len(rec)+len(end) > hostTellsMost {
		return nil
	}
	return &Msg{Subject: bus.SubjectOut(a.job.Submitter, f.Task), Data: end}
}

// rehome commits under another host than the one of the claim, and tells whether this attempt
// won. It is not done where the host changes again.
func (w *worker) rehome(ctx context.Context, a *attempt, f *Final, q QueueID) (won, done bool) {
	f.Queue = q
	for ctx.Err() == nil && w.n.queue.is(q) {
		cctx, cancel := w.n.queue.during(ctx)
		_, err := w.n.fx.CreateClaim(cctx, q, a.head(), marshal(a.rec))
		cancel()
		if err == nil {
			w.n.log.Info("committed under a new host", "task", f.Task, "host", q.Host, "term", q.Term)
			return true, true
		}
		if errors.Is(err, ErrConflict) {
			if won, known := w.wrote(ctx, q, a); known {
				return won, true
			}
		}
		w.pause(ctx)
	}
	return false, false
}

// wrote tells whether the record under q is this attempt's own end, once that is known.
func (w *worker) wrote(ctx context.Context, q QueueID, a *attempt) (won, known bool) {
	cctx, cancel := context.WithTimeout(ctx, effectWait)
	defer cancel()
	cur, _, err := w.n.fx.readRecord(cctx, q, a.job.Task.ID)
	if err != nil {
		return false, false
	}
	a.taken = !cur.State.Terminal()
	return cur.Nonce == a.rec.Nonce && cur.State.Terminal(), true
}

// pause waits before another try, or until the host changes.
func (w *worker) pause(ctx context.Context) {
	t := time.NewTimer(retryWait)
	defer t.Stop()
	select {
	case <-t.C:
	case <-w.n.queue.change():
	case <-ctx.Done():
	}
}

// keep writes the end of a durable task to its custodians, and reports false where one of them
// has another end. It returns once at least one has it on disk; until then nothing is shown.
func (w *worker) keep(ctx context.Context, j *Job, f Final) bool {
	return !j.Durable() || w.n.outbox.keep(ctx, j, f) == nil
}

// finish completes the commit of a task whose record is terminal already: its worker may have
// died between the record and the rest.
func (w *worker) finish(ctx context.Context, q QueueID, d Delivery, j *Job) {
	f, ok, err := w.n.outbox.endOf(j.Task.ID)
	if err != nil {
		w.nak(d.Ack, claimRetry)
		return
	}
	if !ok {
		cur, _, err := w.n.fx.readRecord(ctx, q, j.Task.ID)
		if err != nil || cur.Final == nil {
			w.nak(d.Ack, claimRetry)
			return
		}
		f = *cur.Final
		if err := w.n.outbox.keepAny(ctx, j, f); err != nil {
			w.nak(d.Ack, claimRetry)
			return
		}
	}
	if err := w.n.fx.Publish(Msg{Subject: bus.SubjectOut(j.Submitter, j.Task.ID), Data: marshal(endMsg(f))}); err != nil {
		w.n.log.Debug("send the end", "task", j.Task.ID, "err", err)
	}
	w.ack(d.Ack)
}

// endedAway reports whether a task was ended by a worker that was lost and is back, and writes that end into
// its record. The host and the custodians may not have heard of it yet: they ask now and then.
func (w *worker) endedAway(ctx context.Context, a *attempt) bool {
	if w.n.off(ProtectAskRerun) {
		return false
	}
	f, ok := w.ended(a.job.Task.ID)
	if !ok {
		f, ok = w.n.askEnd(ctx, a.job.Task.ID)
	}
	if ok {
		w.settle(ctx, a, f)
	}
	return ok
}

func endMsg(f Final) outMsg {
	return outMsg{Nonce: f.Nonce, Attempt: f.Attempt, Seq: f.Chunks, Node: f.Node, Final: &f, After: f.After}
}
