// Package sim is sched.Effects in memory: machines whose stores and disks survive crashes,
// processes that can be killed and frozen between any two effects, and a network that delays,
// loses and repeats messages. It takes its time from package time, and is meant to run in a
// bubble of testing/synctest; its chances come from a seed.
package sim

import (
	"errors"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
)

// Times of the network.
const (
	// RouteTimeout is how long a route outlives the last word of the other side.
	RouteTimeout = 3100 * time.Millisecond
	connectTime  = 30 * time.Millisecond // until two processes that can reach each other have a route
	patience     = 5 * time.Second       // of a request without a deadline
	blobPatience = 30 * time.Second      // of one for a blob
)

// Errors of effects.
var (
	errKilled  = errors.New("the process is dead")
	errNobody  = errors.New("no responders")
	errTimeout = errors.New("no answer in time")
	errFull    = errors.New("no space left on device")
)

// Rule is one rule of the stores. Tests take them out one at a time.
type Rule string

// The rules.
const (
	RuleTwoMessages Rule = "two messages a subject of an outbox at most"
	RuleTaskFirst   Rule = "the task is the first message of its subject"
	RuleOneASubject Rule = "one message a subject of a work queue"
	RuleRevision    Rule = "a claim is written at the revision that was read"
)

// Config is how a network behaves.
type Config struct {
	Seed uint64
	// Lease is how long a delivery stays out without a word. Default 5 s.
	Lease time.Duration
	// MinDelay and MaxDelay bound a message's way between two machines. Default 0.1 and 1 ms.
	MinDelay, MaxDelay time.Duration
	// Loss and Repeat are the shares of messages between machines that are lost or come twice.
	// A request's answer is a message too.
	Loss, Repeat float64
	// Deaf is the share of a queue's announcements, of what it stored, that are lost.
	Deaf float64
	// Sync is how long a store takes to have a message of an outbox on disk. It refuses one at once.
	Sync time.Duration
	// Drop loses a message where it says so. It is called with the network locked.
	Drop func(Traffic) bool
	// Crash kills the process before or after an effect where it says so.
	Crash func(Step) bool
	// Trace is called with each message that is sent, and whether it is lost.
	Trace func(t Traffic, lost bool)
	// Witness hears every core message that is published, whoever listens.
	Witness func(from bus.NodeID, m sched.Msg)
	// Without lists rules that are out of force.
	Without map[Rule]bool
}

// Traffic is one message between two processes, or within one.
type Traffic struct {
	From, To bus.NodeID
	// Op is "publish" for a core message, else the effect that asks.
	Op string
	// Subject is set for core messages.
	Subject string
	Task    bus.TaskID
	// Ack is set for what settles a delivery.
	Ack string
	// Answer is set for the way back.
	Answer bool
	Data   []byte
}

// Step is a moment before or after an effect.
type Step struct {
	Node    bus.NodeID
	Op      string
	Subject string
	Task    bus.TaskID
	After   bool
}

// Net is a network of machines.
type Net struct {
	mu       sync.Mutex
	cfg      Config
	rnd      *rand.Rand
	machines map[bus.NodeID]*Machine
	order    []*Machine
	cuts     map[pair]*cut
	last     map[lane]time.Time
	opened   map[sched.QueueID]int
	copies   int
}

type pair [2]bus.NodeID

func pairOf(a, b bus.NodeID) pair {
	if a > b {
		a, b = b, a
	}
	return pair{a, b}
}

// cut is a link that is down, or was.
type cut struct {
	down  bool
	since time.Time
	again time.Time // when the route is back after a long cut
}

type lane struct{ from, to *proc }

// New makes a network without machines.
func New(cfg Config) *Net {
	if cfg.Lease == 0 {
		cfg.Lease = 5 * time.Second
	}
	if cfg.MaxDelay == 0 {
		cfg.MinDelay, cfg.MaxDelay = 100*time.Microsecond, time.Millisecond
	}
	return &Net{
		cfg: cfg, rnd: rand.New(rand.NewPCG(cfg.Seed, 0x5eed)), machines: map[bus.NodeID]*Machine{},
		cuts: map[pair]*cut{}, last: map[lane]time.Time{}, opened: map[sched.QueueID]int{},
	}
}

// Add makes a machine, without a process.
func (n *Net) Add(id bus.NodeID) *Machine {
	n.mu.Lock()
	defer n.mu.Unlock()
	m := &Machine{net: n, id: id, journal: map[bus.TaskID]int{}, before: map[bus.TaskID][]sched.Crash{}, custody: map[bus.NodeID]bool{}, blobs: map[sched.BlobID]blob{}}
	n.machines[id] = m
	n.order = append(n.order, m)
	return m
}

