package jet

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
)

const (
	ackPrefix = "$JS.ACK."
	// fetchPatience ends a fetch: another node's store does not answer for a queue or key that
	// it does not have. What arrives later goes back.
	fetchPatience = time.Second
)

// pull asks for one message, with 1 ms of grace: a consumer hears of a message a few
// microseconds after the stream has stored and announced it, and a refusal in between, seen for
// one message in five without the grace, costs a whole round of asking again.
var pull = []byte(`{"batch":1,"no_wait":true,"expires":1000000}`)

type slotID struct {
	n   int
	own bool // fetches from the own store
}

// arrival is a message for a slot. Where it comes from this process, job is what it would hold.
type arrival struct {
	*nats.Msg
	job *sched.Job
}

// slot fills one place of a worker. A message that is delivered carries its original subject
// and not that of the request, so what tells a wanted message is its key alone; a status is
// told by the subject of its request.
type slot struct {
	j     *Jet
	link  *link
	inbox string
	sub   *nats.Subscription
	got   chan arrival // holds one

	mu    sync.Mutex
	n     uint64
	want  string // subject prefix of the work asked for, "" where nothing is
	reply string // subject of its status
}

// Fetch takes the oldest message of key. sched.ErrNotFound: there was none within 1 ms.
func (j *Jet) Fetch(ctx context.Context, q sched.QueueID, key bus.Key, n int) (sched.Delivery, error) {
	l, api := j.at(q.Host)
	d, err := j.fetch(ctx, slotID{n, l == j.store}, l, &nats.Msg{
		Subject: api + "CONSUMER.MSG.NEXT." + workStream(q) + "." + consumerName(q, key), Data: pull,
	}, bus.SubjectWork(q.Host, q.Term, key.String()+"."))
	if err != nil {
		return d, fmt.Errorf("fetch %s: %w", key, err)
	}
	d.Key = key
	return d, nil
}

// Await makes slot n ready for one message of q that its host hands over, and returns where to.
func (j *Jet) Await(q sched.QueueID, n int) (to string, wait func(context.Context) (sched.Delivery, error), err error) {
	l, _ := j.at(q.Host)
	s, err := j.slot(slotID{n, l == j.store}, l)
	if err != nil {
		return "", nil, fmt.Errorf("await work: %w", err)
	}
	prefix := bus.SubjectWork(q.Host, q.Term, "")
	reply := s.arm(prefix)
	return reply, func(ctx context.Context) (sched.Delivery, error) {
		m, err := s.wait(ctx, nil)
		if err != nil {
			return sched.Delivery{}, fmt.Errorf("await work: %w", err)
		}
		d, err := delivery(m.Msg)
		if err != nil {
			return d, fmt.Errorf("await work: %w", err)
		}
		d.Job = m.job
		if m.Subject != reply {
			d.Rev = 0 // what was asked for earlier
		}
		d.Key, _, err = workOf(workSubject(m.Msg), prefix)
		return d, err
	}, nil
}

// workOf reads the subject of a work message below prefix.
func workOf(subject, prefix string) (bus.Key, bus.TaskID, error) {
	rest := strings.TrimPrefix(subject, prefix)
	i := strings.LastIndexByte(rest, '.')
	if i < 0 {
		return bus.Key{}, "", fmt.Errorf("subject %s has no task", subject)
	}
	key, err := bus.ParseKey(rest[:i])
	return key, bus.TaskID(rest[i+1:]), err
}

func (j *Jet) fetch(ctx context.Context, id slotID, l *link, ask *nats.Msg, want string) (sched.Delivery, error) {
	s, err := j.slot(id, l)
	if err != nil {
		return sched.Delivery{}, err
	}
	ask.Reply = s.arm(want)
	if err := l.nc.PublishMsg(ask); err != nil {
		s.disarm()
		return sched.Delivery{}, err
	}
	late := time.NewTimer(fetchPatience)
	defer late.Stop()
	m, err := s.wait(ctx, late.C)
	if err != nil {
		return sched.Delivery{}, err
	}
	return delivery(m.Msg)
}

// delivery reads what came for a slot.
func delivery(m *nats.Msg) (sched.Delivery, error) {
	if !isDelivery(m) {
		switch status := m.Header.Get(hdrStatus); status {
		case "404", "408", statusNoResponse: // none, none within the grace, no such key
			return sched.Delivery{}, sched.ErrNotFound
		default:
			return sched.Delivery{}, errors.New("status " + status + " " + m.Header.Get("Description"))
		}
	}
	if m.Header.Get(hdrDirect) != "" {
		rev, err := strconv.ParseUint(m.Header.Get(hdrRev), 10, 64)
		return sched.Delivery{Data: m.Data, Delivered: 1, Nonce: m.Subject, Rev: rev}, err
	}
	a, err := parseAck(ackOf(m))
	if err != nil {
		return sched.Delivery{}, err
	}
	d := sched.Delivery{Data: m.Data, Ack: ackOf(m), Seq: a.seq, Delivered: a.delivered, At: a.at}
	if m.Header.Get(hdrWork) == "" {
		return d, nil
	}
	d.Nonce = m.Subject
	d.Rev, err = strconv.ParseUint(m.Header.Get(hdrRev), 10, 64)
	return d, err
}

func isDelivery(m *nats.Msg) bool {
	return strings.HasPrefix(ackOf(m), ackPrefix) || m.Header.Get(hdrDirect) != ""
}

// slot returns a slot's inbox, made at its first fetch.
func (j *Jet) slot(id slotID, l *link) (*slot, error) {
	j.mu.Lock()
	s, closed := j.slots[id], j.slots == nil
	j.mu.Unlock()
	if s != nil {
		return s, nil
	}
	if closed {
		return nil, nats.ErrConnectionClosed
	}
	s = &slot{j: j, link: l, inbox: l.nc.NewInbox(), got: make(chan arrival, 1)}
	sub, err := subscribeAll(l.nc, s.inbox+".*", func(m *nats.Msg) { s.deliver(arrival{Msg: m}) })
	if err != nil {
		return nil, fmt.Errorf("listen for deliveries: %w", err)
	}
	s.sub = sub
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.slots == nil {
		s.stop()
		return nil, nats.ErrConnectionClosed
	}
	j.slots[id] = s
	return s, nil
}

func (s *slot) stop() { stopper(s.sub)() }

// arm makes ready for one answer and returns its reply subject.
func (s *slot) arm(want string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	s.want, s.reply = want, s.inbox+"."+strconv.FormatUint(s.n, 36)
	return s.reply
}

// deliver hands m to who asked. Work that nobody asked for any more goes back at once.
func (s *slot) deliver(m arrival) {
	work := isDelivery(m.Msg)
	s.mu.Lock()
	wanted := s.want != "" && (work && strings.HasPrefix(workSubject(m.Msg), s.want) || !work && m.Subject == s.reply)
	if wanted {
		s.want = ""
		s.got <- m
	}
	s.mu.Unlock()
	if !wanted && work {
		s.j.refuse(m.Msg)
	}
}

// wait returns what came, or the error of ctx or, where late fires first, errLate.
func (s *slot) wait(ctx context.Context, late <-chan time.Time) (arrival, error) {
	var err error
	select {
	case m := <-s.got:
		return m, nil
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-late:
		err = errLate
	}
	if m := s.disarm(); m.Msg != nil {
		return m, nil
	}
	return arrival{}, err
}

// disarm ends the wait for an answer. It returns one that came in the very moment of giving up, if
// there is one.
func (s *slot) disarm() arrival {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.want = ""
	select {
	case m := <-s.got:
		return m
	default:
		return arrival{}
	}
}
