package lab

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/engine"
)

// Rules are what a run's ledger is held to beyond that nothing is lost.
type Rules struct {
	// Apart allows a result to be made, and told, twice: two hosts could not hear each other, or a
	// node was frozen while others took it for lost.
	Apart bool
	// Again is how many tasks may be run once more although a node that lives on had finished
	// them: where those that knew of it die within moments. The late result is superseded.
	Again int
	// Settle is how long after a run's end its node must have lived for the run to count as
	// finished for good; default 2 s.
	Settle time.Duration
}

// Seen is what one node tells of the durable tasks.
type Seen struct {
	Node  string
	Tasks map[bus.TaskID]bus.TaskInfo
}

// Report is a run's ledger.
type Report struct {
	// Accepted are durable tasks with a receipt; Attached those that a daemon took; Refused what
	// no daemon took; Unsure the durable tasks whose client was told neither.
	Accepted, Attached, Refused, Unsure int
	// Ended counts the durable tasks by how they ended.
	Ended map[bus.TaskState]int
	// Lost are accepted tasks without an end, or without the same end everywhere.
	Lost int
	// Gone are durable tasks of a node that was put out, with the only copy, or that had ended and whose
	// other keeper left the swarm.
	Gone int
	// Excused are attached tasks whose submitter was hurt.
	Excused int
	// Doubled are tasks that were told as done more than once.
	Doubled int
	// Runs are generations that engines began; Again those of a task that had begun before;
	// Twice those of a task that a node which lives on had finished before.
	Runs, Again, Twice int
	// Superseded are attempts that came too late.
	Superseded int
	// Hurts counts what was done.
	Hurts map[Act]int
	// Problems are the sentences that make the run a failure.
	Problems []string
}

// String is the report on one line.
func (r Report) String() string {
	var ends, hurts []string
	for _, s := range slices.Sorted(maps.Keys(r.Ended)) {
		ends = append(ends, fmt.Sprintf("%d %s", r.Ended[s], s))
	}
	for _, a := range slices.Sorted(maps.Keys(r.Hurts)) {
		hurts = append(hurts, fmt.Sprintf("%d %s", r.Hurts[a], a))
	}
	return fmt.Sprintf("%d durable accepted (%s), %d unsure, %d gone with who was put out, %d attached (%d excused), %d refused; after %s: %d lost, %d told twice; "+
		"%d runs, %d of them again, %d of what was finished, %d superseded",
		r.Accepted, strings.Join(ends, ", "), r.Unsure, r.Gone, r.Attached, r.Excused, r.Refused, strings.Join(hurts, ", "),
		r.Lost, r.Doubled, r.Runs, r.Again, r.Twice, r.Superseded)
}

func (r *Report) problem(format string, args ...any) {
	r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
}

// Audit holds the book of a run against what each node tells and what the engines ran.
func Audit(b *Book, seen []Seen, runs map[string][]engine.Run, rules Rules) Report {
	if rules.Settle == 0 {
		rules.Settle = 2 * time.Second
	}
	r := Report{Ended: map[bus.TaskState]int{}, Hurts: map[Act]int{}, Superseded: b.Events("", bus.EventSuperseded)}
	hurts := b.Hurts()
	for _, h := range hurts {
		r.Hurts[h.Act]++
	}
	for _, e := range b.Entries() {
		mine, before := runs[string(e.ID)], len(r.Problems)
		shown := e.Ends
		if e.Durable {
			r.durable(e, seen, mine, hurts, b.ended(e.ID))
			shown = b.Events(e.ID, bus.EventDone)
		} else {
			r.attached(e, mine, hurts)
		}
		if shown > 1 {
			r.Doubled++
			if !rules.Apart {
				r.problem("task %s was told as done %d times", e.ID, shown)
			}
		}
		r.ran(e, mine, hurts, rules)
		if len(r.Problems) > before {
			r.Problems[len(r.Problems)-1] += b.Story(e, mine)
		}
	}
	return r
}

// crashedOut reports whether a task may be dead: three nodes were killed in its life. Not every
// attempt gets as far as an engine.
func crashedOut(e Entry, runs []engine.Run, hurts []Hurt) bool {
	end := e.To
	for _, run := range runs {
		if run.End.After(end) {
			end = run.End
		}
	}
	n := 0
	for _, h := range hurts {
		if h.Act == Kill && h.meets(e.From, end) {
			n++
		}
	}
	return n >= 3
}

