package jet

import (
	"cmp"
	"fmt"
	"runtime"
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
	// hdrWork is the subject of a work message that its host passes on. Beside it are hdrAck, where it
	// is settled, for a client may not name that as its reply, and hdrRev, the revision of the record
	// that the host has created for the slot; 0 where it has none.
	hdrWork = "Myco-Work"
	// handsLate is how long a store may take to answer, before its answer is not waited for.
	handsLate = time.Second
)

// hand is a message under way from the own store to a slot.
type hand struct {
	q     sched.QueueID
	key   bus.Key
	to    string
	reply string // of the request to the store
	grant sched.Grant
	at    time.Time
}

// hands are those under way, oldest first. A message carries its own subject and not that of the
// request, so it goes to the oldest hand of its key; a status is told by the subject of its request.
type hands struct {
	inbox string
	sub   *nats.Subscription

	mu   sync.Mutex
	n    uint64
	open []hand
}

// add returns the subject on which the store is to answer.
func (h *hands) add(a hand) (reply string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(h.open) > 0 && a.at.Sub(h.open[0].at) > handsLate {
		h.open = slices.Delete(h.open, 0, 1) // its answer was lost: the next one is not for it
	}
	h.n++
	a.reply = h.inbox + strconv.FormatUint(h.n, 36)
	h.open = append(h.open, a)
	return a.reply
}

// take removes the oldest hand that is meant.
func (h *hands) take(meant func(hand) bool) (hand, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	i := slices.IndexFunc(h.open, meant)
	if i < 0 {
		return hand{}, false
	}
	a := h.open[i]
	h.open = slices.Delete(h.open, i, i+1)
	return a, true
}

// Hand has this node's store deliver the oldest message of key to a slot that waits at to, or
// tell it that there is none. With a grant the message passes here, and is claimed on its way.
func (j *Jet) Hand(q sched.QueueID, key bus.Key, to string, grant sched.Grant) error {
	reply := to
	if grant != nil {
		reply = j.hands.add(hand{q: q, key: key, to: to, grant: grant, at: time.Now()})
	}
	subject := "$JS.API.CONSUMER.MSG.NEXT." + workStream(q) + "." + consumerName(q, key)
	if err := j.store.nc.PublishRequest(subject, reply, pull); err != nil {
		j.hands.take(func(o hand) bool { return o.reply == reply })
		return fmt.Errorf("hand over %s: %w", key, err)
	}
	return nil
}

// openHands listens for what the own store answers to Hand.
func (j *Jet) openHands() error {
	j.hands.inbox = j.store.nc.NewInbox() + "."
	sub, err := subscribeAll(j.store.nc, j.hands.inbox+"*", j.pass)
	if err != nil {
		return fmt.Errorf("listen for work to pass on: %w", err)
	}
	j.hands.sub = sub
	return nil
}

// pass sends on to a slot what the own store has answered for it.
func (j *Jet) pass(m *nats.Msg) {
	if !isDelivery(m) {
		if a, ok := j.hands.take(func(o hand) bool { return o.reply == m.Subject }); ok {
			j.toSlot(arrival{Msg: &nats.Msg{Subject: a.to, Header: m.Header}})
		}
		return
	}
	a, ok := j.hands.take(func(o hand) bool {
		return strings.HasPrefix(m.Subject, bus.SubjectWork(o.q.Host, o.q.Term, o.key.String())+".")
	})
	if !ok { // nobody waits for it any more
		j.refuse(m)
		return
	}
	rev := j.claimFor(a, m)
	j.toSlot(arrival{Msg: &nats.Msg{
		Subject: a.to, Data: m.Data,
		Header: nats.Header{hdrWork: {m.Subject}, hdrAck: {m.Reply}, hdrRev: {strconv.FormatUint(rev, 10)}},
	}})
}

// hdrDirect marks what was never in the queue: there is nothing to settle.
const hdrDirect = "Myco-Direct"

