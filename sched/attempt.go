package sched

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Limits of the watchdog, until a handler sets its own.
const (
	startPhase  = "start"
	outputPhase = "output"
	firstOutput = 5 * time.Minute // loading a model, reading the prompt
	betweenOut  = 30 * time.Second
	resendBytes = 1 << 20 // of output kept for a resend
)

// Causes for which an attempt is stopped.
var (
	errCancelled     = bus.Errorf(bus.CodeCancelled, "the task was cancelled")
	errSubmitterGone = bus.Errorf(bus.CodeCancelled, "its submitter is gone")
	errSubmitterLost = bus.Errorf(bus.CodeCancelled, "its submitter is not heard here: it is gone, or behind a link that is down")
	errTooLate       = errors.New("its deadline passed before it began")
	errDeadline      = bus.Errorf(bus.CodeExpired, "its deadline passed while it ran")
)

// errExpired is how a task ends whose deadline passes while none of its attempts runs.
func errExpired(attempts int) *bus.Error {
	if attempts > 0 {
		return bus.Errorf(bus.CodeExpired, "its deadline passed after attempt %d, before the next one began", attempts)
	}
	return bus.Errorf(bus.CodeExpired, "its deadline passed in the queue, and it was never started")
}

// attempt is one run of a task by this worker.
type attempt struct {
	w      *worker
	job    *Job
	q      QueueID // where it was claimed
	d      Delivery
	rec    Record
	rev    uint64
	told   bool         // the host has sent the end
	taken  bool         // its record is another attempt's, which has not ended
	from   []bus.NodeID // who may have a payload over bus.MaxInline
	cancel context.CancelCauseFunc
	began  time.Time
	waited time.Duration // from its submission until then
	result bus.EventKind // how it went

	mu    sync.Mutex
	phase string
	limit time.Duration
	fed   time.Time // the watchdog
	first time.Time // the first piece of an answer
	seq   int       // of the next chunk
	after *after    // what its output continues
	kept  []outMsg  // the last resendBytes of output
	size  int
	// stalled tells that its watchdog has stopped it. failed is set where its engine hung or failed.
	stalled bool
	failed  *Failure
}

func (a *attempt) ack() string { return a.d.Ack }

// healthy reports whether the watchdog is content at now.
func (a *attempt) healthy(now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !a.stalled && now.Sub(a.fed) <= a.limit
}

// stopped reports whether its watchdog has stopped it.
func (a *attempt) stopped() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.stalled
}

func (a *attempt) setPhase(name string, limit time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.phase, a.limit, a.fed = name, limit, a.w.n.now()
}