func hurt(hurts []Hurt, node string, from, to time.Time) bool {
	return slices.ContainsFunc(hurts, func(h Hurt) bool { return h.Node == node && h.meets(from, to) })
}

// left reports whether a node has left the swarm since: the copies that it kept for others, of tasks that
// had ended as well, stay nowhere.
func left(hurts []Hurt, since time.Time) bool {
	return slices.ContainsFunc(hurts, func(h Hurt) bool { return h.Act == Leave && h.From.After(since) })
}

func revoked(hurts []Hurt, node string) bool {
	return slices.ContainsFunc(hurts, func(h Hurt) bool { return h.Node == node && h.Act == Revoke })
}

// durable looks at a durable task; told tells that its end was heard of.
func (r *Report) durable(e Entry, seen []Seen, runs []engine.Run, hurts []Hurt, told bool) {
	var says []string
	var first bus.TaskInfo
	same, known := true, 0
	for i, s := range seen {
		info, ok := s.Tasks[e.ID]
		if ok {
			known++
		}
		if i == 0 {
			first = info
		}
		same = same && ok && info.State == first.State && info.NodeID == first.NodeID && info.Attempts == first.Attempts &&
			string(info.Result) == string(first.Result)
		says = append(says, fmt.Sprintf("%s: %s, attempt %d", s.Node, info.State, info.Attempts))
	}
	switch {
	case e.Accepted && known == 0 && revoked(hurts, e.Node) && (e.Copies < 2 || told && left(hurts, e.From)):
		r.Gone++
		return
	case e.Accepted:
		r.Accepted++
	case known == 0:
		r.Refused++
		return
	default:
		r.Unsure++
	}
	if !same || !first.State.Terminal() {
		r.Lost++
		r.problem("durable task %s (accepted: %v, from %s) has not one end everywhere: %s", e.ID, e.Accepted, e.Node, strings.Join(says, "; "))
		return
	}
	r.Ended[first.State]++
	switch {
	case first.State == bus.StateDone:
		res, err := bus.Result[bus.InferenceResult](first)
		if err != nil || res.Text != "done "+string(e.ID) {
			r.problem("durable task %s: text %q, error %v", e.ID, res.Text, err)
		}
	case first.State == bus.StateDead && crashedOut(e, runs, hurts):
	case !e.may(first.State):
		r.problem("durable task %s ended as %s: %v", e.ID, first.State, first.Error)
	}
}

func (r *Report) attached(e Entry, runs []engine.Run, hurts []Hurt) {
	if !e.Accepted {
		r.Refused++
		return
	}
	r.Attached++
	right := e.Ends == 1 && e.may(e.State) && (e.State != bus.StateDone || e.Text == "done "+string(e.ID))
	switch {
	case right:
	case e.Ends == 0 && e.may(bus.StateCancelled): // its client left
	case e.Ends <= 1 && e.State != bus.StateDone && hurt(hurts, e.Node, e.From, e.To):
		r.Excused++
	case e.Ends == 1 && e.State == bus.StateDead && crashedOut(e, runs, hurts):
	default:
		r.Lost++
		r.problem("attached task %s of %s: %d ends, state %s, text %q, error %v", e.ID, e.Node, e.Ends, e.State, e.Text, e.Err)
	}
}

// ran counts the runs of a task. A second one is a fault where a node that lives on had finished
// the task before it began.
func (r *Report) ran(e Entry, runs []engine.Run, hurts []Hurt, rules Rules) {
	r.Runs += len(runs)
	r.Again += max(0, len(runs)-1)
	for i, late := range runs {
		for _, early := range runs[:i] {
			if early.Outcome != engine.Finished || hurt(hurts, early.Engine, early.Start, early.End.Add(rules.Settle)) {
				continue
			}
			r.Twice++
			if !rules.Apart && r.Twice > rules.Again {
				r.problem("task %s began on %s although %s, which lives, had run it to its end", e.ID, late.Engine, early.Engine)
			}
			break
		}
	}
}
