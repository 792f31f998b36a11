package sim

import (
	"context"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
)

// outboxes are the effects on the stores on disk.
type outboxes struct{ *proc }

func (o outboxes) Ensure(ctx context.Context, submitter, custodian bus.NodeID) error {
	if custodian == "" || custodian == bus.NoCustodian || custodian == submitter || o.hasMade(submitter, custodian) {
		return nil
	}
	_, err := o.call(ctx, custodian, Step{Op: "Ensure"}, func(m *Machine, _ time.Time) (any, error) {
		m.custody[submitter] = true
		return nil, nil
	})
	if err == nil {
		o.net.mu.Lock()
		defer o.net.mu.Unlock()
		o.made[[2]bus.NodeID{submitter, custodian}] = true
	}
	return err
}

func (o outboxes) hasMade(submitter, custodian bus.NodeID) bool {
	o.net.mu.Lock()
	defer o.net.mu.Unlock()
	return o.made[[2]bus.NodeID{submitter, custodian}]
}

type stored struct {
	ok, refused, full bool

	at bus.NodeID
}

// keep stores k in a machine's store, if it has an outbox for it.
func (m *Machine) keep(k sched.Kept, first bool, now time.Time) stored {
	if k.Submitter != m.id && !m.custody[k.Submitter] {
		return stored{}
	}
	if m.refuses(k, first) {
		return stored{refused: true}
	}
	if m.full {
		return stored{full: true}
	}
	k.At = now.Add(m.skew)
	k.Data = append([]byte(nil), k.Data...)
	m.kept = append(m.kept, k)
	if m.proc != nil {
		for _, s := range m.proc.subs {
			if s.kept != nil {
				fn := s.kept
				s.push(func() { fn(k) })
			}
		}
	}
	return stored{ok: true}
}

// refuses reports whether a store that has an outbox for k has all that it may hold of it.
func (m *Machine) refuses(k sched.Kept, first bool) bool {
	have := 0
	for _, o := range m.kept {
		if o.Submitter == k.Submitter && o.Custodian == k.Custodian && o.Task == k.Task {
			have++
		}
	}
	off := m.net.cfg.Without
	return have >= 2 && !off[RuleTwoMessages] || first && have > 0 && !off[RuleTaskFirst]
}

func (o outboxes) Put(ctx context.Context, k sched.Kept, first bool, want int) sched.Put {
	var out sched.Put
	s := Step{Op: "PutEnd", Task: k.Task}
	if first {
		s.Op = "PutTask"
	}
	if o.enter(s) != nil {
		return out
	}
	to := []bus.NodeID{k.Submitter}
	if k.Custodian != bus.NoCustodian && k.Custodian != "" && k.Custodian != k.Submitter {
		to = append(to, k.Custodian)
	}
	answers := make(chan stored, 2)
	reached, pending := 0, false
	for _, id := range to {
		if o.write(id, Traffic{Op: s.Op, Task: k.Task}, k, first, answers) {
			reached++
			pending = pending || id == k.Submitter
		}
	}
	o.net.mu.Unlock()
	for n := 0; n < want && reached > 0; n++ {
		select {
		case v := <-answers:
			pending = pending && v.at != k.Submitter
			if v.ok {
				out.Stores++
			}
			if v.refused {
				out.Refused++
			}
			if (v.ok || v.refused) && v.at == k.Custodian {
				out.Custodian = true
			}
			continue
		case <-ctx.Done(): // a store that does not answer may come back empty
			out.Pending = pending
			o.net.mu.Lock()
			delete(o.made, [2]bus.NodeID{k.Submitter, k.Custodian})
			o.net.mu.Unlock()
		case <-o.ctx.Done():
		}
		break
	}
	if o.leave(s) != nil {
		return sched.Put{}
	}
	return out
}

// write asks a machine's store to keep k, and reports whether there is one. What it says goes to answers. The
// caller holds mu.
func (o outboxes) write(at bus.NodeID, t Traffic, k sched.Kept, first bool, answers chan stored) bool {
	m := o.net.machines[at]
	if m == nil || m.proc == nil || !o.net.routed(o.proc, m.proc, time.Now()) {
		return false
	}
	q := m.proc
	answer := func(v stored) {
		t.Answer = true
		o.net.send(q, o.proc, t, func(time.Time) {
			if v != (stored{}) {
				v.at = at
				answers <- v
			}
		})
	}
	o.net.send(o.proc, q, t, func(now time.Time) {
		if o.net.cfg.Sync == 0 || m.refuses(k, first) {
			answer(m.keep(k, first, now))
			return
		}
		time.AfterFunc(o.net.cfg.Sync, func() {
			o.net.mu.Lock()
			defer o.net.mu.Unlock()
			if q.thaw() {
				answer(m.keep(k, first, time.Now()))
			}
		})
	})
	return true
}

func (o outboxes) Load(context.Context) (out []sched.Kept, err error) {
	err = o.do(Step{Op: "Load"}, func() { out = append(out, o.m.kept...) })
	return out, err
}

func (o outboxes) Watch(fn func(sched.Kept)) (stop func(), err error) {
	if err := o.enter(Step{Op: "WatchKept"}); err != nil {
		return nil, err
	}
	defer o.net.mu.Unlock()
	s := o.subscribe("")
	s.kept = fn
	return s.stop, nil
}

func (o outboxes) Task(_ context.Context, k sched.Kept) ([]byte, error) {
	return o.message("Task", k, false)
}

func (o outboxes) End(_ context.Context, k sched.Kept) ([]byte, error) {
	return o.message("End", k, true)
}

// message returns the first message of k's subject, or the last.
func (o outboxes) message(op string, k sched.Kept, last bool) (data []byte, err error) {
	err = o.do(Step{Op: op, Task: k.Task}, func() {
		for _, h := range o.m.kept {
			if (data == nil || last) && h.Submitter == k.Submitter && h.Custodian == k.Custodian && h.Task == k.Task {
				data = append([]byte{}, h.Data...)
			}
		}
	})
	if err == nil && data == nil {
		err = sched.ErrNotFound
	}
	return data, err
}

func (o outboxes) Forget(_ context.Context, k sched.Kept) error {
	return o.do(Step{Op: "Forget", Task: k.Task}, func() {
		var left []sched.Kept
		for _, h := range o.m.kept {
			if h.Submitter != k.Submitter || h.Custodian != k.Custodian || h.Task != k.Task {
				left = append(left, h)
			}
		}
		o.m.kept = left
	})
}
