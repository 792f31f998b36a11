package sched

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Failure is an attempt in which the engine hung, or failed in the midst of the task: another engine may not,
// or the task does that to each.
type Failure struct {
	Node    bus.NodeID `json:"node"`
	Attempt int        `json:"attempt"`
	Why     string     `json:"why,omitempty"`
	// Hung is set where its watchdog stopped the attempt.
	Hung bool `json:"hung,omitempty"`
}

// mergeFailures returns the union of a and b, in order of a then b.
func mergeFailures(a, b []Failure) []Failure {
	out := slices.Clone(a)
	for _, f := range b {
		if !slices.ContainsFunc(out, func(o Failure) bool { return o.Node == f.Node && o.Attempt == f.Attempt }) {
			out = append(out, f)
		}
	}
	return out
}

// failures are those of a task that this process was told of, and when it last heard of one.
type failures struct {
	all []Failure
	at  time.Time
}

func (f *failures) note(more []Failure, now time.Time) {
	if all := mergeFailures(f.all, more); len(all) > len(f.all) {
		f.all, f.at = all, now
	}
}

// failures returns what workers have told of a task's failures, and when they last did.
func (m *members) failures(task bus.TaskID) ([]Failure, time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if t := m.told[task]; t != nil {
		return t.failed.all, t.failed.at
	}
	return nil, time.Time{}
}

// The next attempt at a task waits for a node that has not failed at it: an engine that fails is free again at once, and
// would have it before those that work.
const (
	spareSoon = 10 * time.Second
	spareFor  = 5 * time.Minute // the last one: an answer of a slow machine may take that long
)

// spares returns the nodes that failed at a task of key, from a submitter, where another node can run it: its next
// attempt is for that.
func (n *Node) spares(id bus.TaskID, key bus.Key, from bus.NodeID) (failed []bus.NodeID) {
	fs, at := n.members.failures(id)
	wait := spareSoon
	if len(fs) == maxFailures-1 {
		wait = spareFor
	}
	if len(fs) == 0 || len(fs) >= maxFailures || n.now().Sub(at) > wait {
		return nil
	}
	for _, f := range fs {
		failed = append(failed, f.Node)
	}
	others := slices.DeleteFunc(n.members.infos(), func(i bus.NodeInfo) bool {
		return i.State != bus.NodeReady || slices.Contains(failed, i.ID)
	})
	if !canRunFor(key, others, from) {
		return nil
	}
	return failed
}

// stall stops an attempt whose watchdog is not content. It counts as a failure unless the attempt has but
// waited behind another.
func (a *attempt) stall(now time.Time, waits bool) {
	a.mu.Lock()
	phase, silent, again := a.phase, now.Sub(a.fed), a.stalled
	a.stalled = true
	a.mu.Unlock()
	if again {
		return // its handler takes a while to return
	}
	a.w.n.log.Warn("watchdog", "task", a.job.Task.ID, "phase", phase, "silent", silent.Round(time.Millisecond), "behind_another", waits)
	if !waits {
		a.fails(fmt.Sprintf("no output for %v, in the phase %q: the engine hangs", silent.Round(time.Second), phase), true)
	}
	a.cancel(bus.ErrStalled)
}

// waitsBehind reports whether an attempt of the same type writes its output here: an engine that works on one
// request at a time says nothing of a that long, and does not hang.
func waitsBehind(a *attempt, all []*attempt, now time.Time) bool {
	return slices.ContainsFunc(all, func(o *attempt) bool {
		return o != a && o.job.Task.Type == a.job.Task.Type && o.writes(now)
	})
}

// writes reports whether output comes.
func (a *attempt) writes(now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.phase == outputPhase && now.Sub(a.fed) <= a.limit
}

// whyMost is how much of the cause of a failure is passed on, in bytes.
const whyMost = 500

// fails notes that a's engine hung or failed, and tells everybody at once: until the handler has returned,
// the host may have given the task to another.
func (a *attempt) fails(why string, hung bool) {
	if len(why) > whyMost {
		why = strings.ToValidUTF8(why[:whyMost], "") + "..."
	}
	f := Failure{Node: a.w.n.cfg.ID, Attempt: a.rec.Attempt, Why: why, Hung: hung}
	a.mu.Lock()
	a.failed = &f
	a.mu.Unlock()
	m := runMsg{Task: a.job.Task.ID, Attempt: f.Attempt, Failures: []Failure{f}}
	a.w.n.members.noteRun(m)
	a.w.n.tellRun(m)
}

// failure returns what fails has noted.
func (a *attempt) failure() []Failure {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.failed == nil {
		return nil
	}
	return []Failure{*a.failed}
}

// named returns the names of the nodes of fs, each once.
func (n *Node) named(fs []Failure) string {
	var names []string
	for _, f := range fs {
		info := n.members.infoOf(f.Node)
		if name := cmp.Or(info.Name, string(f.Node)); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// failedSoFar tells of the failures of a task, as far as they are known here; empty where there are none.
func (n *Node) failedSoFar(id bus.TaskID) string {
	fs, _ := n.members.failures(id)
	if len(fs) == 0 {
		return ""
	}
	last := fs[len(fs)-1]
	return fmt.Sprintf("attempt %d failed on %s: %s; after %d such attempts the task is given up", last.Attempt, n.named(fs[len(fs)-1:]), last.Why, maxFailures)
}

// givenUp is the error of a task that is dead, for why.
func (n *Node) givenUp(j *Job, r *Record, why string) *bus.Error {
	cs, fs := r.Crashes, r.Failures
	var e *bus.Error
	again := fmt.Sprintf("myco dead retry %s", j.Task.ID)
	switch {
	case len(fs) >= maxFailures && len(cs) < maxCrashes && j.Task.Model == "": // no engine is in it
		e = bus.Errorf(bus.CodeDead, "gave up after %d attempts, on %s; last: %s", len(fs), n.named(fs), fs[len(fs)-1].Why)
		switch {
		case j.Durable():
			return e.WithHint("%s", again)
		case j.Task.Type == bus.TypeFetch:
			return e.WithHint("check the URL; where one node alone reaches its server, name that: --node, or over HTTP the header X-Myco-Node")
		case j.Task.Type == bus.TypeSearch:
			return e.WithHint("myco doctor on that node tells what is wrong there")
		}
		return e.WithHint("myco task why %s", j.Task.ID)
	case len(fs) >= maxFailures && len(cs) < maxCrashes:
		last := fs[len(fs)-1]
		e = bus.Errorf(bus.CodeDead, "gave up after %d attempts in which the engine hung or failed, on %s; last: %s", len(fs), n.named(fs), last.Why)
		try := "myco doctor on that node, or the engine's log, tells more; or ask another model: myco models"
		if last.Hung {
			try = "ask another model, or give engines longer: mycod --first-token-limit 10m --token-limit 2m"
		}
		if j.Durable() {
			try += "; then: " + again
		}
		return e.WithHint("%s", try)
	case len(cs) > 0:
		nodes := make([]string, len(cs))
		for i, c := range cs {
			nodes[i] = string(c.Node)
		}
		e = bus.Errorf(bus.CodeDead, "gave up: %s (%d attempts ended with their worker: %s)", why, len(cs), strings.Join(nodes, ", "))
	default:
		e = bus.Errorf(bus.CodeDead, "gave up: %s", why)
	}
	if j.Durable() {
		e = e.WithHint("%s", again)
	}
	return e
}
