package sched

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/rhythm"
)

// Load is how busy a machine is, whoever it works for.
type Load struct {
	// CPUPercent and GPUPercent are utilisation, 0 to 100.
	CPUPercent, GPUPercent float64
	// FreeBytes is how much memory is free for a model; 0 where that is not known.
	FreeBytes int64
}

// Config is what a Node is told about itself.
type Config struct {
	ID bus.NodeID
	// Boot is random for each start. Default: made by New.
	Boot string
	// Rank is the owner's wish for this node to be queue host, higher is likelier; below 0
	// never. Default 0.
	Rank int
	// Alone reports whether the swarm has no other member, so that a start need not listen for
	// one. Default: never.
	Alone func() bool
	// PutOut reports whether a node was put out of the swarm, for good, and its name there, which of others it tells
	// where it knows it. It must not block. Default: none was.
	PutOut func(bus.NodeID) (name string, out bool)
	// Left are nodes that said goodbye before this start, and were not heard since. Default: none.
	Left []bus.NodeID
	// Info is what the node tells of itself; State, Models, Types, Slots, Busy and QueueHost
	// are filled in. It must not block.
	Info func() bus.NodeInfo
	// Load is what the node's bids are made of, beside its slots. It must not block.
	Load func() Load
	// Hold is how long a task may wait, while this node is queue host, for a much better node that is
	// busy, where another is idle. Default 500 ms; negative for not at all.
	Hold time.Duration
	// Reserved is how many slots of a node that has two or more are kept from batch work, while this node
	// is queue host. Default 1; negative for none.
	Reserved int
	// DefaultModel answers where a task names no model. Default: the swarm's choice.
	DefaultModel string
	// Room reports why this node's disk takes no more durable tasks at present; nil where it does.
	// It must not block. Default: it always does.
	Room func() error
	// Take sets bytes of this node's disk aside for a durable task, until release is called: it is
	// written by then, or will not be. Where there is no room, release is nil, and err is what Room
	// returns from then on. It must not block. Default: asks Room alone.
	Take func(bytes int) (release func(), err error)
	// Retention is how long the end of a durable task is kept. Default 24 h.
	Retention time.Duration
	// Twin is called where another process has this node's identity and has run for longer:
	// this one must stop. It must not block, and may be called again. Default: nothing is done.
	Twin func(bus.Instance)
	// News is called within 100 ms of a change in what Nodes tells, but for what changes all the time: Seen,
	// Use and Queues. It must not block. Default: nothing is done.
	News func()
	// RouteClosed has a value where a route of this node has closed since it was last read. Default: never; the
	// node reads its routes four times a second at rest, and sees then that one is gone.
	RouteClosed <-chan struct{}
	// Wire is what the node speaks with others. Default bus.ThisWire; tests set another.
	Wire bus.Wire
	// Clock is the machine's. Default time.Now. Tests set it wrong: nothing depends on clocks
	// that agree.
	Clock func() time.Time
	// Began is when the process began: what is done now and then falls due at whole multiples since then, together with what
	// others of the process do so. Default: when the Node is made.
	Began time.Time
	// Slept is for how long the machine was suspended since any moment, where Clock stands still meanwhile. It
	// must not block. Default: it never was.
	Slept func() time.Duration
	Log   *slog.Logger
	// Meter is told what happens. Default: nobody is.
	Meter Meter

	without   map[Protection]bool // tests only
	spareKeys int                 // set by tests only; below 0 there are none
}

