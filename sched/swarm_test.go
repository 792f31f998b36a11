package sched_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
	"github.com/mycoswarm/mycoswarm/sched/internal/sim"
)

// setup is what a simulated swarm is made of.
type setup struct {
	nodes   int
	slots   int // of each node. Default 2
	seed    uint64
	net     sim.Config
	without []sched.Protection
	// spareKeys is sched.Config's.
	spareKeys int
	rank      map[int]int // of nodes, by index
	work      func(i int) bool
	log       slog.Handler
	// retention is sched.Config's; room is its Room, of node i.
	retention time.Duration
	room      func(i int) error
	take      func(bytes int) // is told what Take is asked for
	// twin is told which node is to give up for another process of its identity.
	twin  func(i int, o bus.Instance)
	skew  map[int]time.Duration     // how much clocks are ahead, by index
	wires map[int]bus.Wire          // what nodes speak, by index
	split bool                      // both sides of a partition may end a task
	owner func(i int) *bus.OwnerUse // of the machine
	// models are those of node i at present, and those that its engines have no more.
	models func(i int) (has []bus.ModelInfo, removed []string)
	// putOut is sched.Config's: of the member with an id, and not of one that was not put out.
	putOut func(bus.NodeID) (string, bool)
	meter  func(i int) sched.Meter // of node i
	// twoEnds: an end may have reached one custodian's disk in the instant that both died, and
	// the other have had it run again. The submitter's counts.
	twoEnds bool
	// manyDown: those who know of a crash may all be down. Each machine counts its own then.
	manyDown bool
	mixed    *mixed // see TestRandomMixed
	// full: disks are full at times. An end may not be on its submitter's.
	full bool
	// stuck: no node may take an attached task for so long that it is refused.
	stuck bool
	// large: every third task is too large for a message, and of those that are durable the result is too.
	large bool
}

// swarm is real Nodes over simulated effects, with clients and a ledger.
type swarm struct {
	setup
	net    *sim.Net
	nodes  []*member
	ledger ledger
	wg     sync.WaitGroup

	toldMu sync.Mutex
	told   map[bus.TaskID]map[bus.EventKind]int // events of each task, by kind

	handing atomic.Int64 // durable tasks that are neither accepted nor refused yet

	mu      sync.Mutex
	tasks   []*tracked
	cancels map[bus.TaskID]time.Time // acknowledged
	tried   map[bus.TaskID]bool      // cancels that were asked for
	notes   []string                 // violations seen on the way
}

// member is a machine with the node that runs on it.
type member struct {
	s    *swarm
	m    *sim.Machine
	id   bus.NodeID
	i    int
	proc atomic.Pointer[process]
	gone bool // stays dead
	// leaving: it must not be stopped meanwhile, for it holds a mutex as it speaks.
	leaving atomic.Bool
}

// process is one life of a member.
type process struct {
	node  *sched.Node
	fx    sched.Effects
	life  context.Context //nolint:containedctx // ends with it
	start int
}

// now returns a member's present process, or its last.
func (m *member) now() *process { return m.proc.Load() }

// tracked is a task as its client sees it.
type tracked struct {
	id        bus.TaskID
	from      int
	start     int // of the submitter's process
	durable   bool
	timeout   time.Duration
	script    script
	submitted time.Time
	accepted  bool
	copies    int // of a durable task, when it was accepted
	err       error
	chunks    []bus.Chunk
	ends      []bus.Chunk
	left      bool // the client's daemon died
}

func nodeID(i int) bus.NodeID { return bus.NodeID(fmt.Sprintf("myco-%012x", 0xa0+i)) }

// start makes a swarm and starts its nodes.
func (c setup) start() *swarm {
	if c.slots == 0 {
		c.slots = 2
	}
	c.net.Seed = c.seed
	s := &swarm{setup: c, told: map[bus.TaskID]map[bus.EventKind]int{}, cancels: map[bus.TaskID]time.Time{}, tried: map[bus.TaskID]bool{}}
	c.net.Witness = s.witness
	s.net = sim.New(c.net)
	for i := range c.nodes {
		s.nodes = append(s.nodes, &member{s: s, m: s.net.Add(nodeID(i)), id: nodeID(i), i: i})
	}
	for i := range c.nodes {
		s.restart(i)
	}
	return s
}

