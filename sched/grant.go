package sched

import (
	"context"
	"strings"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// grantFor is how long after a slot has asked for work it may run what it is handed without asking
// its host whether the claim still stands. A host gives away what nobody reports after silentFor.
const grantFor = time.Second

// grant returns what claims a delivery for the slot that a asks for, where this is the task's first
// run as far as the host knows. The record is in the host's memory: a worker that claims for itself
// waits for the way there and back.
func (h *host) grant(a *asking) Grant {
	return func(id bus.TaskID, d Delivery) (c Claim, rec []byte, ok bool) {
		if d.Delivered != 1 || !h.n.isFresh(id) {
			return c, nil, false
		}
		r := firstRun(a.Node, a.to, d)
		return r.head(id, d), marshal(r), true
	}
}

// isFresh reports whether nobody is known here to have run a task.
func (n *Node) isFresh(id bus.TaskID) bool {
	if _, running := n.members.runningAt(id); running && !n.off(ProtectHoldBack) {
		return false
	}
	if attempts, crashes := n.members.known(id); (attempts > 0 || len(crashes) > 0) && !n.off(ProtectJournal) {
		return false
	}
	_, ended := n.outbox.over(id)
	return !ended || n.off(ProtectPreload)
}

// firstRun is the record of a task's first attempt.
func firstRun(worker bus.NodeID, nonce string, d Delivery) Record {
	return Record{State: bus.StateRunning, Worker: worker, Attempt: 1, Nonce: nonce, Ack: d.Ack, Seq: d.Seq}
}

// accept fills in what a's host has claimed for it. The worker decides as if there were no record,
// and gives back what it would not run.
func (a *attempt) accept() {
	if a.d.Rev != 0 && (a.inTime() || a.w.n.off(ProtectGrantAge)) {
		a.rec, a.rev = firstRun(a.w.n.cfg.ID, a.d.Nonce, a.d), a.d.Rev
	}
}

// inTime reports whether a may rely on what its host has claimed for it, by both clocks: the one that
// only goes forward stops while the machine sleeps.
func (a *attempt) inTime() bool {
	now := a.w.n.now()
	return now.Before(a.d.Until) && !now.Round(0).After(a.d.Until.Round(0))
}

// renewed reports whether a still has what its host has claimed for it, after a while.
func (w *worker) renewed(ctx context.Context, a *attempt) bool {
	if a.d.Rev == 0 || a.rev != a.d.Rev || a.inTime() {
		return true
	}
	return w.holds(ctx, a)
}

// holds writes a's claim again, and reports whether it still stood: its host has given it to nobody else, and
// nobody has ended it.
func (w *worker) holds(ctx context.Context, a *attempt) bool {
	ctx, cancel := w.n.queue.during(ctx)
	defer cancel()
	var err error
	a.rev, err = w.n.fx.UpdateClaim(ctx, a.q, a.head(), marshal(a.rec), a.rev, nil)
	if err != nil {
		w.n.log.Info("give up before it began", "task", a.job.Task.ID, "err", err)
	}
	return err == nil
}

// noteSlot remembers where a slot waits.
func (w *worker) noteSlot(to string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.slots[slotOf(to)] = true
}

// isSlot reports whether a run is named by a request of a slot of this process.
func (w *worker) isSlot(nonce string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.slots[slotOf(nonce)]
}

func slotOf(to string) string { return to[:max(0, strings.LastIndexByte(to, '.'))] }

// stands reports whether a's host has claimed for it what act is.
func (a *attempt) stands(act Action) bool {
	return a.rev != 0 && act.Kind == Run && act.Attempt == a.rec.Attempt && len(act.Crashes) == 0
}

// decline gives back a delivery that was not begun: its host forgets that it has handed it over.
func (w *worker) decline(ctx context.Context, a *attempt) {
	if a.rev != 0 {
		ctx, cancel := w.n.queue.during(ctx)
		defer cancel()
		if _, err := w.n.fx.UpdateClaim(ctx, a.q, Claim{Task: a.job.Task.ID, Ack: a.d.Ack, Key: a.d.Key, Seq: a.d.Seq}, nil, a.rev, nil); err != nil {
			w.n.log.Debug("decline", "task", a.job.Task.ID, "err", err) // its host sees that nobody runs it
		}
	}
	w.nak(a.ack(), holdBackFor)
}

// settle writes an end that is known here into what a's host has claimed for it.
func (w *worker) settle(ctx context.Context, a *attempt, f Final) {
	if a.rev == 0 {
		return
	}
	ctx, cancel := w.n.queue.during(ctx)
	defer cancel()
	a.rec.State, a.rec.Final = f.State, &f
	if _, err := w.n.fx.UpdateClaim(ctx, a.q, a.head(), marshal(a.rec), a.rev, nil); err != nil {
		w.n.log.Debug("note an end", "task", f.Task, "err", err)
	}
}
