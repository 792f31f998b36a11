package sched

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Costs, and guesses of what nobody has measured; those of a model are in pace.go.
const (
	guessStay       = time.Second            // of a task, for the account of its user
	guessAnswer     = 32                     // tokens of an answer that a bid counts beside the first
	guessLong       = 200                    // tokens of an answer that another waits for
	plainWork       = 10 * time.Millisecond  // a task without a model, of which nobody knows more
	plainMost       = 100 * time.Millisecond // what takes no longer counts as plainWork
	warmReads       = 10                     // a node that has a conversation's cache reads one token in so many
	mostTerm        = 10 * time.Minute       // no single estimate counts for more: what does is none, see Term.Last
	tightMemory     = 20 * time.Second       // the model does not fit into the free memory
	shortContext    = 30 * time.Minute       // the prompt is longer than the context
	pullSlows       = 10                     // percent by which a download slows what else a node does
	demoLast        = time.Hour              // the demo model answers where nobody else can
	ownerWeight     = 50 * time.Millisecond  // for each point of OwnerUse.Weight
	loadedBonus     = 300 * time.Millisecond // see Match
	priorityStep    = 2 * time.Second        // see Match
	holdGain        = 100 * time.Millisecond // a hold must save this much
	holdTimes       = 2                      // and the better node must be so many times better
	holdDefault     = 500 * time.Millisecond
	reservedDefault = 1 // slots of a node with two or more
)

// Tender is what nodes are asked to bid for.
type Tender struct {
	Key  bus.Key
	Need Need
	// Warm is the node that answered its conversation last; empty where there is none.
	Warm bus.NodeID
	// Pace is what is known of its model.
	Pace Pace
}

// Need is what a queue host knows of a task beside its key. It travels in a header of its message, so
// that the host need not read it. The zero value tells nothing.
type Need struct {
	// Prompt is about how many tokens the prompt has.
	Prompt int
	// Affinity is the same for the turns of one conversation; 0 where it has none. It is a hash.
	Affinity uint64
	// From is the submitter, told only by one whose own machine is closed to others, or of what it has
	// pinned to itself: that may be closed later.
	From bus.NodeID
	// Warm is who answered this conversation last, as far as the submitter knows: a host may be a new one.
	Warm bus.NodeID
}

// Seat is what a bid looks at of one node, for tasks of one class.
type Seat struct {
	Node  bus.NodeID
	State bus.NodeState
	// Info is what the node told of itself. It is not changed.
	Info  *bus.NodeInfo
	Class string
	// Slots and Busy are of the class; Slots is 0 where the node does not tell.
	Slots, Busy int
	// Free is how many of its slots ask for work; Batch how many run batch work.
	Free, Batch int
	// Pulls is how many models the node downloads. They take none of these slots, but its line and its disk.
	Pulls int
	// CPU and GPU are utilisation by anybody, 0 to 100; FreeBytes is the memory free for a model, 0
	// where it does not tell.
	CPU, GPU  int
	FreeBytes int64
	// Soon is when a slot is expected to be free, where none is; 0 where that is not known.
	Soon time.Duration
	// Stay is how long what runs there takes as a rule; 0 where that is not known.
	Stay time.Duration
	// Stays is how long the tasks of each model took there, as the host has seen, "" for those without. It
	// is not changed.
	Stays map[string]time.Duration
	// Ahead are the tasks of each model that run there.
	Ahead []Ahead
}

// Ahead is what a node has to do of one model: so many tasks, the first of which has run for so long.
type Ahead struct {
	Model string
	Tasks int
	Ran   time.Duration
}

// Bid is what a node offers for a task: about how long until the first token would be there. Lower is
// better.
type Bid struct {
	Cost time.Duration
	// Not tells why the node cannot have the task at all; empty where it can.
	Not string
	// Loaded tells that its model is loaded.
	Loaded bool
}

// Term is one part of a bid, for people.
type Term struct {
	Why  string
	Cost time.Duration
	// Last tells that Cost is no time: it puts the node behind all that can have the task too.
	Last bool
}

// BidFor returns what seat offers for t.
func BidFor(t *Tender, seat *Seat) Bid { return bidFor(t, seat, nil) }

