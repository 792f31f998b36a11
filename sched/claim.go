package sched

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/protect"
)

// Limits of an attempt.
const (
	maxCrashes  = 3 // attempts that ended with their worker's process, before a task is dead
	maxFailures = 3 // attempts in which the engine hung or failed, before a task is dead
	maxAttempts = 10
	renewEvery  = time.Second
	holdBackFor = 250 * time.Millisecond // what is given back for later stays with nobody
	claimRetry  = 200 * time.Millisecond // or could not be claimed
	unseenMost  = 40                     // deliveries of an attached task whose submitter is not heard
)

// ActKind is what a worker does with a delivery.
type ActKind int

// The kinds of Action.
const (
	Nothing  ActKind = iota // it is settled already
	Run                     // create the claim and run
	TakeOver                // replace the claim by compare-and-set, and run
	Finish                  // the record is terminal: complete its commit, then ack
	Skip                    // a duplicate copy: ack it
	HoldBack                // a live peer runs it: give it back for later
	Expire                  // its deadline has passed: end it
	Bury                    // it killed too many workers, or failed too often: end it
	Abandon                 // its client is gone: drop it
)

func (k ActKind) String() string {
	return [...]string{"nothing", "run", "take over", "finish", "skip", "hold back", "expire", "bury", "abandon"}[k]
}

// Action is the answer of OnDelivery.
type Action struct {
	Kind ActKind
	// Attempt is the number of the attempt to run.
	Attempt int
	Crashes []Crash
	// Failures are those that count.
	Failures []Failure
	// Why tells why the task is held back, or buried.
	Why string
	// Unsure is set where a task is held back that would be dead, if its worker had crashed there.
	Unsure *Crash
	// Ask tells to ask the others for the task's end first: an attempt of it neither crashed nor was given
	// back, as far as is known. Its worker may have been away, and have ended it there.
	Ask bool
}

// Sighting is what a worker knows of a delivered task beside the record.
type Sighting struct {
	// RunningAt is a live peer that reports the task with a healthy lease, or "".
	RunningAt bus.NodeID
	// Attempts and Crashes are the highest and the union of the job's, the beats' and the
	// worker's own journal; Failures are the union of the job's and of what workers have told.
	Attempts int
	Crashes  []Crash
	Failures []Failure
	// Fate tells what has become of a process that was lost while it ran the task. It is asked for crashes
	// with a Boot.
	Fate func(Crash) Fate
	// Unseen tells that this worker does not hear the submitter of an attached task, or hears
	// another start of it than the one that submitted.
	Unseen bool
}

// Fate is what has become of a process that was lost while it ran a task.
type Fate int

// The kinds of Fate.
const (
	Returned Fate = iota // it is heard again, or has said goodbye: it did not crash
	Unsure               // it is not heard, and may run the task to its end behind a link that is down
	Ended                // it has ended, or been away for long
)

// judge returns those of cs that count, one of them that may yet turn out to be none, and whether one did.
func (s Sighting) judge(cs []Crash) (count []Crash, unsure *Crash, back bool) {
	for _, c := range cs {
		fate := Ended
		if c.Boot != "" {
			fate = s.Fate(c)
		}
		if fate == Returned {
			back = true
			continue
		}
		count = append(count, c)
		if fate == Unsure {
			unsure = &c
		}
	}
	return count, unsure, back
}

// OnDelivery decides what a worker does with delivery d of job j. rec is the task's record in
// this term, nil where there is none. It is the table of claims in docs/protocol.md.
func OnDelivery(rec *Record, d Delivery, j *Job, s Sighting, now time.Time) Action {
	a := Action{Kind: Run, Attempt: s.Attempts + 1, Crashes: s.Crashes, Failures: s.Failures}
	var unsure *Crash
	gaveBack := rec != nil && rec.State == bus.StateQueued
	if rec != nil {
		a.Kind = TakeOver
		a.Attempt = max(a.Attempt, rec.Attempt+1)
		a.Crashes, a.Failures = mergeCrashes(rec.Crashes, a.Crashes), mergeFailures(rec.Failures, a.Failures)
		switch {
		case rec.State.Terminal():
			return Action{Kind: Finish}
		case rec.Seq != d.Seq && rec.Seq != 0 && rec.State != bus.StateQueued:
			return Action{Kind: Skip}
		}
	} else if s.RunningAt != "" {
		return Action{Kind: HoldBack, Why: "runs on " + string(s.RunningAt)}
	}
	a.Crashes, unsure, a.Ask = s.judge(a.Crashes)
	a.Ask = a.Ask || !gaveBack && len(a.Crashes) < a.Attempt-1
	if s.Unseen && d.Delivered < unseenMost {
		// Its output could not get there from here; another worker may be nearer.
		return Action{Kind: HoldBack, Why: "its submitter is not heard here"}
	}
	switch {
	case s.Unseen:
		a.Kind = Abandon
	case j.expired(now):
		a.Kind = Expire
	case len(a.Crashes) >= maxCrashes && !protect.Bury.Off():
		a.Kind, a.Why = Bury, "it ended with its worker too often"
	case len(a.Failures) >= maxFailures:
		a.Kind, a.Why = Bury, "its engine hung or failed too often"
	case a.Attempt > maxAttempts:
		a.Kind, a.Why = Bury, "it was tried too often"
	}
	if a.Kind == Bury && unsure != nil {
		return Action{Kind: HoldBack, Why: "it may still run on " + string(unsure.Node) + ", which is lost", Unsure: unsure}
	}
	return a
}

