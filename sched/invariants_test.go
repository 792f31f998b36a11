package sched_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
)

const (
	// wireTime is how long news may take through a network that is whole.
	wireTime    = 300 * time.Millisecond
	maxCrashes  = 3
	maxAttempts = 10
)

// check returns what is wrong with a swarm that has settled.
func (s *swarm) check() (bad []string) {
	s.mu.Lock()
	bad = append(bad, s.notes...)
	tasks := append([]*tracked(nil), s.tasks...)
	s.mu.Unlock()
	say := func(format string, args ...any) { bad = append(bad, fmt.Sprintf(format, args...)) }
	for q, n := range s.net.Opened() {
		if n > 1 {
			say("queue %v was opened %d times", q, n)
		}
	}
	if n := s.net.Copies(); n > 1 {
		say("a queue held %d copies of one task", n)
	}
	if s.host() < 0 {
		for _, n := range s.nodes {
			q, ok := n.now().node.Host()
			say("no common host: node %d follows %v %v", n.i, q, ok)
		}
	}
	for _, k := range tasks {
		runs := s.ledger.of(k.id)
		if k.durable {
			s.checkDurable(k, say)
		} else {
			s.checkAttached(k, say)
		}
		s.checkRuns(k, runs, say)
		s.checkOutput(k, say)
	}
	return bad
}

type sayFunc func(format string, args ...any)

// end is a terminal record in a store.
type end struct {
	sched.Final
	at time.Time
}

// endsAt returns the terminal records of a task in a store, oldest first.
func (n *member) endsAt(id bus.TaskID) (out []end) {
	for _, k := range n.m.Kept() {
		if k.Task != id {
			continue
		}
		var b struct{ Final *sched.Final }
		if json.Unmarshal(k.Data, &b) == nil && b.Final != nil {
			out = append(out, end{*b.Final, k.At})
		}
	}
	return out
}

// finals returns a durable task's end as its submitter has it; where that is gone, or could not write, as any has.
func (s *swarm) finals(k *tracked) []end {
	if n := s.nodes[k.from]; !n.gone {
		if es := n.endsAt(k.id); len(es) > 0 || !s.full {
			return es
		}
	}
	var first []end
	for _, n := range s.nodes { // all show the same
		if e := n.endsAt(k.id); !n.gone && len(e) > 0 && (first == nil || sooner(e[0], first[0])) {
			first = e
		}
	}
	return first
}

// openOnDisk reports whether a node has k on its disk, and none has its end: it runs, though its client may not know that it
// was accepted.
func (s *swarm) openOnDisk(k *tracked) (open bool) {
	for _, n := range s.nodes {
		if len(n.endsAt(k.id)) > 0 {
			return false
		}
		open = open || !n.gone && slices.ContainsFunc(n.m.Kept(), func(o sched.Kept) bool { return o.Task == k.id })
	}
	return open
}

// sooner reports whether of two ends a is shown where the submitter is away: one that is done, and else that of fewer attempts.
func sooner(a, b end) bool {
	if x, y := a.State == bus.StateDone, b.State == bus.StateDone; x != y {
		return x
	}
	if a.Attempt != b.Attempt {
		return a.Attempt < b.Attempt
	}
	return a.Node < b.Node
}

// crossed reports whether two ends may have met on the way: a cancel or a deadline, which no
// worker wrote, and a commit. Each reached one store first; that of the submitter counts.
func crossed(a, b end) bool { return (a.Node == "") != (b.Node == "") }

func (s *swarm) checkDurable(k *tracked, say sayFunc) {
	fs := s.finals(k)
	if !k.accepted || s.nodes[k.from].gone && k.copies < 2 {
		return // what was not promised may be there or not
	}
	if len(fs) == 0 {
		say("durable task %s was accepted and has no end (runs: %v)", k.id, s.ledger.of(k.id))
		return
	}
	first := fs[0]
	for _, n := range s.nodes {
		es := n.endsAt(k.id)
		if len(es) > 0 && es[0].Nonce != first.Nonce && !n.gone && !s.split && !s.twoEnds && !crossed(first, es[0]) {
			say("task %s ended as %s/%d by %s, but at node %d as %s/%d by %s", k.id, first.State, first.Attempt, first.Node,
				n.i, es[0].State, es[0].Attempt, es[0].Node)
		}
		if !n.m.Running() || n.gone {
			continue
		}
		info, err := n.now().node.Task(n.now().life, k.id)
		if err != nil || info.State != first.State || string(info.Result) != string(first.Result) {
			say("task %s is %s %s as node %d tells, want %s %s (%v)", k.id, info.State, info.Result, n.i, first.State, first.Result, err)
		}
	}
	for _, c := range k.ends {
		e := c.End
		if s.nodes[k.from].gone && s.twoEnds {
			continue // its own disk may have had another
		}
		if e.State != first.State || string(e.Result) != string(first.Result) {
			say("task %s was shown as %s %s, and is kept as %s %s", k.id, e.State, e.Result, first.State, first.Result)
		}
	}
	if !k.left && len(k.ends) != 1 {
		say("the client of durable task %s saw %d ends", k.id, len(k.ends))
	}
	s.checkState(k, first.State, first.Error, say)
	s.checkResult(k, first.State, s.whole(k, first.Final, say), say)
	s.checkTold(k, say)
	s.checkVisible(k, first, say)
}