// Node is one member of the swarm: it submits, may host the queues, and works.
type Node struct {
	cfg     Config
	fx      Effects
	log     *slog.Logger
	start   time.Time
	began   time.Time // Config.Began
	members *members
	asker   *asker
	rounds  *rounds
	outbox  *outbox
	worker  *worker
	queue   *current
	bg      *background
	events  *events
	choices *choices

	kick     chan struct{} // the election looks again
	beatKick chan struct{}
	ready    chan struct{} // closed once Run listens
	over     chan struct{} // closed once Run has ended
	handoff  Handover      // owned by the election loop
	leaving  chan struct{} // closed by Leave
	leave    sync.Once

	mu       sync.Mutex
	hosting  *host // nil, or this node's own queue
	becoming bool
	unable   time.Time // when it could not become host last
	heir     bus.NodeID
	local    bool
	last     bus.NodeID // the host followed last
	lastBoot string     // its start
	noHost   time.Time  // since when there is none
	beatSeq  uint64
	sentInfo time.Time
	draining bool
	crashed  map[bus.TaskID]int

	speaks sync.Mutex // held while a heartbeat is made and sent
	bye    bool       // said: no heartbeat may take it back
}

// withDefaults returns c with what it leaves out.
func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Boot == "" {
		c.Boot = string(bus.NewTaskID())
	}
	c.spareKeys = cmp.Or(c.spareKeys, spareKeys)
	if c.Alone == nil {
		c.Alone = func() bool { return false }
	}
	if c.PutOut == nil {
		c.PutOut = func(bus.NodeID) (string, bool) { return "", false }
	}
	if c.Info == nil {
		c.Info = func() bus.NodeInfo { return bus.NodeInfo{Name: string(c.ID)} }
	}
	if c.Load == nil {
		c.Load = func() Load { return Load{} }
	}
	if c.Room == nil {
		c.Room = func() error { return nil }
	}
	if c.Take == nil {
		c.Take = func(int) (func(), error) { return func() {}, c.Room() }
	}
	if c.News == nil {
		c.News = func() {}
	}
	if c.Wire == (bus.Wire{}) {
		c.Wire = bus.ThisWire()
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Slept == nil {
		c.Slept = func() time.Duration { return 0 }
	}
	if c.Meter == nil {
		c.Meter = unmetered{}
	}
	if c.Hold == 0 {
		c.Hold = holdDefault
	}
	if c.Reserved == 0 {
		c.Reserved = reservedDefault
	}
	if c.Retention == 0 {
		c.Retention = 24 * time.Hour
	}
	return c
}

// New makes a Node; it starts nothing.
func New(cfg Config, fx Effects) *Node {
	cfg = cfg.withDefaults()
	n := &Node{
		cfg: cfg, fx: fx, log: cfg.Log, queue: newCurrent(), bg: newBackground(), kick: make(chan struct{}, 1),
		beatKick: make(chan struct{}, 1), ready: make(chan struct{}), over: make(chan struct{}), leaving: make(chan struct{}),
	}
	if n.began = cfg.Began; n.began.IsZero() {
		n.began = n.now()
	}
	n.events = &events{n: n}
	n.members = newMembers(cfg.ID, fx.Wire, n.log)
	for _, id := range cfg.Left {
		n.members.left[id] = true
	}
	n.members.now, n.members.slept, n.members.speaks = cfg.Clock, cfg.Slept, cfg.Wire
	n.members.hasty = n.off(ProtectWake)
	n.asker = newAsker(fx.Wire)
	n.rounds = &rounds{n: n}
	n.choices = &choices{by: map[bus.TaskID]*chosen{}}
	n.outbox = newOutbox(n)
	n.worker = newWorker(n)
	return n
}

func (n *Node) now() time.Time { return n.cfg.Clock() }

// until returns how long it is to the next moment in which this process does what it does so often.
func (n *Node) until(every time.Duration) time.Duration {
	return rhythm.Until(every, n.now().Sub(n.began))
}