// Chance calls fn with the network's source of chance, which is not safe to keep.
func (n *Net) Chance(fn func(r *rand.Rand)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	fn(n.rnd)
}

// Link takes the link between two machines down, or up again. A route notices after
// RouteTimeout.
func (n *Net) Link(a, b bus.NodeID, up bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	c := n.cuts[pairOf(a, b)]
	if c == nil {
		c = &cut{}
		n.cuts[pairOf(a, b)] = c
	}
	if c.down != up {
		return
	}
	if up && now.Sub(c.since) > RouteTimeout {
		c.again = now.Add(connectTime)
	}
	c.down, c.since = !up, now
}

// Partition takes down the links between the groups, and up those within them.
func (n *Net) Partition(groups ...[]bus.NodeID) {
	side := map[bus.NodeID]int{}
	for i, g := range groups {
		for _, id := range g {
			side[id] = i
		}
	}
	for i, a := range n.order {
		for _, b := range n.order[i+1:] {
			n.Link(a.id, b.id, side[a.id] == side[b.id])
		}
	}
}

// Heal takes all links up, and loses nothing any more.
func (n *Net) Heal() {
	for i, a := range n.order {
		for _, b := range n.order[i+1:] {
			n.Link(a.id, b.id, true)
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cfg.Loss, n.cfg.Repeat, n.cfg.Deaf, n.cfg.Drop, n.cfg.Crash = 0, 0, 0, nil, nil
}

// SetDrop replaces Config.Drop.
func (n *Net) SetDrop(drop func(Traffic) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cfg.Drop = drop
}

// SetCrash replaces Config.Crash.
func (n *Net) SetCrash(crash func(Step) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cfg.Crash = crash
}

// Opened counts how often each queue was opened.
func (n *Net) Opened() map[sched.QueueID]int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return maps.Clone(n.opened)
}

// Copies is the largest number of messages that one queue held of one task.
func (n *Net) Copies() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.copies
}

// routed reports whether a and b have a route. The caller holds mu.
func (n *Net) routed(a, b *proc, now time.Time) bool {
	if a == b {
		return true
	}
	if c := n.cuts[pairOf(a.m.id, b.m.id)]; c != nil && (c.down && now.Sub(c.since) > RouteTimeout || now.Before(c.again)) {
		return false
	}
	for _, p := range []*proc{a, b} {
		if p.killed || now.Before(p.joined) || p.frozen != nil && now.Sub(p.frozenAt) > RouteTimeout {
			return false
		}
	}
	return true
}

// carries reports whether a message gets from a to b. The caller holds mu.
func (n *Net) carries(a, b *proc, now time.Time) bool {
	if c := n.cuts[pairOf(a.m.id, b.m.id)]; a != b && c != nil && c.down {
		return false
	}
	return n.routed(a, b, now)
}

// arrival returns when a message sent now arrives: in order on its way. The caller holds mu.
func (n *Net) arrival(from, to *proc, now time.Time) time.Time {
	d := 10*time.Microsecond + time.Duration(n.rnd.Int64N(int64(40*time.Microsecond)))
	if from != to {
		d = n.cfg.MinDelay + time.Duration(n.rnd.Int64N(int64(n.cfg.MaxDelay-n.cfg.MinDelay)+1))
	}
	at := now.Add(d)
	l := lane{from, to}
	if last := n.last[l]; !at.After(last) {
		at = last.Add(time.Microsecond)
	}
	n.last[l] = at
	return at
}

// lost decides the fate of one message. The caller holds mu.
func (n *Net) lost(from, to *proc, t Traffic, now time.Time) bool {
	t.From, t.To = from.m.id, to.m.id
	lost := !n.carries(from, to, now) || from != to && n.rnd.Float64() < n.cfg.Loss || n.cfg.Drop != nil && n.cfg.Drop(t)
	if n.cfg.Trace != nil {
		n.cfg.Trace(t, lost)
	}
	return lost
}

// send runs arrive at the receiver, with the network locked, unless the message is lost. A
// frozen receiver gets it when it goes on. The caller holds mu.
func (n *Net) send(from, to *proc, t Traffic, arrive func(now time.Time)) {
	now := time.Now()
	if n.lost(from, to, t, now) {
		return
	}
	times := 1
	if from != to && n.rnd.Float64() < n.cfg.Repeat && t.Op == "publish" {
		times = 2
	}
	for range times {
		time.AfterFunc(n.arrival(from, to, now).Sub(now), func() {
			n.mu.Lock()
			defer n.mu.Unlock()
			if c := n.cuts[pairOf(from.m.id, to.m.id)]; from != to && c != nil && c.down {
				return
			}
			if !to.thaw() {
				return
			}
			arrive(time.Now())
		})
	}
}
