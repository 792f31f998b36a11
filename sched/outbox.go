package sched

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"sync"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Times and sizes of the outbox.
const (
	feedWait         = 250 * time.Millisecond // a feed without an answer is fed again
	feedWindow       = 1000                   // open durable tasks of one submitter in a queue
	feedBytes        = 64 << 20               // of payload, of these
	askAfter         = 3 * time.Second        // an open task is asked for again
	askPause         = time.Second            // between two such questions
	acceptWait       = time.Second            // for the second custodian
	storeWait        = 10 * time.Second       // for the own store, where no other one has answered
	replaceWait      = 10 * time.Second       // a lost custodian is replaced
	replacePause     = time.Second            // after one that did not take a task; it doubles with each
	replacePauseMost = 30 * time.Second
	careEvery        = 50 * time.Millisecond
	cancelFor        = 30 * time.Second // a cancel is repeated while the task is reported
	// Ends of attached tasks that are remembered: so many, of so many bytes.
	endedMost, endedBytes = 1000, 64 << 20
)

// outbox holds what this node has submitted and what it keeps for others, and feeds it to the
// present queue host until it ends.
type outbox struct {
	n        *Node
	poke     chan struct{}
	feeds    pace
	cares    pace
	refusals Seldom    // of custodians: what is not kept is tried again until it is
	asked    time.Time // for open tasks, the last time; run's own

	replacing backoff   // of second custodians, where one did not take a task; care's own
	endAfter  time.Time // ends from outside wait for that; care's own
	looked    time.Time // for tasks that are stuck, the last time; care's own

	mu                    sync.Mutex
	resting               bool                     // nothing is open
	entries               map[bus.TaskID]*entry    // submitted here, open
	openBytes             int                      // of payload and unknown fields, in entries
	durable, durableBytes int                      // of entries, those that are durable, and of what is inline in them
	freed                 int                      // places in the window since it was filled last
	kept                  map[bus.TaskID]*kept     // durable, in this node's store
	keptOpen              map[bus.TaskID]*kept     // of kept, those without an end
	ended                 *latest[ended]           // attached, submitted here
	read                  *latest[json.RawMessage] // results of kept, see setEnd
	tails                 []tail                   // the output of what has just ended, oldest first
	results               map[bus.TaskID]*readers  // of those of ended that are too large for a message
	lending               map[bus.TaskID]bool      // attached, whose payload gets into memory
	standing              map[bus.TaskID]*standing
	handing               bool // ends are being handed back
	heard                 map[bus.TaskID]*heard
	heardBytes            int  // of ends in heard
	hearing               bool // they are being written
	count                 uint64
	copies                int  // of payloads and results, under way
	collecting            bool // large content that no task needs is looked for
	lacks                 map[bus.TaskID]*lacking
	cancels               map[bus.TaskID]cancelling
	warm                  *warm // of what was submitted here
}

// entry is an open task that was submitted here.
type entry struct {
	job    Job
	key    bus.Key
	order  uint64
	born   time.Time
	out    *stream
	data   []byte // a payload over bus.MaxInline, until it is kept
	stores int    // custodians that have it on disk

	affinity uint64 // see Need, once it was fed

	fed     QueueID
	acked   bool
	fedAt   time.Time
	askedAt time.Time
	lostAt  time.Time // since when its custodian is lost
	waited  bool      // for who may know its end; see expects

	stuck     time.Time     // since when it is attached, and no node can run it
	stuckMost time.Duration // how long it may be, as was seen last

	copying bool    // its payload, to a new custodian
	copied  backoff // where that failed
}

// kept is a durable task in this node's store.
type kept struct {
	job    Job
	sum    contentSum // of the task as it was submitted; zero where only its end is known
	order  uint64
	final  *Final    // without its result where that is onDisk
	onDisk bool      // see setEnd
	endAt  time.Time // when this node's store got the end, by its own clock; see onKept
	orphan bool      // its submitter lives, and has lost it
	found  bool      // open on the disk when this process started
	places []Kept    // the subjects that hold it, for Forget
	fed    QueueID
	fedAt  time.Time
	// askedAt is when the others were last asked for its end.
	askedAt time.Time
	awayAt  time.Time // see waits; care's own
}