// Run takes part in the swarm until ctx ends; all its goroutines have ended when it returns.
func (n *Node) Run(ctx context.Context) error {
	defer close(n.over)
	n.start = n.now()
	n.mu.Lock()
	n.noHost = n.start
	n.mu.Unlock()
	term, err := n.fx.Term()
	if err != nil {
		return err
	}
	n.members.noteTerm(term)
	if err := n.readJournal(); err != nil {
		return err
	}
	var stops []func()
	defer func() {
		for _, stop := range stops {
			stop()
		}
	}()
	stop, err := n.takeIn(ctx)
	if err != nil {
		return err
	}
	stops, err = n.subscribe(ctx)
	if stops = append(stops, stop); err != nil {
		return err
	}
	close(n.ready)
	g, ctx := errgroup.WithContext(ctx)
	for _, loop := range []func(context.Context) error{n.beatLoop, n.electLoop, n.outbox.run, n.worker.run} {
		g.Go(func() error { return loop(ctx) })
	}
	err = g.Wait()
	n.bg.end()
	n.stopHosting()
	n.events.close()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// Ready is closed once the node listens.
func (n *Node) Ready() <-chan struct{} { return n.ready }

// takeIn takes in what the store has, and from then on what it gets. It listens first: others write to it as soon as
// it is there, and an end that came between would be on this disk and not be known here.
func (n *Node) takeIn(ctx context.Context) (stop func(), err error) {
	if stop, err = n.fx.Outbox.Watch(n.outbox.onStored); err != nil {
		return nil, err
	}
	if err := n.outbox.load(ctx); err != nil {
		stop()
		return nil, err
	}
	return stop, nil
}

func (n *Node) subscribe(ctx context.Context) (stops []func(), err error) {
	stop, err := n.asker.start()
	if err != nil {
		return nil, err
	}
	stops = append(stops, stop)
	for subject, fn := range map[string]func(Msg){
		bus.SubjectHeartbeats:         n.onBeat,
		bus.SubjectByes:               n.onBye,
		bus.SubjectAllRuns:            n.onRun,
		bus.SubjectTwin(n.cfg.ID):     n.onTwin,
		bus.SubjectNext(n.cfg.ID):     n.onNext,
		bus.SubjectOffer(n.cfg.ID):    func(m Msg) { n.onOffer(ctx, m) },
		bus.SubjectOuts(n.cfg.ID):     n.outbox.onOut,
		bus.SubjectAllShown(n.cfg.ID): n.outbox.onShown,
		bus.SubjectSync:               n.onSync,
		bus.SubjectFind:               n.outbox.onFind,
		bus.SubjectCancels:            n.worker.onCancel,
		bus.SubjectResends:            n.worker.onResend,
	} {
		if stop, err = n.fx.Subscribe(subject, fn); err != nil {
			return stops, err
		}
		stops = append(stops, stop)
	}
	return stops, nil
}

// View returns what the node knows of the swarm.
func (n *Node) View() View { return n.members.view() }

// Left returns the nodes that said goodbye and were not heard since, Config.Left among them, sorted. Who is told of it, and
// keeps it for the next start, leaves out who was put out of the swarm.
func (n *Node) Left() []bus.NodeID { return n.members.whoLeft() }

// Nodes returns a NodeInfo for each known node, with its state as seen from here.
func (n *Node) Nodes() []bus.NodeInfo {
	out := n.members.infos()
	q, ok := n.queue.get()
	drains := n.Draining()
	for k := range out {
		i := &out[k]
		i.QueueHost = ok && q.Host == i.ID
		if i.ID == n.cfg.ID && drains { // what is asked for here does not wait for the next heartbeat to hear of it
			i.State, i.Stops = bus.NodeDraining, n.isLeaving()
		}
	}
	slices.SortFunc(out, func(a, b bus.NodeInfo) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	return out
}

// Host returns the queue host and term that this node follows.
func (n *Node) Host() (QueueID, bool) { return n.queue.get() }

// Drain makes the node finish its work and take no more, or take work again, unless it leaves.
func (n *Node) Drain(on bool) {
	n.mu.Lock()
	n.draining = on || n.isLeaving()
	n.mu.Unlock()
	n.beatSoon()
}

// Draining reports whether the node was told to take no more work.
func (n *Node) Draining() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.draining
}
