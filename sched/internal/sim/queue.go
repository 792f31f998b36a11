package sim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
)

// queue is one work queue with its claims, guarded by net.mu.
type queue struct {
	id       sched.QueueID
	seq      uint64
	msgs     []*message // oldest first
	keys     map[bus.Key]*consumer
	claims   map[bus.TaskID]*record
	rev      uint64
	watchers []*watcher
}

type message struct {
	seq       uint64
	key       bus.Key
	task      bus.TaskID
	data      []byte
	at        time.Time
	delivered int
	free      time.Time // once delivered: from then on it is delivered again
}

type consumer struct {
	deliveredSeq, count uint64
}

type record struct {
	data []byte
	rev  uint64
}

type watcher struct {
	stored, claimed *sub
	onStored        func(bus.Key, bus.TaskID, uint64, sched.Need)
	onClaimed       func(sched.Claim)
}

var errNoQueue = errors.New("no such queue")

// at calls fn on queue q at its host.
func (p *proc) at(ctx context.Context, q sched.QueueID, s Step, fn func(k *queue, now time.Time) (any, error)) (any, error) {
	return p.call(ctx, q.Host, s, func(m *Machine, now time.Time) (any, error) {
		k := m.queues[q]
		if k == nil {
			return nil, errNoQueue
		}
		return fn(k, now)
	})
}

func (p *proc) Open(ctx context.Context, q sched.QueueID) error {
	_, err := p.call(ctx, q.Host, Step{Op: "Open"}, func(m *Machine, _ time.Time) (any, error) {
		m.net.opened[q]++
		if m.queues[q] == nil {
			m.queues[q] = &queue{id: q, keys: map[bus.Key]*consumer{}, claims: map[bus.TaskID]*record{}}
		}
		return nil, nil
	})
	return err
}

func (p *proc) Drop(ctx context.Context, q sched.QueueID) error {
	_, err := p.call(ctx, q.Host, Step{Op: "Drop"}, func(m *Machine, _ time.Time) (any, error) {
		delete(m.queues, q)
		return nil, nil
	})
	return err
}

func (p *proc) Old(ctx context.Context) ([]sched.QueueID, error) {
	v, err := p.call(ctx, p.m.id, Step{Op: "Old"}, func(m *Machine, _ time.Time) (any, error) {
		var out []sched.QueueID
		for q := range m.queues {
			out = append(out, q)
		}
		return out, nil
	})
	out, _ := v.([]sched.QueueID)
	return out, err
}

func (p *proc) AddKey(ctx context.Context, q sched.QueueID, key bus.Key) error {
	_, err := p.at(ctx, q, Step{Op: "AddKey"}, func(k *queue, _ time.Time) (any, error) {
		if k.keys[key] == nil {
			k.keys[key] = &consumer{}
		}
		return nil, nil
	})
	return err
}

func (p *proc) DropKey(ctx context.Context, q sched.QueueID, key bus.Key) error {
	_, err := p.at(ctx, q, Step{Op: "DropKey"}, func(k *queue, _ time.Time) (any, error) {
		delete(k.keys, key)
		for _, m := range k.msgs {
			if m.key == key { // who is added next knows of no delivery
				m.delivered, m.free = 0, time.Time{}
			}
		}
		return nil, nil
	})
	return err
}

func (p *proc) Feed(ctx context.Context, q sched.QueueID, key bus.Key, id bus.TaskID, need sched.Need, data []byte) error {
	_, err := p.at(ctx, q, Step{Op: "Feed", Task: id}, func(k *queue, now time.Time) (any, error) {
		copies := 1
		for _, m := range k.msgs {
			if m.key == key && m.task == id {
				copies++
			}
		}
		if copies > 1 && !p.net.cfg.Without[RuleOneASubject] {
			return nil, nil
		}
		p.net.copies = max(p.net.copies, copies)
		k.seq++
		k.msgs = append(k.msgs, &message{seq: k.seq, key: key, task: id, at: now.Add(p.net.machines[q.Host].skew), data: append([]byte(nil), data...)})
		for _, w := range k.watchers {
			k.announce(w.stored, func(seq uint64) func() { return func() { w.onStored(key, id, seq, need) } }(k.seq))
		}
		return nil, nil
	})
	return err
}

// announce tells a watcher on the same machine.
func (k *queue) announce(s *sub, f func()) {
	n, p := s.p.net, s.p
	if n.rnd.Float64() < n.cfg.Deaf {
		return
	}
	n.send(p, p, Traffic{Op: "announce"}, func(time.Time) { s.push(f) })
}

// next returns the message of key that is due: of those that came back the first that was due, else the oldest.
func (k *queue) next(key bus.Key, now time.Time) *message {
	var fresh, back *message
	for _, m := range k.msgs {
		if m.key != key {
			continue
		}
		if m.delivered > 0 && !now.Before(m.free) && (back == nil || m.free.Before(back.free)) {
			back = m
		}
		if m.delivered == 0 && fresh == nil {
			fresh = m
		}
	}
	return cmp.Or(back, fresh)
}

// deliver takes the message of key that is due.
func (k *queue) deliver(key bus.Key, now time.Time, lease time.Duration) (sched.Delivery, error) {
	c, m := k.keys[key], k.next(key, now)
	if c == nil || m == nil {
		return sched.Delivery{}, sched.ErrNotFound
	}
	m.delivered++
	m.free = now.Add(lease)
	c.count++
	c.deliveredSeq = max(c.deliveredSeq, m.seq)
	return sched.Delivery{Key: key, Data: m.data, Ack: ackOf(k.id, m.seq, m.delivered), Seq: m.seq, Delivered: m.delivered, At: m.at}, nil
}