type ended struct {
	job   Job
	final Final
}

type cancelling struct {
	job   Job
	since time.Time
}

func newOutbox(n *Node) *outbox {
	return &outbox{
		n: n, poke: make(chan struct{}, 1), feeds: newPace(), cares: newPace(),
		entries:  map[bus.TaskID]*entry{},
		kept:     map[bus.TaskID]*kept{},
		keptOpen: map[bus.TaskID]*kept{},
		ended:    newLatest[ended](endedMost, endedBytes),
		read:     newLatest[json.RawMessage](resultsMost, resultsBytes),
		results:  map[bus.TaskID]*readers{},
		lending:  map[bus.TaskID]bool{},
		standing: map[bus.TaskID]*standing{},
		heard:    map[bus.TaskID]*heard{},
		lacks:    map[bus.TaskID]*lacking{},
		cancels:  map[bus.TaskID]cancelling{},
		warm:     newWarm(),
	}
}

func (o *outbox) wake() { poke(o.poke) }

// load takes in what the store has, before anything is heard or fed.
func (o *outbox) load(ctx context.Context) error {
	all, err := o.n.fx.Outbox.Load(ctx)
	if err != nil {
		return err
	}
	for _, k := range all {
		o.onKept(k)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, k := range o.keptOpen {
		k.found = true
		if k.job.Submitter == o.n.cfg.ID {
			o.open(&entry{job: k.job, key: k.job.key(), order: k.order, born: o.n.now(), stores: 1, out: o.newStream(true)})
		}
	}
	return nil
}

// open takes in an entry. The caller holds mu.
func (o *outbox) open(e *entry) {
	o.entries[e.job.Task.ID] = e
	o.stir()
	o.openBytes += e.size()
	if e.job.Durable() {
		o.durable++
		o.durableBytes += inline(&e.job.Task)
	}
	if k := o.kept[e.job.Task.ID]; k != nil && len(k.job.Task.Payload) > 0 {
		k.job.Task.Payload = e.job.Task.Payload // the same, and once in memory
	}
}

// fitsWindow reports whether all open durable tasks may be in the queue at once. The caller holds mu.
func (o *outbox) fitsWindow() bool { return o.durable <= feedWindow && o.durableBytes <= feedBytes }

func (o *outbox) newStream(durable bool) *stream { return newStream(!o.n.off(ProtectNonce), durable) }

// onStored is onKept for what was just written. What comes from others has taken its room unasked.
func (o *outbox) onStored(k Kept) {
	if k.Submitter != o.n.cfg.ID {
		if release, err := o.n.cfg.Take(len(k.Data) + besidePayload); err != nil {
			o.n.beatSoon() // nobody should choose this disk for more
		} else {
			release()
		}
	}
	o.onKept(k)
}

// onKept takes in one message that this node's store has on disk.
func (o *outbox) onKept(k Kept) {
	var b keptBody
	if bus.Unmarshal(k.Data, &b) != nil || b.Job == nil || b.Job.Task.ID != k.Task {
		o.n.log.Error("an outbox message is unreadable", "task", k.Task, "submitter", k.Submitter)
		return
	}
	o.mu.Lock()
	t := o.kept[k.Task]
	if t == nil {
		o.count++
		t = &kept{job: *b.Job, order: o.count}
		o.kept[k.Task], o.keptOpen[k.Task] = t, t
		o.stir()
	}
	if b.Final == nil {
		t.job.Custodian, t.job.LeftMS, t.job.Stamp = b.Job.Custodian, b.Job.LeftMS, b.Job.Stamp
		if k.Submitter != o.n.cfg.ID || b.Job.Stamp.IsZero() {
			// By the clock of this node, which may have read it long after it was sent.
			t.job.Stamp = k.At.Add(-o.n.members.since(b.Job.By, b.Job.Stamp, k.At))
		}
		t.job.Task.Payload, t.job.Blob, t.sum = b.Job.Task.Payload, b.Job.Blob, contentOf(b.Job.Task, b.Job.Blob)
	}
	t.addPlace(k)
	news := b.Final != nil && t.final == nil
	if news {
		now := o.n.now() // from now on by the clock that nobody sets
		t.endAt = now.Add(-max(now.Sub(k.At), 0))
		o.setEnd(t, *b.Final)
		o.lack(t)
		o.unhear(k.Task)
	}
	if t.final != nil { // which may be known before the task, see takeIn
		t.job.slim()
	}
	fed, payload := t.fed, Job{Task: bus.Task{ID: k.Task}, Blob: t.job.Blob}
	if e := o.entries[k.Task]; e != nil {
		fed = e.fed
	}
	if news && t.standsIn(o.n.cfg.ID) {
		o.standing[k.Task] = &standing{}
		o.stir()
	}
	o.mu.Unlock()
	if !news {
		return
	}
	if b.Final.State != bus.StateDead {
		o.dropPayload(&payload)
	}
	o.complete(k.Task, *b.Final)
	// It ended under another host than the one it was fed to: tell that one.
	if q, ok := o.n.queue.get(); ok && fed == q && b.Final.Queue != q {
		o.n.bg.run(func() { o.tombstone(q, &t.job, *b.Final) })
	}
}

// addPlace notes where the store has k: its task and its end are in one place.
func (t *kept) addPlace(k Kept) {
	for _, p := range t.places {
		if p.Submitter == k.Submitter && p.Custodian == k.Custodian {
			return
		}
	}
	t.places = append(t.places, Kept{Submitter: k.Submitter, Custodian: k.Custodian, Task: k.Task})
}

// contentSum tells tasks of one id apart by what they ask for.
type contentSum [sha256.Size]byte

func (s contentSum) String() string { return hex.EncodeToString(s[:]) }

func sumOf(t bus.Task) contentSum {
	return sha256.Sum256(append([]byte(t.Type+"\x00"), t.Payload...))
}

// complete shows the end of a task that was submitted here, the first time.
func (o *outbox) complete(id bus.TaskID, f Final) {
	o.mu.Lock()
	e := o.entries[id]
	if e == nil {
		o.mu.Unlock()
		return
	}
	delete(o.entries, id)
	refill := false
	o.openBytes -= e.size()
	if f.Node != "" && !f.Unrun {
		o.warm.put(e.affinity, f.Node)
	}
	j := e.job // its custodian may just be replaced
	if j.Durable() {
		o.freed++
		refill = !o.fitsWindow() && o.freed >= refillAt
		o.durable--
		o.durableBytes -= inline(&j.Task)
	} else {
		slim := j
		slim.slim()
		o.ended.put(id, ended{slim, f}, f.size())
		if f.Blob != nil {
			o.results[id] = e.out.readers
		}
	}
	gap := e.out.close(f, o.n.now())
	o.keepTail(id, e)
	if gap >= 0 {
		o.stir()
	}
	o.mu.Unlock()
	if gap >= 0 {
		o.resend(id, f.Attempt, gap)
	}
	if !j.Durable() {
		o.dropPayload(&j)
	}
	o.n.cfg.Meter.TaskEnded(j.Task.Type, f.State, f.Node != "" && !f.Unrun)
	o.n.members.forgetTask(id)
	if refill {
		o.wake()
	}
}

// put publishes a task, or its end where f is set, to its submitter and custodian.
func (o *outbox) put(ctx context.Context, j *Job, custodian bus.NodeID, f *Final, want int) Put {
	b := keptBody{Job: j, Final: f}
	if f != nil {
		slim := *j
		slim.Task.DropPayload()
		b.Job = &slim
	} else if left, has := o.n.left(j, o.n.now()); has {
		now := *j
		o.n.stamp(&now, left, o.n.now()) // its store counts on from here
		now.By = o.n.cfg.ID
		b.Job = &now
	}
	return o.n.fx.Outbox.Put(ctx, Kept{Submitter: j.Submitter, Custodian: custodian, Task: j.Task.ID, Data: marshal(b)}, f == nil, want)
}

// hostID returns the queue host that this node follows; empty where there is none.
func (o *outbox) hostID() bus.NodeID {
	q, _ := o.n.queue.get()
	return q.Host
}
