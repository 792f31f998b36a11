package jet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/time/rate"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
)

// defaultLease is how long a delivery may stay without a sign of its worker before it is
// delivered again: five missed signs at one a second.
const defaultLease = 5 * time.Second

// patience ends a request whose context has no earlier end. A store in the same household
// answers within milliseconds, a disk that syncs for others first within a second.
const patience = 5 * time.Second

// Config says which node this is and how it reaches the swarm.
type Config struct {
	// Node is this node.
	Node bus.NodeID
	// Fabric is a connection to the fabric with full rights, Store one to this node's own
	// store. Both are the caller's to close, after Close.
	Fabric, Store *nats.Conn
	// Domain names the JetStream domain of a node's store.
	Domain func(bus.NodeID) string
	// Routes are the nodes that this node has a route to at this moment.
	Routes func() map[bus.NodeID]bool
	// Dir is the directory, made where missing, of the term, the journal, the count of what
	// the outboxes hold, and the blobs.
	Dir string
	// Take sets size bytes of this node's disk aside for a blob. release gives bytes of it back that are
	// written by then, or will not be; in the end, all. Where there is no room, release is nil.
	// Default: there always is.
	Take func(size int64) (release func(bytes int64), err error)
	// Lease is how long a delivery may stay unsettled before it is delivered again;
	// 0 means 5 s.
	Lease time.Duration
	// Logger gets warnings; nil means none.
	Logger *slog.Logger
}

// Jet does the effects of one node. Its methods may be called at the same time.
type Jet struct {
	cfg        Config
	log        *slog.Logger
	fabric     *link
	store      *link
	js         jetstream.JetStream
	disk       *disk
	count      *counter
	blobs      *blobs
	hands      hands
	unreadable atomic.Int64   // messages that were missing when the outboxes were loaded
	odd        rate.Sometimes // of messages and consumers that are of no key
	refusals   sched.Seldom   // of stores: what is not kept is tried again until it is

	mu     sync.Mutex
	keys   map[string]bool // consumers known to exist, by stream and consumer
	made   map[string]bool // outboxes known to exist, by stream
	slots  map[slotID]*slot
	claims map[uint64]*claims // of this node's queues, by term
	outs   func(sched.Msg)    // listens to the output of this node's tasks; nil before
}

// diskLimit is how long the own store may take for what makes and deletes files, where the context does not say: each is synced, several
// times, and a slow disk takes seconds for each.
const diskLimit = time.Minute

// New reads the journal that the last process left, and talks to nobody. An Error with CodeForbidden says that the files
// in cfg.Dir cannot be used.
func New(cfg Config) (*Jet, error) {
	if cfg.Lease == 0 {
		cfg.Lease = defaultLease
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	js, err := jetstream.New(cfg.Store, jetstream.WithDefaultTimeout(diskLimit))
	if err != nil {
		return nil, fmt.Errorf("reach own store: %w", err)
	}
	d, err := openDisk(cfg.Dir)
	if err != nil {
		return nil, fileError(err)
	}
	c, err := openCounter(d.path("count"))
	if err != nil {
		return nil, errors.Join(fileError(err), d.close())
	}
	b, err := openBlobs(d.path("blobs"), cfg.Take)
	if err != nil {
		return nil, errors.Join(fileError(err), d.close(), c.close())
	}
	return &Jet{
		odd: rate.Sometimes{First: 3, Interval: time.Minute},
		cfg: cfg, log: cfg.Logger, js: js, disk: d, count: c, blobs: b,
		fabric: &link{nc: cfg.Fabric}, store: &link{nc: cfg.Store},
		keys: map[string]bool{}, made: map[string]bool{}, slots: map[slotID]*slot{}, claims: map[uint64]*claims{},
	}, nil
}

// Start listens for replies, makes this node's own outbox in its store, and returns when the
// fabric reaches it.
func (j *Jet) Start(ctx context.Context) error {
	for _, l := range []*link{j.fabric, j.store} {
		if err := l.listen(); err != nil {
			return err
		}
	}
	if err := j.openHands(); err != nil {
		return err
	}
	if err := j.serveBlobs(); err != nil {
		return err
	}
	if err := j.makeOutbox(ctx, j.cfg.Node, j.cfg.Node); err != nil {
		return fmt.Errorf("make own outbox: %w", err)
	}
	if err := (outboxes{j}).probe(ctx, j.cfg.Node, j.cfg.Node); err != nil {
		return fmt.Errorf("reach own outbox: %w", err)
	}
	return nil
}

// Close stops listening and closes the journal. Deliveries that are not settled come again
// when their lease ends.
func (j *Jet) Close() error {
	j.mu.Lock()
	slots, own := j.slots, j.claims
	j.slots, j.claims = nil, map[uint64]*claims{}
	j.mu.Unlock()
	for _, s := range slots {
		s.stop()
	}
	for _, c := range own {
		stopper(c.sub)()
	}
	if j.hands.sub != nil {
		stopper(j.hands.sub)()
	}
	err := j.blobs.close()
	j.fabric.close()
	j.store.close()
	return errors.Join(err, j.disk.close(), j.count.close())
}

// Unreadable counts the messages of the outboxes that this node's store had before its last
// start, and not after it.
func (j *Jet) Unreadable() int64 { return j.unreadable.Load() }

// Effects returns everything that sched needs.
func (j *Jet) Effects() sched.Effects {
	return sched.Effects{Wire: j, Queues: j, Outbox: outboxes{j}, Disk: j.disk, Blobs: j}
}

// at returns the connection that reaches host's store soonest, and the prefix of its API.
func (j *Jet) at(host bus.NodeID) (*link, string) {
	if host == j.cfg.Node {
		return j.store, "$JS.API."
	}
	return j.fabric, "$JS." + j.cfg.Domain(host) + ".API."
}

// outboxesOwn is what the names of the streams with nodes' own tasks begin with.
const outboxesOwn = "OUTBOX_"

// Names of streams. Node ids hold no underscore.
func workStream(q sched.QueueID) string { return fmt.Sprintf("%s%d", workStreams(q.Host), q.Term) }

func workStreams(host bus.NodeID) string { return "WORK_" + string(host) + "_" }

func outboxStream(submitter, custodian bus.NodeID) string {
	if submitter == custodian {
		return outboxesOwn + string(submitter)
	}
	return custodies + string(submitter) + "_at_" + string(custodian)
}

// ours reports whether stream is in this node's store.
func (j *Jet) ours(stream string) bool {
	return strings.HasPrefix(stream, workStreams(j.cfg.Node))
}