func (p *proc) Fetch(ctx context.Context, q sched.QueueID, key bus.Key, _ int) (sched.Delivery, error) {
	v, err := p.at(ctx, q, Step{Op: "Fetch"}, func(k *queue, now time.Time) (any, error) {
		return k.deliver(key, now, p.net.cfg.Lease)
	})
	d, _ := v.(sched.Delivery)
	return d, err
}

func (p *proc) Keys(ctx context.Context, q sched.QueueID) ([]bus.Key, error) {
	v, err := p.at(ctx, q, Step{Op: "Keys"}, func(k *queue, _ time.Time) (any, error) {
		has := map[bus.Key]bool{}
		for _, m := range k.msgs {
			if k.keys[m.key] != nil {
				has[m.key] = true
			}
		}
		return sorted(has), nil
	})
	out, _ := v.([]bus.Key)
	return out, err
}

func sorted[T any](keys map[bus.Key]T) (out []bus.Key) {
	for key := range keys {
		out = append(out, key)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].String() < out[j].String() })
	return out
}

func ackOf(q sched.QueueID, seq uint64, delivered int) string {
	return fmt.Sprintf("sim.ack.%s.%d.%d.%d", q.Host, q.Term, seq, delivered)
}

func parseAck(ack string) (q sched.QueueID, seq uint64, err error) {
	t := strings.Split(ack, ".")
	if len(t) != 6 || t[0] != "sim" {
		return q, 0, fmt.Errorf("acknowledgement subject %q", ack)
	}
	q.Host = bus.NodeID(t[2])
	var err1, err2 error
	q.Term, err1 = strconv.ParseUint(t[3], 10, 64)
	seq, err2 = strconv.ParseUint(t[4], 10, 64)
	return q, seq, errors.Join(err1, err2)
}

// settle changes a delivered message, by an acknowledgement of any of its deliveries: nothing
// is fenced.
func (p *proc) settle(op, ack string, fn func(k *queue, i int, now time.Time)) error {
	q, seq, err := parseAck(ack)
	if err != nil {
		return err
	}
	return p.soon(Step{Op: op}, func() {
		p.ask(q.Host, Traffic{Op: op, Ack: ack}, func(m *Machine, now time.Time) (any, error) {
			if k := m.queues[q]; k != nil {
				for i, msg := range k.msgs {
					if msg.seq == seq && msg.delivered > 0 {
						fn(k, i, now)
						break
					}
				}
			}
			return nil, nil
		}, func(result) {})
	})
}

func (p *proc) Ack(ack string) error {
	return p.settle("Ack", ack, func(k *queue, i int, _ time.Time) { k.msgs = append(k.msgs[:i:i], k.msgs[i+1:]...) })
}

func (p *proc) Nak(ack string, delay time.Duration) error {
	return p.settle("Nak", ack, func(k *queue, i int, now time.Time) {
		k.msgs[i].free = now.Add(max(delay, 0))
	})
}

func (p *proc) Progress(ack string) error {
	return p.settle("Progress", ack, func(k *queue, i int, now time.Time) {
		if m := k.msgs[i]; now.Before(m.free) {
			m.free = now.Add(p.net.cfg.Lease)
		}
	})
}

func (p *proc) Counts(ctx context.Context, q sched.QueueID) ([]sched.KeyCount, error) {
	v, err := p.at(ctx, q, Step{Op: "Counts"}, func(k *queue, _ time.Time) (any, error) {
		var out []sched.KeyCount
		all := map[bus.Key]bool{}
		for _, m := range k.msgs {
			all[m.key] = true
		}
		for key := range k.keys {
			all[key] = true
		}
		for _, key := range sorted(all) {
			c := sched.KeyCount{Key: key}
			if has := k.keys[key]; has != nil {
				c.DeliveredSeq, c.ConsumerSeq = has.deliveredSeq, has.count
			}
			for _, m := range k.msgs {
				if m.key == key && m.delivered > 0 {
					c.Unacked++
				} else if m.key == key {
					c.Pending++
				}
			}
			out = append(out, c)
		}
		return out, nil
	})
	out, _ := v.([]sched.KeyCount)
	return out, err
}

func (p *proc) Free(q sched.QueueID, _ sched.KeyCount, seq uint64) error {
	return p.Nak(ackOf(q, seq, 1), 0)
}

func (p *proc) Discard(q sched.QueueID, seq uint64) error {
	return p.soon(Step{Op: "Discard"}, func() {
		p.ask(q.Host, Traffic{Op: "Discard"}, func(m *Machine, _ time.Time) (any, error) {
			if k := m.queues[q]; k != nil {
				k.msgs = slices.DeleteFunc(k.msgs, func(m *message) bool { return m.seq == seq })
			}
			return nil, nil
		}, func(result) {})
	})
}

func (p *proc) Watch(q sched.QueueID, stored func(bus.Key, bus.TaskID, uint64, sched.Need), claimed func(sched.Claim)) (func(), error) {
	if err := p.enter(Step{Op: "Watch"}); err != nil {
		return nil, err
	}
	defer p.net.mu.Unlock()
	k := p.m.queues[q]
	if k == nil {
		return nil, errNoQueue
	}
	w := &watcher{stored: p.subscribe(""), claimed: p.subscribe(""), onStored: stored, onClaimed: claimed}
	k.watchers = append(k.watchers, w)
	return func() { w.stored.stop(); w.claimed.stop() }, nil
}