// emit sends one chunk to the submitter.
func (a *attempt) emit(ctx context.Context, chunk any) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	data, err := bus.Marshal(chunk)
	if err != nil {
		return fmt.Errorf("encode output: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.fed = a.w.n.now()
	if a.first.IsZero() && says(chunk) {
		a.first = a.fed
	}
	if a.phase == startPhase { // the handler names no phases
		a.phase, a.limit = outputPhase, betweenOut
	}
	m := outMsg{Nonce: a.rec.Nonce, Attempt: a.rec.Attempt, Seq: a.seq, Node: a.w.n.cfg.ID, Data: data, After: a.after}
	a.seq++
	a.kept = append(a.kept, m)
	for a.size += len(data); a.size > resendBytes && len(a.kept) > 1; a.kept = a.kept[1:] {
		a.size -= len(a.kept[0].Data)
	}
	m.chunk = chunk
	return a.send(m)
}

func (a *attempt) send(m outMsg) error {
	if a.job.Submitter == a.w.n.cfg.ID {
		a.w.n.outbox.take(a.job.Task.ID, m)
		return nil
	}
	return a.w.n.fx.Publish(Msg{Subject: bus.SubjectOut(a.job.Submitter, a.job.Task.ID), Data: marshal(m)})
}

// process decides on a delivery, and runs it.
func (w *worker) process(ctx context.Context, q QueueID, p *pool, d Delivery, j *Job) {
	a := &attempt{w: w, job: j, q: q, d: d}
	a.accept()
	if j.Task.Type != p.typ { // nothing hands it over so
		w.n.log.Error("give back a task of another type than the slot's", "task", j.Task.ID, "type", j.Task.Type, "slot", p.typ)
		w.decline(ctx, a)
		return
	}
	if w.n.Draining() || w.refuses(j.Submitter, j.Task.Type) || slices.Contains(w.n.spares(j.Task.ID, d.Key, j.Submitter), w.n.cfg.ID) || !w.begin(j.Task.ID) {
		w.decline(ctx, a)
		return
	}
	defer w.done(j.Task.ID)
	act := w.claim(ctx, a)
	switch act.Kind {
	case HoldBack:
		w.n.log.Debug("hold back", "task", j.Task.ID, "why", act.Why)
		if act.Unsure != nil {
			w.n.members.noteHeld(j.Task.ID, *act.Unsure)
		}
		w.decline(ctx, a)
	case Skip:
		w.ack(d.Ack)
	case Finish:
		w.finish(ctx, q, d, j)
	case Expire:
		w.end(ctx, a, Final{State: bus.StateExpired, Unrun: true, Error: errExpired(a.rec.Attempt - 1)})
	case Bury:
		w.end(ctx, a, Final{State: bus.StateDead, Unrun: true, Error: w.n.givenUp(j, &a.rec, act.Why)})
	case Abandon:
		w.drop(ctx, a, w.submitterState(j))
	case Run, TakeOver:
		if act.Ask {
			if w.endedAway(ctx, a) {
				w.finish(ctx, q, d, j)
				return
			}
			if !w.holds(ctx, a) {
				return // it was cancelled or given to another: a task that is asked for is not yet reported as running
			}
		}
		if id, large := j.payload(); large {
			if a.from = w.n.locate(ctx, id, w.n.whoMayHave(j.Submitter, j.Custodian)); a.from == nil {
				w.unfed(ctx, a)
				return
			}
			if !w.renewed(ctx, a) {
				return // another has it
			}
		}
		w.runAttempt(ctx, p, a)
	case Nothing:
	}
}

// runAttempt runs the handler and ends the attempt.
func (w *worker) runAttempt(ctx context.Context, p *pool, a *attempt) {
	id := a.job.Task.ID
	hctx, cancel := context.WithCancelCause(ctx)
	a.cancel, a.began, a.result = cancel, w.n.now(), bus.EventLost
	if at, _ := w.n.members.clockOf(a.job.Submitter, a.began); !a.job.Accepted.IsZero() {
		a.waited = max(at.Sub(a.job.Accepted), 0)
	}
	a.setPhase(startPhase, firstOutput)
	w.mu.Lock()
	w.running[id] = a
	w.mu.Unlock()
	if !w.n.off(ProtectJournal) {
		if err := w.n.fx.Begin(id, a.rec.Attempt, a.rec.Crashes...); err != nil {
			w.n.log.Warn("write journal", "err", err)
		}
	}
	w.beginsHere(a)
	w.n.beatSoon()
	w.n.event(bus.EventStarted, a.job, a.rec.Attempt, "")
	result, err := w.handle(hctx, p, a)
	cause := context.Cause(hctx)
	if err == nil || cause == nil {
		cause = err
	}
	w.conclude(ctx, hctx, a, result, cause)
	cancel(nil)
	w.n.cfg.Meter.AttemptEnded(a.ran())
	w.keepSaid(a)
	w.mu.Lock()
	delete(w.running, id)
	w.mu.Unlock()
	if err := w.n.fx.Finish(id); err != nil {
		w.n.log.Warn("clear journal", "err", err)
	}
	if a.rec.State != bus.StateQueued { // given back: how it went here counts for whoever gets it next
		w.n.members.forgetTask(id)
	}
	w.n.beatSoon()
}

// submitterState is errSubmitterGone where the submitter of an attached task that is not heard here has said
// goodbye, or has started anew since: who has waited for the task waits no more. Else it is errSubmitterLost.
func (w *worker) submitterState(j *Job) *bus.Error {
	m := w.n.members
	same := m.boot(j.Submitter) == j.Boot
	if same && m.saidBye(j.Submitter) || !same && m.alive(j.Submitter) {
		return errSubmitterGone
	}
	return errSubmitterLost
}

// drop takes an attached task whose submitter is gone, or lost, out of the queue. It writes no end, and tells
// none where the submitter is lost: one that lives, behind a link that is down, feeds its task again and has
// it run to its end.
func (w *worker) drop(ctx context.Context, a *attempt, why *bus.Error) {
	ctx, cancel := context.WithTimeout(ctx, effectWait)
	defer cancel()
	a.rec.State, a.rec.Why = bus.StateQueued, why.Message
	head := a.head()
	head.State = bus.StateCancelled // for the host: nothing of it is left to give
	if _, err := w.n.fx.UpdateClaim(ctx, a.q, head, marshal(a.rec), a.rev, nil); err != nil {
		// Another has it, or its record may still say that it runs here. Its message stays then: of what is
		// fed in its place everybody would think that it is a second copy.
		w.n.log.Debug("drop", "task", a.job.Task.ID, "err", err)
		return
	}
	kind := bus.EventLost
	if errors.Is(why, errSubmitterGone) || w.n.off(ProtectTellLost) {
		kind = bus.EventCancelled
	}
	a.tell(kind, why.Message)
	w.ack(a.ack())
}

// handle calls the handler with its deadline and its watchdog. Once it has returned it emits nothing more.
func (w *worker) handle(ctx context.Context, p *pool, a *attempt) (result any, err error) {
	ctx, returned := context.WithCancel(ctx)
	defer returned()
	if left, has := a.w.n.left(a.job, a.w.n.now()); has {
		if left <= 0 { // this process was stopped, or the machine suspended, since it decided to run it
			return nil, errTooLate
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, left, errDeadline)
		defer cancel()
	}
	defer func() {
		if r := recover(); r != nil {
			err = bus.Errorf(bus.CodeInternal, "the handler of %q panicked: %v", a.job.Task.Type, r)
		}
		if err != nil && errors.Is(context.Cause(ctx), errDeadline) {
			err = errDeadline
		}
	}()
	task := a.job.Task
	if err := w.fed(ctx, a, &task); err != nil {
		return nil, err
	}
	hctx := bus.WithShown(bus.WithPhase(ctx, a.setPhase), a.shown)
	return p.handler.Handle(hctx, &task, func(chunk any) error { return a.emit(ctx, chunk) })
}

// conclude turns what the handler returned into an end, or gives the task back. hctx is done once the task
// is cancelled, or stopped otherwise: a large result may take minutes to get where it is shown from.
func (w *worker) conclude(ctx, hctx context.Context, a *attempt, result any, err error) {
	f := Final{State: bus.StateDone}
	switch {
	case err == nil:
		if f.Result, err = encodeResult(result); err != nil {
			f.State, f.Error = bus.StateFailed, bus.Errorf(bus.CodeInternal, "encode result: %w", err)
		} else if len(f.Result) > bus.MaxPayload {
			f.State, f.Result = bus.StateFailed, nil
			f.Error = bus.TooLarge("result", 0)
		}
	case ctx.Err() != nil: // this daemon ends; another worker takes over
		w.release(context.WithoutCancel(ctx), a, "worker stops")
		return
	case errors.Is(err, bus.ErrStalled), bus.IsRetry(err):
		if bus.IsRetryFew(err) {
			a.fails(err.Error(), false)
		}
		w.release(ctx, a, err.Error())
		return
	case errors.Is(err, errSubmitterGone), errors.Is(err, errSubmitterLost):
		w.drop(ctx, a, bus.AsError(err))
		return
	case errors.Is(err, errCancelled):
		f.State, f.Error = bus.StateCancelled, bus.AsError(err)
	case errors.Is(err, errTooLate):
		f.State, f.Error = bus.StateExpired, errExpired(a.rec.Attempt-1)
	case errors.Is(err, errDeadline):
		f.State, f.Error = bus.StateExpired, bus.AsError(err)
	default:
		f.State, f.Error = bus.StateFailed, bus.AsError(err)
	}
	if f.Error != nil {
		c := *f.Error
		c.Node = w.n.cfg.ID
		f.Error = &c
	}
	if err := w.carry(hctx, a, &f); err != nil {
		w.conclude(ctx, hctx, a, nil, err)
		return
	}
	w.end(ctx, a, f)
}

// release gives a task back for another node.
func (w *worker) release(ctx context.Context, a *attempt, why string) {
	w.n.log.Info("give back", "task", a.job.Task.ID, "attempt", a.rec.Attempt, "why", why)
	ctx, cancel := context.WithTimeout(ctx, effectWait)
	defer cancel()
	a.rec.State, a.rec.Why = bus.StateQueued, why
	a.rec.Failures = mergeFailures(a.rec.Failures, a.failure())
	if _, err := w.n.fx.UpdateClaim(ctx, a.q, a.head(), marshal(a.rec), a.rev, nil); errors.Is(err, ErrConflict) {
		a.result = bus.EventSuperseded // another has it
		return
	}
	w.mu.Lock()
	delete(w.running, a.job.Task.ID) // before another looks for who runs it
	w.mu.Unlock()
	w.n.beat()
	a.tell(bus.EventRetried, why)
	w.nak(a.ack(), giveBackDelay(a.rec.Attempt))
}