// Explain is BidFor with its parts.
func Explain(t *Tender, seat *Seat) (Bid, []Term) {
	var terms []Term
	b := bidFor(t, seat, func(d time.Duration, format string, args ...any) {
		terms = append(terms, Term{Why: fmt.Sprintf(format, args...), Cost: d, Last: d > mostTerm})
	})
	return b, terms
}

// tell takes one part of a bid; nil where nobody reads it.
type tell func(d time.Duration, format string, args ...any)

func bidFor(t *Tender, seat *Seat, tell tell) Bid {
	m, not := canHave(&t.Key, &t.Need, seat)
	if not != "" {
		return Bid{Not: not}
	}
	b := Bid{Loaded: m == nil || m.Loaded}
	add := func(d time.Duration) {
		b.Cost += min(d, mostTerm)
	}
	work := plainWork
	if d := seat.Stays[t.Key.Model]; m == nil && d > plainMost {
		work = min(d, mostTerm)
	}
	if m != nil {
		b.Cost += t.load(m, seat, tell)
		work = modelWork(m, t, seat, tell)
	}
	b.Cost += work
	slowed := work * time.Duration(slowedBy(seat)) / 100
	if tasks, d := t.wait(m, seat); d > slowed { // else the machine is busy with other things, too
		add(d)
		if tell != nil {
			tell(min(d, mostTerm), "its engine answers one question with it at a time: %d before this one", tasks)
		}
	} else if slowed > 0 {
		add(slowed)
		if tell != nil {
			gpu := ""
			if seat.GPU > 0 { // many have none
				gpu = fmt.Sprintf(", GPU %d %%", seat.GPU)
			}
			tell(slowed, "%d of %d slots busy beside it, CPU %d %%%s", others(seat), seat.Slots, seat.CPU, gpu)
		}
	}
	if seat.Pulls > 0 {
		d := work * pullSlows / 100
		if !b.Loaded { // from the disk that it writes to
			d += t.Pace.loading(m, seat.Info)
		}
		add(d)
		if tell != nil {
			tell(d, "it downloads a model")
		}
	}
	if m == nil && tell != nil {
		tell(work, "the work itself")
	}
	b.Cost += penalties(m, &t.Need, seat, tell)
	return b
}

// load is how long it takes until m is loaded at seat.
func (t *Tender) load(m *bus.ModelInfo, seat *Seat, tell tell) (sum time.Duration) {
	if m.Loaded {
		if tell != nil {
			tell(0, "the model is loaded")
		}
		return 0
	}
	d := t.Pace.loading(m, seat.Info)
	sum = min(d, mostTerm)
	if tell != nil {
		tell(d, "the model is installed, not loaded")
	}
	if seat.FreeBytes > 0 && m.SizeBytes > seat.FreeBytes {
		sum += tightMemory
		if tell != nil {
			tell(tightMemory, "%d MiB of memory are free, the model has %d", seat.FreeBytes>>20, m.SizeBytes>>20)
		}
	}
	return sum
}

// canHave returns the model that would run a task, nil where it needs none, or why the node cannot.
func canHave(key *bus.Key, need *Need, seat *Seat) (m *bus.ModelInfo, not string) {
	switch {
	case key.Pin != "" && key.Pin != seat.Node:
		return nil, pinnedTo(string(key.Pin))
	case seat.State == bus.NodeDraining:
		return nil, "it is draining: it takes no more work"
	case seat.State != bus.NodeReady:
		return nil, "it is " + string(seat.State)
	case seat.Info == nil:
		return nil, "it has not told what it can do"
	}
	if seat.Info.ClosedTo(need.From, key.Class) {
		return nil, "its owner keeps it: " + cmp.Or(seat.Info.Owner.Why, "it takes no work of others")
	}
	switch m = modelFor(key, seat.Info); {
	case !slices.Contains(seat.Info.Types, key.Class):
		return nil, "it does not run tasks of type " + key.Class
	case m == nil && key.Model != "":
		return nil, "it does not have the model " + key.Model
	}
	return m, ""
}

// modelFor returns the model of a node that would run tasks of key; nil where they need none, or it has none.
func modelFor(key *bus.Key, info *bus.NodeInfo) *bus.ModelInfo {
	if key.Model == "" {
		return nil
	}
	models := info.ModelsFor(key.Class)
	for i := range models {
		if isModel(models[i].Name, key.Model) {
			return &models[i]
		}
	}
	return nil
}

func pinnedTo(node string) string { return "the task is pinned to " + node }