// claim writes the record that lets this worker run a, unless its host has, or says why not.
func (w *worker) claim(ctx context.Context, a *attempt) Action {
	q, d, j, id := a.q, a.d, a.job, a.job.Task.ID
	s := w.sighting(j)
	act := OnDelivery(nil, d, j, s, w.n.now())
	if act.Kind == HoldBack {
		return act
	}
	if f, ok, err := w.n.outbox.endOf(id); ok && !w.n.off(ProtectPreload) {
		if err != nil {
			return Action{Kind: HoldBack, Why: err.Error()}
		}
		w.settle(ctx, a, f)
		return Action{Kind: Finish}
	}
	if a.stands(act) {
		return act
	}
	a.rec = w.record(act, d)
	cctx, cancel := w.n.queue.during(ctx)
	defer cancel()
	var err error
	if a.rev == 0 {
		a.rec.Nonce = cmp.Or(d.Nonce, a.rec.Nonce) // what its host may have claimed, too long ago, is this
		a.rev, err = w.n.fx.CreateClaim(cctx, q, a.head(), marshal(a.rec))
	} else {
		a.rev, err = w.n.fx.UpdateClaim(cctx, q, a.head(), marshal(a.rec), a.rev, nil)
	}
	for tries := 0; err != nil && tries < 5 && cctx.Err() == nil; tries++ {
		cur, rev, gerr := w.n.fx.readRecord(cctx, q, id)
		switch {
		case errors.Is(gerr, ErrNotFound):
			a.rev, err = w.n.fx.CreateClaim(cctx, q, a.head(), marshal(a.rec))
			continue
		case gerr != nil:
			continue
		case cur.Nonce == a.rec.Nonce: // an earlier try got through, or its host has claimed it; it stands from now on
			a.rev, err = w.n.fx.UpdateClaim(cctx, q, a.head(), marshal(a.rec), rev, nil)
			continue
		}
		w.count(&s, id) // its host may have told meanwhile how the last attempt ended
		w.countRecord(&s, &cur, id)
		act = OnDelivery(&cur, d, j, s, a.w.n.now())
		if act.Kind == HoldBack || (act.Kind == Finish || act.Kind == Skip) && !w.n.off(ProtectClaim) {
			return act
		}
		if cur.Why != "" && act.Kind == Bury {
			act.Why += "; last: " + cur.Why
		}
		a.rec = w.record(act, d)
		a.rec.Later = cur.Later
		a.rev, err = w.n.fx.UpdateClaim(cctx, q, a.head(), marshal(a.rec), rev, nil)
	}
	if err != nil {
		w.nak(d.Ack, claimRetry)
		w.n.log.Debug("claim", "task", id, "err", err)
		return Action{}
	}
	return act
}

// sighting is what is known here of a task that was delivered.
func (w *worker) sighting(j *Job) Sighting {
	id := j.Task.ID
	s := Sighting{Attempts: j.Attempts, Crashes: j.Crashes, Failures: j.Failures, Fate: w.n.fateOf(id)}
	s.Unseen = !j.Durable() && (!w.n.members.alive(j.Submitter) || w.n.members.boot(j.Submitter) != j.Boot)
	if !w.n.off(ProtectHoldBack) {
		s.RunningAt, _ = w.n.members.runningAt(id)
		if w.find(id) != nil {
			s.RunningAt = w.n.cfg.ID
		}
	}
	w.count(&s, id)
	return s
}

// countRecord adds to s what r tells of an attempt that has not ended, or takes that out of r where it never began.
func (w *worker) countRecord(s *Sighting, r *Record, id bus.TaskID) {
	if r.State != bus.StateRunning {
		return
	}
	s.Crashes = mergeCrashes(s.Crashes, w.n.members.crashOf(r.Worker, r.Attempt))
	if r.Worker == w.n.cfg.ID && w.find(id) == nil && w.isSlot(r.Nonce) { // its host has claimed it for a slot here, which did not begin it
		r.Attempt--
	}
}

// count adds to s what is known here of a task's attempts, crashes and failures.
func (w *worker) count(s *Sighting, id bus.TaskID) {
	if w.n.off(ProtectJournal) {
		s.Attempts, s.Crashes, s.Failures = 0, nil, nil
		return
	}
	n, cs := w.n.members.known(id)
	s.Attempts, s.Crashes = max(s.Attempts, n), mergeCrashes(s.Crashes, cs)
	fs, _ := w.n.members.failures(id)
	s.Failures = mergeFailures(s.Failures, fs)
}

func (w *worker) record(act Action, d Delivery) Record {
	return Record{
		State: bus.StateRunning, Worker: w.n.cfg.ID, Attempt: act.Attempt, Nonce: string(bus.NewTaskID()), Ack: d.Ack,
		Seq: d.Seq, Crashes: act.Crashes, Failures: act.Failures,
	}
}

func (a *attempt) head() Claim { return a.rec.head(a.job.Task.ID, a.d) }

// head returns what heads r, the record of a task that came as delivery d.
func (r Record) head(id bus.TaskID, d Delivery) Claim {
	return Claim{Task: id, State: r.State, Worker: r.Worker, Attempt: r.Attempt, Ack: d.Ack, Key: d.Key, Seq: d.Seq}
}