// restart starts a node's next process.
func (s *swarm) restart(i int) {
	n := s.nodes[i]
	if n.m.Running() || n.gone {
		return
	}
	life, fx := n.m.Start()
	start := n.m.Starts()
	cfg := sched.Config{ID: n.id, Rank: s.rank[i], Retention: s.retention, Wire: s.wires[i], Boot: fmt.Sprintf("boot-%d-%d", i, start), PutOut: s.putOut}
	if s.room != nil {
		cfg.Room = func() error { return s.room(i) }
	}
	if s.take != nil {
		cfg.Take = func(bytes int) (func(), error) {
			s.take(bytes)
			return func() {}, nil
		}
	}
	if s.owner != nil {
		cfg.Info = func() bus.NodeInfo { return bus.NodeInfo{Name: string(n.id), Owner: s.owner(i)} }
	}
	if s.models != nil {
		cfg.Info = func() bus.NodeInfo {
			_, removed := s.models(i)
			return bus.NodeInfo{Name: string(n.id), Removed: removed}
		}
	}
	if s.log != nil {
		cfg.Log = slog.New(s.log).With("at", i)
	}
	if skew := s.skew[i]; skew != 0 {
		n.m.Skew(skew)
		cfg.Clock = func() time.Time { return time.Now().Add(skew) }
	}
	if s.meter != nil {
		cfg.Meter = s.meter(i)
	}
	if s.twin != nil {
		cfg.Twin = func(o bus.Instance) { s.twin(i, o) }
	}
	node := sched.New(cfg.Without(s.without).WithSpareKeys(s.spareKeys), fx)
	n.proc.Store(&process{node, fx, life, start})
	if s.work == nil || s.work(i) {
		s.handle(i)
	}
	s.wg.Go(func() {
		if err := node.Run(life); err != nil && life.Err() == nil {
			s.note("node %d ended: %v", i, err)
		}
	})
}

// handle makes a node work from now on.
func (s *swarm) handle(i int) { s.can(i, bus.Capability{Type: "work", Slots: s.slots}) }

// can makes a node run scripts as tasks of another type too.
func (s *swarm) can(i int, c bus.Capability) {
	n := s.nodes[i]
	p := n.now()
	w := &worker{m: n.m, life: p.life, start: p.start, can: c, l: &s.ledger, view: p.node.View}
	if s.models != nil {
		w.models = func() []bus.ModelInfo {
			has, _ := s.models(i)
			return has
		}
	}
	if _, err := p.node.Handle(p.life, w); err != nil {
		s.note("handle: %v", err)
	}
}

// witness counts the events that are told to the world. It is called with the network locked.
func (s *swarm) witness(_ bus.NodeID, m sched.Msg) {
	p := strings.Split(m.Subject, ".")
	if len(p) != 5 || p[1] != "task" {
		return
	}
	s.toldMu.Lock()
	defer s.toldMu.Unlock()
	id, kind := bus.TaskID(p[3]), bus.EventKind(p[4])
	if s.told[id] == nil {
		s.told[id] = map[bus.EventKind]int{}
	}
	s.told[id][kind]++
}

// events returns how many events of a kind were told of a task.
func (s *swarm) events(k *tracked, kind bus.EventKind) int {
	s.toldMu.Lock()
	defer s.toldMu.Unlock()
	return s.told[k.id][kind]
}

// toldEnds returns how many ends of a task were told.
func (s *swarm) toldEnds(k *tracked) (n int) {
	s.toldMu.Lock()
	defer s.toldMu.Unlock()
	for kind, count := range s.told[k.id] {
		if bus.TaskState(kind).Terminal() {
			n += count
		}
	}
	return n
}

func (s *swarm) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notes = append(s.notes, fmt.Sprintf(format, args...))
}

func (s *swarm) kill(is ...int) {
	for _, i := range is {
		s.nodes[i].m.Kill()
	}
}

// killForGood is a kill after which nobody starts the node again.
func (s *swarm) killForGood(i int) {
	s.nodes[i].gone = true
	s.kill(i)
}

func (s *swarm) ids(is ...int) (out []bus.NodeID) {
	for _, i := range is {
		out = append(out, s.nodes[i].id)
	}
	return out
}

