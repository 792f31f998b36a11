package jet

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
)

const (
	// claimAge is how long the record of an end stays: longer than a copy of its task may turn up
	// late. The record of a run stays as long as the run.
	claimAge = 15 * time.Minute
	// endedMost bounds, in bytes, the records of ends in one queue; beyond it the oldest go sooner.
	endedMost = 64 << 20
)

// errNoQueue is a call for a queue of this node that was dropped, or never was.
var errNoQueue = errors.New("this node has no such queue")

// claims are the records of one queue of this node, in memory as the queue is. Others reach them
// by requests on bus.SubjectClaim.
type claims struct {
	publish func(sched.Msg) error
	sub     *nats.Subscription

	mu       sync.Mutex
	rev      uint64
	records  map[bus.TaskID]*record
	ended    []*record // terminal ones, oldest first; some may be replaced
	size     int       // bytes of the bodies in ended
	watchers map[int]func(sched.Claim)
	watched  int // of watchers so far
}

type record struct {
	task bus.TaskID
	rev  uint64
	body []byte
	at   time.Time // of its end
}

func newClaims(publish func(sched.Msg) error) *claims {
	return &claims{publish: publish, records: map[bus.TaskID]*record{}, watchers: map[int]func(sched.Claim){}}
}

// put writes a record in place of revision rev, 0 for none, and then publishes then, if there is
// one. Watchers are told in the order of writing.
func (c *claims) put(head sched.Claim, body []byte, rev uint64, then *sched.Msg, now time.Time) (uint64, error) {
	rev, err := c.write(head, body, rev, now)
	if err == nil && then != nil {
		_ = c.publish(*then) // whoever waits for it asks again
	}
	return rev, err
}

func (c *claims) write(head sched.Claim, body []byte, rev uint64, now time.Time) (uint64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expire(now)
	var has uint64
	if r := c.records[head.Task]; r != nil {
		has = r.rev
	}
	if has != rev {
		return 0, fmt.Errorf("%w: it is at revision %d, not %d", sched.ErrConflict, has, rev)
	}
	c.rev++
	r := &record{task: head.Task, rev: c.rev, body: body}
	c.records[head.Task] = r
	if head.State == "" {
		delete(c.records, head.Task)
	}
	if head.State.Terminal() {
		r.at = now
		c.ended = append(c.ended, r)
		c.size += len(body)
	}
	for _, fn := range c.watchers {
		fn(head)
	}
	return r.rev, nil
}

// expire drops the records of ends that are old, or too many. mu is held.
func (c *claims) expire(now time.Time) {
	for len(c.ended) > 0 && (now.Sub(c.ended[0].at) > claimAge || c.size > endedMost) {
		r := c.ended[0]
		c.ended[0], c.ended = nil, c.ended[1:]
		c.size -= len(r.body)
		if c.records[r.task] == r {
			delete(c.records, r.task)
		}
	}
}

// forgetOld drops the records of old ends, where nothing is written any more.
func (c *claims) forgetOld(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expire(now)
}

func (c *claims) get(id bus.TaskID) (body []byte, rev uint64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.records[id]
	if r == nil {
		return nil, 0, sched.ErrNotFound
	}
	return r.body, r.rev, nil
}

func (c *claims) watch(fn func(sched.Claim)) (stop func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watched++
	id := c.watched
	c.watchers[id] = fn
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.watchers, id)
	}
}

// openClaims makes the records of queue q, and answers other nodes' requests for them.
func (j *Jet) openClaims(q sched.QueueID) error {
	j.mu.Lock()
	has := j.claims[q.Term]
	j.mu.Unlock()
	if has != nil {
		return nil
	}
	c := newClaims(j.tell)
	prefix := bus.SubjectClaim(q.Host, q.Term, "")
	sub, err := subscribeAll(j.fabric.nc, prefix+"*", func(m *nats.Msg) {
		j.answerClaim(c, bus.TaskID(strings.TrimPrefix(m.Subject, prefix)), m)
	})
	if err != nil {
		return fmt.Errorf("answer for claims: %w", err)
	}
	c.sub = sub
	j.mu.Lock()
	defer j.mu.Unlock()
	j.claims[q.Term] = c
	return nil
}

func (j *Jet) dropClaims(q sched.QueueID) {
	j.mu.Lock()
	c := j.claims[q.Term]
	delete(j.claims, q.Term)
	j.mu.Unlock()
	if c != nil {
		stopper(c.sub)()
	}
}

// ownClaims returns the records of a queue of this node.
func (j *Jet) ownClaims(q sched.QueueID) (*claims, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	c := j.claims[q.Term]
	if c == nil {
		return nil, errNoQueue
	}
	return c, nil
}

// Headers of a request for a record, and of its answer.
const (
	hdrExpect = "Myco-Expect"   // revision to replace; without it the record is read
	hdrThen   = "Myco-Then"     // subject to publish to, once written
	hdrThenAt = "Myco-Then-At"  // where in the body that message begins
	hdrRev    = "Myco-Revision" // answer: the record's
	hdrWhyNot = "Myco-Not"      // answer: "conflict", "none", or what went wrong
	notWanted = "conflict"      // the record is at another revision
	notThere  = "none"          // there is none
)

// answerClaim does what another node asks.
func (j *Jet) answerClaim(c *claims, id bus.TaskID, m *nats.Msg) {
	if m.Reply == "" {
		return
	}
	r := &nats.Msg{Subject: m.Reply, Header: nats.Header{}}
	var rev uint64
	var err error
	if _, write := m.Header[hdrExpect]; write {
		rev, err = j.writeClaim(c, id, m)
	} else {
		r.Data, rev, err = c.get(id)
	}
	switch {
	case errors.Is(err, sched.ErrConflict):
		r.Header[hdrWhyNot] = []string{notWanted}
	case errors.Is(err, sched.ErrNotFound):
		r.Header[hdrWhyNot] = []string{notThere}
	case err != nil:
		r.Header[hdrWhyNot] = []string{err.Error()}
	default:
		r.Header[hdrRev] = []string{strconv.FormatUint(rev, 10)}
	}
	if err := j.fabric.nc.PublishMsg(r); err != nil {
		j.log.Warn("answer for a claim", "task", id, "err", err)
	}
}

func (j *Jet) writeClaim(c *claims, id bus.TaskID, m *nats.Msg) (uint64, error) {
	head, err := parseClaim(m.Header)
	if err != nil {
		return 0, err
	}
	head.Task = id
	rev, err := strconv.ParseUint(m.Header.Get(hdrExpect), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("parse revision: %w", err)
	}
	body, then := m.Data, (*sched.Msg)(nil)
	if to := m.Header.Get(hdrThen); to != "" {
		at, err := strconv.Atoi(m.Header.Get(hdrThenAt))
		if err != nil || at < 0 || at > len(m.Data) {
			return 0, fmt.Errorf("the message to publish begins at %q of %d bytes", m.Header.Get(hdrThenAt), len(m.Data))
		}
		body, then = slices.Clone(m.Data[:at]), &sched.Msg{Subject: to, Data: m.Data[at:]}
	}
	return c.put(head, body, rev, then, time.Now())
}