// checkTold checks that the world was told of one end alone.
func (s *swarm) checkTold(k *tracked, say sayFunc) {
	if n := s.toldEnds(k); n > 1 && !s.split && !s.twoEnds {
		say("the end of task %s was told %d times", k.id, n)
	}
}

// checkVisible checks that nobody started the task once its end was known to a node that lived.
func (s *swarm) checkVisible(k *tracked, first end, say sayFunc) {
	if s.split || len(s.skew) > 0 { // first.at is by the clock of who wrote it
		return
	}
	for _, r := range s.ledger.of(k.id) {
		if r.began.Sub(first.at) > wireTime {
			say("task %s was started on %s %v after its end", k.id, r.node, r.began.Sub(first.at))
		}
	}
}

// checkState checks that a task ended as it should.
func (s *swarm) checkState(k *tracked, got bus.TaskState, cause *bus.Error, say sayFunc) {
	want := bus.StateDone
	switch {
	case s.tried[k.id], k.timeout > 0:
		return // either end is right
	case (s.owner != nil || s.putOut != nil || s.stuck && !k.durable) && cause != nil && cause.Code == bus.CodeNoWorker: // its node was closed, put out or drained
		want = bus.StateFailed
	case k.script.Poison, k.script.Hang == everywhere, k.script.Retry == everywhere:
		want = bus.StateDead
	case k.script.Fail:
		want = bus.StateFailed
	}
	killed, failed := s.ledger.diedOf(k.id), 0
	all := s.ledger.of(k.id) // with those whose end was lost on its way: all are attempts
	attempts := len(all) + killed
	for _, r := range all {
		switch {
		case r.how == "killed", r.how == "done" && !s.lives(r): // before it could tell its end
			killed++
		case r.how == "engine failed", r.how == "stopped" && string(r.node) == k.script.Hang:
			failed++
		}
	}
	if more := s.events(k, bus.EventStarted) - attempts; more > 0 && k.script.Pad != "" { // they ended while they got the payload
		killed, attempts = killed+more, attempts+more
	}
	for _, n := range s.nodes { // one that died before it began what it was handed: its next start cannot tell
		began := slices.ContainsFunc(all, func(r run) bool { return r.node == n.id })
		if !began && cause != nil && strings.Contains(cause.Message, string(n.id)) && (n.m.Starts() > 1 || !n.m.Running()) {
			killed, attempts = killed+1, attempts+1
		}
	}
	if got != want && (got != bus.StateDead || killed < maxCrashes && failed < maxFailures && attempts < maxAttempts) {
		say("task %s ended as %s (%v), want %s: %+v", k.id, got, cause, want, all)
	}
}

// lives reports whether the process that made a run lives still.
func (s *swarm) lives(r run) bool {
	return slices.ContainsFunc(s.nodes, func(n *member) bool { return n.id == r.node && n.m.Running() && n.m.Starts() == r.start })
}

func (s *swarm) checkAttached(k *tracked, say sayFunc) {
	if !k.accepted || k.left {
		return
	}
	if len(k.ends) != 1 {
		say("the client of attached task %s saw %d ends (runs: %v)", k.id, len(k.ends), s.ledger.of(k.id))
		return
	}
	if k.timeout == 0 && !s.tried[k.id] { // its submitter ends it too, whoever else does
		s.checkTold(k, say)
	}
	e := k.ends[0].End
	s.checkState(k, e.State, e.Error, say)
	s.checkResult(k, e.State, e.Result, say)
}

// checkResult checks that what is done has the whole result of a run.
func (s *swarm) checkResult(k *tracked, state bus.TaskState, result json.RawMessage, say sayFunc) {
	if state != bus.StateDone {
		return
	}
	for _, r := range s.ledger.of(k.id) {
		if want, err := json.Marshal(k.script.result(r.n)); err == nil && string(result) == string(want) {
			return
		}
	}
	say("task %s is done with the result %.100q, which none of its runs made", k.id, result)
}

// whole returns the result of a task that has ended, which may be kept apart from its end.
func (s *swarm) whole(k *tracked, f sched.Final, say sayFunc) json.RawMessage {
	if f.Blob == nil {
		return f.Result
	}
	for _, n := range s.nodes {
		if !n.m.Running() || n.gone {
			continue
		}
		info := bus.TaskInfo{ID: k.id, Submitter: nodeID(k.from), NodeID: f.Node, ResultBlob: f.Blob}
		if err := n.now().node.Whole(n.now().life, &info); err != nil {
			say("the result of task %s: %v", k.id, err)
		}
		return info.Result
	}
	return nil
}

