package sched

import (
	"context"
	"errors"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Errors of effects. Every other error of an effect means that nobody knows whether it
// happened: it is tried again.
var (
	// ErrConflict: a claim's revision, or an outbox subject, is not what the writer expected.
	ErrConflict = errors.New("written by another first")
	// ErrNotFound: no such claim, queue, key, blob, or message in an outbox. A Node says so, too, of a task
	// that it does not have.
	ErrNotFound = errors.New("not there")
)

// Msg is a core message: it arrives at most once, and in order from one sender.
type Msg struct {
	Subject, Reply string
	Data           []byte
}

// QueueID names the work queue of one term of one host. Streams of two terms, or of two
// hosts, never share a name.
type QueueID struct {
	Host bus.NodeID `json:"host"`
	Term uint64     `json:"term"`
}

// Wire is the fabric: what happens now.
type Wire interface {
	// Publish sends m, or loses it.
	Publish(m Msg) error
	// Subscribe calls fn for each message on subject, one at a time, until stop is called.
	Subscribe(subject string, fn func(Msg)) (stop func(), err error)
	// Inbox returns a new subject prefix that only this node listens on.
	Inbox() string
	// Routes returns the nodes that this node has a route to at this moment.
	Routes() map[bus.NodeID]bool
}

// Delivery is one work message handed to this worker, to be settled through Ack.
type Delivery struct {
	Key  bus.Key
	Data []byte
	// Job is what Data would hold, where it comes from this process; Data is empty then.
	Job *Job
	// Ack is the subject on which the delivery is settled, from any node; "" where it never was in the
	// queue, see Direct.
	Ack string
	// Seq is the message's sequence in the queue: two messages differ. 0 where it never was there.
	Seq uint64
	// Delivered counts deliveries of this message, from 1.
	Delivered int
	// At is when the queue stored it, by its host's clock.
	At time.Time
	// Nonce names the run that its host may have claimed it for, see Hand; Rev is that record's
	// revision, 0 where there is none or this delivery is not what the slot waited for.
	Nonce string
	Rev   uint64
	// Until is when the slot no longer relies on Rev, by this node's clock.
	Until time.Time
}

// Grant returns the record of a task that its queue's host claims for a slot that is handed delivery
// d; ok is false where the worker is to claim it.
type Grant func(id bus.TaskID, d Delivery) (c Claim, rec []byte, ok bool)

// Claim heads a claim record, readable without its body.
type Claim struct {
	Task    bus.TaskID
	State   bus.TaskState
	Worker  bus.NodeID
	Attempt int
	Ack     string
	Key     bus.Key
	Seq     uint64
}

// KeyCount is what a queue holds for one key.
type KeyCount struct {
	Key     bus.Key
	Pending int // never delivered, or waiting for redelivery
	Unacked int // delivered and not settled
	// DeliveredSeq is the highest sequence delivered.
	DeliveredSeq uint64
	// ConsumerSeq counts deliveries.
	ConsumerSeq uint64
}

// Queues are the work queues and claims, in memory on their host.
type Queues interface {
	// Open makes queue q, of this node, with its claims.
	Open(ctx context.Context, q QueueID) error
	// Drop ends queue q, of this node, and what is in it.
	Drop(ctx context.Context, q QueueID) error
	// Old returns the queues of this node that are still there.
	Old(ctx context.Context) ([]QueueID, error)
	// AddKey makes key of this node's queue q fetchable. It may be called again.
	AddKey(ctx context.Context, q QueueID, key bus.Key) error
	// DropKey undoes AddKey: what is fed of key stays there, for when it is added again, and what is out
	// then is delivered anew. A key that is not there is no error.
	DropKey(ctx context.Context, q QueueID, key bus.Key) error
	// Feed stores a task's message once: where one is there already, nothing happens. Its host is told
	// need with it, and not data.
	Feed(ctx context.Context, q QueueID, key bus.Key, id bus.TaskID, need Need, data []byte) error
	// Fetch takes the oldest message of key, without waiting. slot is the worker's own number
	// of the place that it fills. ErrNotFound: there is none.
	Fetch(ctx context.Context, q QueueID, key bus.Key, slot int) (Delivery, error)
	// Await makes slot ready for one message of q, which the host of q hands over, and returns
	// where to. wait returns it: ErrNotFound where there was none after all. What comes while
	// nobody waits goes back.
	Await(q QueueID, slot int) (to string, wait func(ctx context.Context) (Delivery, error), err error)
	// Hand delivers the oldest message of key in this node's queue q to a slot that waits at to,
	// on whichever node, or tells it that there is none. Where there is a grant, and no record of
	// the task, it creates the record that grant returns, and the slot need not.
	Hand(q QueueID, key bus.Key, to string, grant Grant) error
	// Direct creates the record of task id in this node's queue q, and delivers d to a slot that waits at
	// to, although the queue has no message of it. d has a key and data alone, or its job where the slot is
	// this node's. ErrConflict: there is a
	// record.
	Direct(q QueueID, id bus.TaskID, d Delivery, to string, c Claim, rec []byte) error
	// Keys returns the keys of queue q that have a message, delivered or not, for a worker that looks for itself.
	Keys(ctx context.Context, q QueueID) ([]bus.Key, error)
	// Ack, Nak and Progress settle or prolong a delivery; they may get lost. What Nak gives back is delivered
	// again after delay; at once where that is 0.
	Ack(ack string) error
	Nak(ack string, delay time.Duration) error
	Progress(ack string) error
	// Counts tells what this node's queue q holds, of keys that were never added too.
	Counts(ctx context.Context, q QueueID) ([]KeyCount, error)
	// Free makes the message seq, delivered and never claimed, available again.
	Free(q QueueID, c KeyCount, seq uint64) error
	// Discard takes message seq out of this node's queue q, delivered or not. It may get lost.
	Discard(q QueueID, seq uint64) error
	// Watch calls stored for each message of this node's queue once stored, and claimed for
	// each claim record written, one call at a time each.
	Watch(q QueueID, stored func(key bus.Key, id bus.TaskID, seq uint64, need Need), claimed func(Claim)) (stop func(), err error)

	// CreateClaim writes the first record of a task: ErrConflict where there is one.
	CreateClaim(ctx context.Context, q QueueID, c Claim, rec []byte) (rev uint64, err error)
	// UpdateClaim replaces revision rev of a record: ErrConflict where it is another. Where it is
	// written, q's host publishes then, if there is one. A claim without a State deletes the record.
	UpdateClaim(ctx context.Context, q QueueID, c Claim, rec []byte, rev uint64, then *Msg) (uint64, error)
	// GetClaim reads a record: ErrNotFound.
	GetClaim(ctx context.Context, q QueueID, id bus.TaskID) (rec []byte, rev uint64, err error)
}

// Kept is one message in an outbox of this node's store: a task, or its end.
type Kept struct {
	Submitter, Custodian bus.NodeID
	Task                 bus.TaskID
	Data                 []byte
	// At is when this store stored it, by its own clock; zero in a Put.
	At time.Time
}

// Put tells what became of a publish to an outbox.
type Put struct {
	// Stores are how many stores have it on disk.
	Stores int
	// Refused are how many stores have an end of this task already, or, for the first
	// message, the task itself.
	Refused int
	// Custodian is set where the custodian's store is one of those.
	Custodian bool
	// Pending is set where the submitter's store has not answered when the context ended: it may have it later.
	Pending bool
}

// Outboxes are the streams on disk that hold durable tasks and their ends: two messages a
// task and subject at most, the first of each wins.
type Outboxes interface {
	// Ensure makes the outbox of submitter in custodian's store. It asks nobody where it has made it, unless a Put there
	// had no answer since.
	Ensure(ctx context.Context, submitter, custodian bus.NodeID) error
	// Put publishes once to both custodians, and returns when want stores have answered or
	// ctx ends. first is set for the task itself, and not for its end.
	Put(ctx context.Context, k Kept, first bool, want int) Put
	// Load returns everything in this node's store, oldest first.
	Load(ctx context.Context) ([]Kept, error)
	// Watch calls fn for each message that this node's store has stored, one at a time.
	Watch(fn func(Kept)) (stop func(), err error)
	// Task returns the first message of k's subject in this node's store, which is the task itself:
	// ErrNotFound.
	Task(ctx context.Context, k Kept) ([]byte, error)
	// End returns the last message of k's subject in this node's store, which is the end of a task that has one:
	// ErrNotFound.
	End(ctx context.Context, k Kept) ([]byte, error)
	// Forget deletes a task and its end from this node's store.
	Forget(ctx context.Context, k Kept) error
}

// Disk is the little that a node keeps beside its store. Writes are synced when they return.
type Disk interface {
	// Term is the highest term this node has claimed.
	Term() (uint64, error)
	SetTerm(term uint64) error
	// Begin notes that an attempt starts, Finish that it ended with the process alive. They
	// survive the death of the process, not of the machine. before are the crashes that are known when it starts.
	Begin(id bus.TaskID, attempt int, before ...Crash) error
	Finish(id bus.TaskID) error
	// Crashed returns what was begun and not finished when this process started.
	Crashed() (map[bus.TaskID]int, error)
	// CrashedBefore returns the crashes that were known of those tasks when that began.
	CrashedBefore() (map[bus.TaskID][]Crash, error)
}

// Effects is everything that a Node does to the world.
type Effects struct {
	Wire
	Queues
	Outbox Outboxes
	Disk
	Blobs
}