// Direct implements sched.Queues.
func (j *Jet) Direct(q sched.QueueID, id bus.TaskID, d sched.Delivery, to string, c sched.Claim, rec []byte) error {
	own, err := j.ownClaims(q)
	if err != nil {
		return fmt.Errorf("hand over %s: %w", d.Key, err)
	}
	rev, err := own.put(c, rec, 0, nil, time.Now())
	if err != nil {
		return fmt.Errorf("claim %s: %w", id, err)
	}
	j.toSlot(arrival{job: d.Job, Msg: &nats.Msg{Subject: to, Data: d.Data, Header: nats.Header{
		hdrWork: {bus.SubjectWork(q.Host, q.Term, d.Key.String()+"."+string(id))}, hdrRev: {strconv.FormatUint(rev, 10)}, hdrDirect: {"1"},
	}}})
	return nil
}

// claimFor creates the record of a delivery for the slot that gets it, and returns its revision; 0
// where the slot is to do that.
func (j *Jet) claimFor(a hand, m *nats.Msg) uint64 {
	_, id, err1 := workOf(m.Subject, bus.SubjectWork(a.q.Host, a.q.Term, ""))
	d, err2 := delivery(m)
	own, err3 := j.ownClaims(a.q)
	if err1 != nil || err2 != nil || err3 != nil {
		return 0
	}
	d.Key = a.key
	c, rec, ok := a.grant(id, d)
	if !ok {
		return 0
	}
	rev, err := own.put(c, rec, 0, nil, time.Now())
	if err != nil { // it has one
		return 0
	}
	return rev
}

// toSlot delivers m to a slot that waits, here without the way through the server.
func (j *Jet) toSlot(m arrival) {
	j.mu.Lock()
	for id, s := range j.slots {
		if id.own && strings.HasPrefix(m.Subject, s.inbox+".") {
			j.mu.Unlock()
			s.deliver(m)
			return
		}
	}
	j.mu.Unlock()
	if err := j.fabric.nc.PublishMsg(m.Msg); err != nil {
		j.log.Debug("pass on work", "to", m.Subject, "err", err) // the sweep finds it
	}
	runtime.Gosched() // other goroutines send it, and the slot waits for that; nobody waits for what is left to do here
}

// workSubject is the subject of the work that m delivers.
func workSubject(m *nats.Msg) string { return cmp.Or(m.Header.Get(hdrWork), m.Subject) }

// ackOf is where it is settled.
func ackOf(m *nats.Msg) string { return cmp.Or(m.Header.Get(hdrAck), m.Reply) }

// refuse gives back work that nobody asked for any more, and what its host has claimed for it.
func (j *Jet) refuse(m *nats.Msg) {
	if ack := ackOf(m); ack != "" {
		if err := j.Nak(ack, 0); err != nil {
			j.log.Warn("cannot give back work that came late", "error", err)
		}
	}
	d, err := delivery(m)
	if err != nil || d.Rev == 0 {
		return
	}
	if err := j.unclaim(workSubject(m), d); err != nil {
		j.log.Debug("give back work that came late", "error", err) // its host sees that nobody runs it
	}
}

// unclaim deletes a record that a host has created for a slot here. It does not wait for the answer.
func (j *Jet) unclaim(subject string, d sched.Delivery) error {
	p := strings.SplitN(subject, ".", 5) // payload.work.<host>.<term>.<key and task>
	if len(p) != 5 {
		return fmt.Errorf("subject %s is not of work", subject)
	}
	term, err := strconv.ParseUint(p[3], 10, 64)
	if err != nil {
		return fmt.Errorf("subject %s: %w", subject, err)
	}
	q := sched.QueueID{Host: bus.NodeID(p[2]), Term: term}
	key, id, err := workOf(p[4], "")
	if err != nil {
		return err
	}
	c := sched.Claim{Task: id, Ack: d.Ack, Key: key, Seq: d.Seq}
	if q.Host == j.cfg.Node {
		own, err := j.ownClaims(q)
		if err == nil {
			_, err = own.put(c, nil, d.Rev, nil, time.Now())
		}
		return err
	}
	m := claimMsg(q, c, nil, d.Rev, nil)
	m.Reply = j.fabric.inbox + "none"
	return j.fabric.nc.PublishMsg(m)
}