func (s *swarm) checkRuns(k *tracked, runs []run, say sayFunc) {
	kills, at := 0, map[bus.NodeID]int{}
	for i, r := range runs {
		if k.script.Poison && r.how == "killed" {
			kills++
			at[r.node]++
		}
		if r.how == "" {
			say("task %s still runs on %s", k.id, r.node)
		}
		// A sender whose clock was never heard may have sent it long before its host's store had it.
		if _, heard := r.heard[nodeID(k.from)]; heard && k.timeout > 0 {
			if late := r.began.Sub(k.submitted) - k.timeout; late > wireTime {
				say("task %s was started %v after its deadline", k.id, late)
			}
			if late := r.ended.Sub(k.submitted) - k.timeout; late > time.Second && !r.frozen && !k.script.Slow && r.how != "killed" {
				say("task %s ran until %v after its deadline", k.id, late)
			}
		}
		at, ok := s.cancels[k.id]
		ok = ok && !s.split // else it may not be heard of
		if ok && r.began.Sub(at) > wireTime {
			say("task %s was started on %s %v after it was cancelled", k.id, r.node, r.began.Sub(at))
		}
		if ok && r.ended.Sub(at) > 2*time.Second {
			say("task %s ran on for %v after it was cancelled", k.id, r.ended.Sub(at))
		}
		for _, o := range runs[:i] {
			if o.node == r.node && o.start == r.start && r.began.Before(o.ended) {
				say("task %s runs twice at once on %s", k.id, r.node)
			}
		}
	}
	if kills > maxCrashes && !s.manyDown || slices.Max(append(slices.Collect(maps.Values(at)), 0)) > maxCrashes {
		say("task %s killed %d workers: %v", k.id, kills, at)
	}
}

// checkOutput checks that what was shown of each attempt is the output of one run without a gap, or of
// several that continue each other, each piece once, and that its result is that of the last.
func (s *swarm) checkOutput(k *tracked, say sayFunc) {
	attempt, next, piece, from := 0, 0, 0, 0
	for _, c := range k.chunks {
		var o output
		if err := json.Unmarshal(c.Data, &o); err != nil {
			say("task %s shows %s", k.id, c.Data)
			return
		}
		switch {
		case c.Attempt > attempt:
			attempt, next, piece, from = c.Attempt, 0, 0, 0
		case c.Attempt < attempt:
			say("task %s shows attempt %d after attempt %d", k.id, c.Attempt, attempt)
		}
		if c.Seq != next || c.Continues != nil && (next == 0 || c.Continues.Lost == "") {
			say("task %s shows chunk %d of attempt %d where %d is due (continues %+v)", k.id, c.Seq, c.Attempt, next, c.Continues)
			return
		}
		next++
		if c.Continues != nil {
			from = 0 // of another run
			continue
		}
		if from == 0 {
			from = o.Run
		}
		if o.I != piece || o.Run != from {
			say("task %s shows piece %d of run %d in attempt %d, want %d of run %d", k.id, o.I, o.Run, c.Attempt, piece, from)
			return
		}
		piece++
	}
	for _, e := range k.ends {
		var o output
		if e.End.State != bus.StateDone || json.Unmarshal(e.End.Result, &o) != nil {
			continue
		}
		if from != 0 && e.Attempt == attempt && o.Run != from && !s.ledger.goesOn(k.id, o.Run) {
			say("task %s shows the output of run %d and the result of run %d as one attempt", k.id, from, o.Run)
		}
		if e.Attempt < attempt {
			say("task %s ended as attempt %d after output of attempt %d", k.id, e.Attempt, attempt)
		}
	}
}

// pieces counts what was shown of a task.
func (s *swarm) pieces(k *tracked) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(k.chunks)
}

// seamless notes of tasks whose worker was lost in mid-answer where their client saw anything of that but
// a marker.
func (s *swarm) seamless(ks ...*tracked) {
	for _, k := range ks {
		s.mu.Lock()
		chunks := k.chunks
		s.mu.Unlock()
		pieces, goesOn := 0, 0
		for _, c := range chunks {
			if c.Attempt != chunks[0].Attempt {
				s.note("task %s begins anew after %d pieces", k.id, pieces)
				break
			}
			if c.Continues != nil {
				goesOn++
			} else {
				pieces++
			}
		}
		if runs := len(s.ledger.of(k.id)); pieces != k.script.Chunks || goesOn == 0 && runs > 1 {
			s.note("task %s shows %d pieces of %d, and goes on %d times in %d runs", k.id, pieces, k.script.Chunks, goesOn, runs)
		}
	}
}
