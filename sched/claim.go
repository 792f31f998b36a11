package sched

import (
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/protect"
)

// Limits of an attempt.
const (
	maxCrashes   = 3 // attempts that ended with their worker's process, before a task is dead
	maxFailures  = 3 // attempts in which the engine hung or failed, before a task is dead
	maxAttempts  = 10
	renewEvery   = time.Second
	holdBackMS   = 250
	claimRetryMS = 200
	unseenMost   = 40 // deliveries of an attached task whose submitter is not heard
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
	Why      string
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
			return Action{Kind: Finish, Why: "already " + string(rec.State)}
		case rec.Seq != d.Seq && rec.Seq != 0 && rec.State != bus.StateQueued:
			return Action{Kind: Skip, Why: "a second copy of what runs"}
		}
		a.Why = "the lease of " + string(rec.Worker) + " lapsed"
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
		a.Kind, a.Why = Abandon, "its submitter is gone"
	case j.expired(now):
		a.Kind, a.Why = Expire, "its deadline passed"
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
