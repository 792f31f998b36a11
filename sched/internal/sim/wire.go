package sim

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
)

// sub calls a function for each of its messages, in order, one at a time. Its fields are
// guarded by net.mu.
type sub struct {
	p       *proc
	pattern string // "" for what is told by the own store
	fn      func(sched.Msg)
	kept    func(sched.Kept)
	todo    []func()
	wake    chan struct{}
	stopped bool
}

// subscribe starts a sub. The caller holds mu.
func (p *proc) subscribe(pattern string) *sub {
	s := &sub{p: p, pattern: pattern, wake: make(chan struct{}, 1)}
	p.subs = append(p.subs, s)
	go s.run()
	return s
}

func (s *sub) run() {
	n := s.p.net
	for {
		select {
		case <-s.wake:
		case <-s.p.ctx.Done():
			return
		}
		n.mu.Lock()
		for len(s.todo) > 0 && !s.stopped && s.p.thaw() {
			if s.stopped || len(s.todo) == 0 {
				break
			}
			f := s.todo[0]
			s.todo = s.todo[1:]
			n.mu.Unlock()
			f()
			n.mu.Lock()
		}
		stopped := s.stopped
		n.mu.Unlock()
		if stopped {
			return
		}
	}
}

// push hands f to the sub. The caller holds mu.
func (s *sub) push(f func()) {
	s.todo = append(s.todo, f)
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *sub) stop() {
	s.p.net.mu.Lock()
	defer s.p.net.mu.Unlock()
	s.stopped, s.todo = true, nil
	for i, o := range s.p.subs {
		if o == s {
			s.p.subs = append(s.p.subs[:i:i], s.p.subs[i+1:]...)
		}
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// matches reports whether subject fits pattern.
func matches(pattern, subject string) bool {
	for {
		p, ps, morePattern := strings.Cut(pattern, ".")
		t, ts, moreSubject := strings.Cut(subject, ".")
		switch {
		case p == ">":
			return true
		case p != "*" && p != t, morePattern != moreSubject:
			return false
		case !morePattern:
			return true
		}
		pattern, subject = ps, ts
	}
}

func (p *proc) Publish(m sched.Msg) error {
	s := Step{Op: "publish", Subject: m.Subject}
	if err := p.enter(s); err != nil {
		return err
	}
	p.spread(m)
	p.net.mu.Unlock()
	return p.leave(s)
}

// spread sends m to whoever listens. The caller holds mu.
func (p *proc) spread(m sched.Msg) {
	m.Data = append([]byte(nil), m.Data...)
	if p.net.cfg.Witness != nil {
		p.net.cfg.Witness(p.m.id, m)
	}
	for _, to := range p.net.order {
		if to.proc == nil {
			continue
		}
		for _, sb := range to.proc.subs {
			if sb.pattern == "" || !matches(sb.pattern, m.Subject) {
				continue
			}
			p.net.send(p, to.proc, Traffic{Op: "publish", Subject: m.Subject, Data: m.Data}, func(time.Time) { sb.deliver(m) })
		}
	}
}

// deliver hands a message to the sub. The caller holds mu.
func (s *sub) deliver(m sched.Msg) {
	if fn := s.fn; fn != nil && !s.stopped {
		s.push(func() { fn(m) })
	}
}

func (p *proc) Subscribe(subject string, fn func(sched.Msg)) (stop func(), err error) {
	if err := p.enter(Step{Op: "Subscribe", Subject: subject}); err != nil {
		return nil, err
	}
	defer p.net.mu.Unlock()
	s := p.subscribe(subject)
	s.fn = fn
	return s.stop, nil
}

func (p *proc) Inbox() string {
	p.net.mu.Lock()
	defer p.net.mu.Unlock()
	p.inboxes++
	return fmt.Sprintf("_INBOX.%s.%d.%d", p.m.id, p.start, p.inboxes)
}

func (p *proc) Routes() map[bus.NodeID]bool {
	out := map[bus.NodeID]bool{}
	if p.enter(Step{Op: "Routes"}) != nil {
		return out
	}
	defer p.net.mu.Unlock()
	now := time.Now()
	for _, m := range p.net.order {
		if m != p.m && m.proc != nil && p.net.routed(p, m.proc, now) {
			out[m.id] = true
		}
	}
	return out
}

// result is the answer to a call.
type result struct {
	val any
	err error
}

// call runs apply on another machine, or this one, with the network locked, and returns its
// answer. Whether it was applied is not known where the error is not apply's own.
func (p *proc) call(ctx context.Context, to bus.NodeID, s Step, apply func(m *Machine, now time.Time) (any, error)) (any, error) {
	return p.callWithin(ctx, patience, to, s, apply)
}

func (p *proc) callWithin(ctx context.Context, limit time.Duration, to bus.NodeID, s Step, apply func(m *Machine, now time.Time) (any, error)) (any, error) {
	if err := p.enter(s); err != nil {
		return nil, err
	}
	answer := make(chan result, 1)
	t := Traffic{Op: s.Op, Task: s.Task}
	reached := p.ask(to, t, apply, func(r result) {
		select {
		case answer <- r:
		default:
		}
	})
	p.net.mu.Unlock()
	if !reached {
		return nil, errNobody
	}
	late := time.NewTimer(limit)
	defer late.Stop()
	var r result
	select {
	case r = <-answer:
	case <-ctx.Done():
		r.err = context.Cause(ctx)
	case <-late.C:
		r.err = errTimeout
	case <-p.ctx.Done():
		r.err = errKilled
	}
	if err := p.leave(s); err != nil {
		return nil, err
	}
	return r.val, r.err
}

// ask sends a request and calls then with its answer, unless one of them is lost. It reports
// false where nobody can be asked. The caller holds mu, and so does who calls then.
func (p *proc) ask(to bus.NodeID, t Traffic, apply func(*Machine, time.Time) (any, error), then func(result)) bool {
	m := p.net.machines[to]
	if m == nil || m.proc == nil || !p.net.routed(p, m.proc, time.Now()) {
		return false
	}
	q := m.proc
	p.net.send(p, q, t, func(now time.Time) {
		v, err := apply(m, now)
		t.Answer = true
		p.net.send(q, p, t, func(time.Time) { then(result{v, err}) })
	})
	return true
}