// isModel reports whether name means the model of a key, which is canonical.
func isModel(name, canonical string) bool {
	if len(name) == len(canonical) {
		return name == canonical
	}
	return len(name) < len(canonical) && canonical[:len(name)] == name && bus.SameModel(name, canonical)
}

// modelWork is how long the prompt takes to read and the beginning of the answer to write.
func modelWork(m *bus.ModelInfo, t *Tender, seat *Seat, tell tell) time.Duration {
	warm := t.Warm == seat.Node
	reading, writing, how := t.Pace.of(m, seat.Info)
	if d := seat.Stays[t.Key.Model]; d > 0 && how != asMeasured {
		// Nobody has counted its tokens, but the host has seen how long it takes.
		d = min(d, mostTerm)
		if warm {
			d -= d / warmReads
		}
		if tell != nil {
			tell(d, "takes %v for a task as a rule", seat.Stays[t.Key.Model].Round(time.Millisecond))
		}
		return d
	}
	prompt := t.Need.Prompt
	if warm {
		prompt = (prompt + warmReads - 1) / warmReads
	}
	read := inTime(prompt, reading)
	write := inTime(guessAnswer, writing)
	if tell != nil {
		if warm {
			tell(read, "reads what is new of %d tokens: it answered this conversation last", t.Need.Prompt)
		} else if t.Need.Prompt > 0 {
			tell(read, "reads %d tokens, %.0f a second", t.Need.Prompt, reading)
		}
		tell(write, "writes %d tokens, %.1f a second %s", guessAnswer, writing, how)
	}
	return read + write
}

// wait is how long the engine of seat has to do until it begins with t, and with how many tasks, where it answers one
// question with m at a time. Where no slot is free, one has ended when t comes.
func (t *Tender) wait(m *bus.ModelInfo, seat *Seat) (tasks int, d time.Duration) {
	if m == nil || !m.OneAtATime {
		return 0, 0
	}
	i := slices.IndexFunc(seat.Ahead, func(a Ahead) bool { return a.Model == t.Key.Model })
	if i < 0 {
		return 0, 0
	}
	ahead, stay := seat.Ahead[i], seat.Stays[t.Key.Model]
	if stay <= 0 && t.Key.Class == bus.TypeEmbed {
		return 0, 0
	}
	if stay <= 0 {
		_, writing, _ := t.Pace.of(m, seat.Info)
		stay = inTime(guessLong, writing)
	}
	stay = min(stay, mostTerm)
	later := time.Duration(ahead.Tasks-1) * stay
	if seat.Free == 0 {
		return ahead.Tasks - 1, later
	}
	// The longer one has taken than others do, the longer it may yet take.
	return ahead.Tasks, later + max(stay-ahead.Ran, stay/4, min(ahead.Ran, mostTerm)/2)
}

// inTime is how long tokens take, at most mostTerm.
func inTime(tokens int, perSecond float64) time.Duration {
	return time.Duration(min(float64(tokens)/perSecond, mostTerm.Seconds()) * float64(time.Second))
}

// slowedBy is by how many percent work takes longer than alone on an idle machine.
func slowedBy(seat *Seat) int {
	by := seat.GPU + seat.CPU/2
	if seat.Slots > 0 {
		by += 100 * min(others(seat), seat.Slots) / seat.Slots
	}
	return by
}

// others is how many tasks run beside one that comes to seat: where none is free, one has ended then.
func others(seat *Seat) int {
	if seat.Free == 0 {
		return max(seat.Busy-1, 0)
	}
	return seat.Busy
}

// penalties are what speaks against a node beside its speed.
func penalties(m *bus.ModelInfo, need *Need, seat *Seat, tell tell) (sum time.Duration) {
	add := func(d time.Duration, format string, args ...any) {
		sum += d
		if tell != nil {
			tell(d, format, args...)
		}
	}
	if m != nil && m.ContextLength > 0 && need.Prompt > m.ContextLength {
		add(shortContext, "the prompt has %d tokens, its context %d", need.Prompt, m.ContextLength)
	}
	if m != nil && m.Demo {
		add(demoLast, "the demo engine bids last")
	}
	if o := seat.Info.Owner; o != nil && o.Weight > 0 {
		add(time.Duration(min(o.Weight, 100))*ownerWeight, "its owner uses it: %s", o.Why)
	}
	return sum
}