// until waits, by the simulated clock, and reports whether ok came true.
func (s *swarm) until(limit time.Duration, ok func() bool) bool {
	for end := time.Now().Add(limit); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// host returns the index of the node that all nodes follow that live and are not stopped, or -1.
func (s *swarm) host() int {
	host, n := -1, 0
	var first sched.QueueID
	for _, m := range s.nodes {
		if !m.m.Running() || m.m.Frozen() {
			continue
		}
		q, ok := m.now().node.Host()
		if !ok || n > 0 && q != first {
			return -1
		}
		first, n = q, n+1
	}
	for _, m := range s.nodes {
		if m.id == first.Host && n > 0 && m.m.Running() {
			host = m.i
		}
	}
	return host
}

// elected waits until all agree on a host, and returns its index.
func (s *swarm) elected() int {
	s.until(20*time.Second, func() bool { return s.host() >= 0 })
	if s.host() < 0 {
		s.note("no host is agreed on")
		return 0
	}
	return s.host()
}

// another returns the index of a live node that is none of is.
func (s *swarm) another(is ...int) int {
next:
	for _, n := range s.nodes {
		for _, i := range is {
			if n.i == i {
				continue next
			}
		}
		if n.m.Running() {
			return n.i
		}
	}
	return -1
}

// over reports whether nothing is to be waited for.
func (s *swarm) over() bool {
	if s.ledger.active() > 0 || s.handing.Load() > 0 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.tasks {
		if k.accepted && !k.durable && !k.left && len(k.ends) == 0 {
			return false
		}
		if k.durable && (k.accepted && len(s.finals(k)) == 0 || !k.accepted && s.openOnDisk(k)) {
			return false
		}
	}
	return true
}

// settle heals everything, brings back who is to come back, and waits for the end of all.
func (s *swarm) settle() {
	s.net.Heal()
	for _, n := range s.nodes {
		n.m.Continue()
	}
	revive := func() {
		for _, n := range s.nodes {
			if !n.gone {
				s.restart(n.i)
			}
		}
	}
	revive()
	limit := 90 * time.Second
	if len(s.without) > 0 {
		limit = 20 * time.Second // what goes wrong without a protection need not be awaited
	}
	for _, n := range s.nodes {
		if n.gone { // what it may still run is held back for three minutes
			limit = 4 * time.Minute
		}
	}
	s.until(limit, func() bool { revive(); return s.over() && s.host() >= 0 })
	time.Sleep(8 * time.Second) // for what comes too late
	revive()
	s.until(10*time.Second, func() bool { revive(); return s.host() >= 0 })
}

// stop ends all processes.
func (s *swarm) stop() {
	for _, n := range s.nodes {
		n.m.Continue()
		n.m.Kill()
	}
	s.wg.Wait()
}

// finish settles, checks and stops, and returns what is wrong.
func (s *swarm) finish() []string {
	s.settle()
	bad := s.check()
	s.stop()
	return bad
}

// rnd returns a number in [0, n) by the network's chance.
func (s *swarm) rnd(n int) (out int) {
	s.net.Chance(func(r *rand.Rand) { out = r.IntN(n) })
	return out
}

// pass lets up to ms milliseconds go by.
func (s *swarm) pass(ms int) { time.Sleep(time.Duration(s.rnd(ms*1000)) * time.Microsecond) }

// freezes stops node i's process after a while, for 1 to 10 s.
func (s *swarm) freezes(i int) {
	s.pass(300)
	s.nodes[i].m.Freeze()
	time.Sleep(time.Duration(1000+s.rnd(9000)) * time.Millisecond)
	s.nodes[i].m.Continue()
	time.Sleep(2 * time.Second)
}

// surviving returns the tasks that run at this moment on none of the nodes is.
func (s *swarm) surviving(is ...int) (out []bus.TaskID) {
	dying := map[bus.NodeID]bool{}
	for _, id := range s.ids(is...) {
		dying[id] = true
	}
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	for _, r := range s.ledger.runs {
		if r.how == "" && !dying[r.node] {
			out = append(out, r.task)
		}
	}
	return out
}

// ranOnce notes those of ids that were started more than once.
func (s *swarm) ranOnce(why string, ids ...bus.TaskID) {
	for _, id := range ids {
		if rs := s.ledger.of(id); len(rs) != 1 {
			s.note("task %s ran %d times: %s: %v", id, len(rs), why, rs)
		}
	}
}
