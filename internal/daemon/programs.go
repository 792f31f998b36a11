package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
)

const (
	// offerLife is how long an offer is good for: programs renew theirs every 2 s.
	offerLife = 7 * time.Second
	// maxOffered is how many slots, and how many models, a program may offer, and how many
	// types programs may serve: each slot has a goroutine, and every heartbeat tells of the rest.
	maxOffered = 1024
	// goneEvery is how often it is looked whether a program with a task is still there.
	goneEvery = 250 * time.Millisecond
	// stopLimit is how long a program may take to end a task that was cancelled.
	stopLimit = 5 * time.Second
	// outputRoom is how many bytes of output may wait for the scheduler. A program that gets
	// further ahead is stopped: what has no room is lost.
	outputRoom = 64 << 20
)

// listenSoon are the moments after a first offer when the program may be listening.
var listenSoon = []time.Duration{5 * time.Millisecond, 20 * time.Millisecond, 80 * time.Millisecond}

// programs are the types of task that programs of this machine serve through the daemon.
type programs struct {
	d *Daemon

	mu    sync.Mutex
	kinds map[string]*kind
}

func newPrograms(d *Daemon) *programs { return &programs{d: d, kinds: map[string]*kind{}} }

// serve takes in, or renews, a program's offer.
func (p *programs) serve(ctx context.Context, req bus.ServeRequest) (any, error) {
	typ := req.Capability.Type
	if err := (bus.Task{Type: typ}).Validate(); err != nil {
		return nil, err
	}
	if err := bus.TaskID(req.Program).Validate(); err != nil { // the same form
		return nil, bus.Errorf(bus.CodeInvalid, "the program's token is not valid: %w", err)
	}
	if slices.Contains(bus.OwnTypes(), typ) {
		return nil, bus.Errorf(bus.CodeConflict, "the daemon serves the type %q itself", typ).
			WithHint("serve another type, or give the daemon an engine: mycod --engine URL")
	}
	if c := req.Capability; c.Slots > maxOffered || len(c.Models) > maxOffered {
		return nil, bus.Errorf(bus.CodeInvalid, "the program offers %d slots and %d models, the limit of each is %d", c.Slots, len(c.Models), maxOffered)
	}
	n, err := p.d.current()
	if err != nil {
		return nil, err
	}
	var reply bus.ServeReply
	known := false
	err = p.d.plugins.leaves(typ, func() (err error) {
		reply, known, err = p.take(ctx, n, req)
		return err
	})
	if err != nil {
		return nil, err
	}
	if known {
		n.CapabilityChanged()
		return reply, nil
	}
	// The program listens once it has the reply.
	for _, after := range listenSoon {
		time.AfterFunc(after, n.CapabilityChanged)
	}
	return reply, nil
}

// take stores an offer, the first of its type with a handler at n, and tells whether the program made one before.
func (p *programs) take(ctx context.Context, n *sched.Node, req bus.ServeRequest) (reply bus.ServeReply, known bool, err error) {
	typ := req.Capability.Type
	p.mu.Lock()
	defer p.mu.Unlock()
	k := p.kinds[typ]
	size, err := p.told(req)
	if err != nil {
		return reply, false, err
	}
	first := k == nil
	if first && len(p.kinds) >= maxOffered {
		return reply, false, bus.Errorf(bus.CodeConflict, "programs of this machine serve, or have served, %d types already: the limit", maxOffered).
			WithHint("serve fewer types, and restart mycod, which forgets those that none serves any more")
	}
	if first {
		k = &kind{d: p.d, typ: typ, offers: map[string]*offer{}}
	}
	reply, known = k.take(req, size, time.Now())
	if first {
		if _, err := n.Handle(ctx, k); err != nil {
			return reply, false, fmt.Errorf("offer a handler: %w", err)
		}
		p.kinds[typ] = k
	}
	return reply, known, nil
}

// serves reports whether programs serve a type. One that none serves any more is anybody's.
func (p *programs) serves(typ string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := p.kinds[typ]
	if k == nil {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.offers) > 0 {
		return true
	}
	delete(p.kinds, typ)
	return false
}

// offerAll gives the handlers of programs to a node that starts.
func (p *programs) offerAll(ctx context.Context, n *sched.Node) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, k := range p.kinds {
		if _, err := n.Handle(ctx, k); err != nil {
			return fmt.Errorf("offer a program's handler: %w", err)
		}
	}
	return nil
}

// kind runs tasks of one type in the programs that serve it. It is a bus.Handler.
type kind struct {
	d   *Daemon
	typ string

	mu     sync.Mutex
	offers map[string]*offer // by program
}

var _ bus.Handler = (*kind)(nil)

// take stores an offer, and tells whether the program made one before.
func (k *kind) take(req bus.ServeRequest, size int, now time.Time) (reply bus.ServeReply, known bool) {
	base := k.typ + "." + req.Program
	k.mu.Lock()
	defer k.mu.Unlock()
	o, known := k.offers[req.Program]
	if !known {
		id := k.d.id.NodeID()
		o = &offer{subjects: bus.ServeReply{Jobs: bus.SubjectServe(id, base+".jobs"), Cancels: bus.SubjectServe(id, base+".cancels")}}
		k.offers[req.Program] = o
	}
	o.capability, o.size, o.at = req.Capability, size, now
	return o.subjects, known
}

// Capability implements bus.Handler: what the programs that are there can run together.
func (k *kind) Capability(context.Context) (bus.Capability, error) {
	now := time.Now()
	out := bus.Capability{Type: k.typ}
	k.mu.Lock()
	defer k.mu.Unlock()
	for program, o := range k.offers {
		switch {
		case !k.d.fabric.Interest(o.subjects.Jobs):
			if o.stale(now) && o.busy == 0 {
				delete(k.offers, program)
			}
			continue
		case o.stale(now):
			continue
		}
		// A program that offers fewer slots than it uses takes no more.
		out.Slots += max(o.capability.Slots, 0)
		out.Models = append(out.Models, o.capability.Models...)
	}
	return out, nil
}

// choose takes a slot of the program that has most free ones, and model if one is named.
func (k *kind) choose(model string) (*offer, error) {
	now := time.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	var best *offer
	for _, o := range k.offers {
		free := o.capability.Slots - o.busy
		if free <= 0 || o.stale(now) || !o.has(model) || !k.d.fabric.Interest(o.subjects.Jobs) {
			continue
		}
		if best == nil || free > best.capability.Slots-best.busy {
			best = o
		}
	}
	if best == nil {
		return nil, bus.Retry(bus.Errorf(bus.CodeNoWorker, "no program here serves the type %q at present", k.typ))
	}
	best.busy++
	return best, nil
}

// Handle implements bus.Handler: the task goes to a program, and what that says comes back. A
// program that goes away gives the task to another.
func (k *kind) Handle(ctx context.Context, t *bus.Task, emit bus.Emit) (any, error) {
	o, err := k.choose(t.Model)
	if err != nil {
		return nil, err
	}
	defer func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		o.busy--
	}()
	in, over := make(chan *nats.Msg), make(chan struct{})
	out := bus.SubjectServe(k.d.id.NodeID(), k.typ+".out."+nuid.Next())
	sub, err := k.d.rpc.Subscribe(out, func(m *nats.Msg) {
		select {
		case in <- m:
		case <-over:
		}
	})
	if err == nil {
		err = sub.SetPendingLimits(-1, outputRoom)
	}
	if err != nil {
		return nil, bus.Retry(fmt.Errorf("listen to a program: %w", err))
	}
	defer func() {
		close(over)
		if err := sub.Unsubscribe(); err != nil {
			k.d.log.Debug("stop listening to a program", "err", err)
		}
	}()
	job, parcel, err := k.job(t)
	if err != nil {
		return nil, err
	}
	defer k.d.parcels.drop(parcel)
	if err := k.d.rpc.PublishMsg(&nats.Msg{Subject: o.subjects.Jobs, Reply: out, Data: job}); err != nil {
		return nil, bus.Retry(fmt.Errorf("hand the task to a program: %w", err))
	}
	j := &served{kind: k, offer: o, task: t.ID, sub: sub, in: in, emit: emit}
	return j.result(ctx)
}

// job encodes a task for a program, which fetches a payload that no message takes as a parcel.
func (k *kind) job(t *bus.Task) (data []byte, parcel string, err error) {
	j := bus.ServeJob{Task: *t}
	if len(t.Payload) <= bus.MaxInline {
		if data, err = bus.Marshal(j); err != nil {
			return nil, "", fmt.Errorf("encode the task: %w", err)
		}
		if int64(len(data)) <= k.d.rpc.MaxPayload() {
			return data, "", nil
		}
	}
	b, err := k.d.parcels.lend(t.Payload, func() bool { return true }) // until it is dropped
	if err != nil {
		return nil, "", bus.Retry(err)
	}
	j.Task.DropPayload()
	j.Payload = &b
	data, err = bus.Marshal(j)
	return data, b.Token, err
}

// served is one task in the hands of a program.
type served struct {
	kind  *kind
	offer *offer
	task  bus.TaskID
	sub   *nats.Subscription
	in    <-chan *nats.Msg // what sub receives, in order
	emit  bus.Emit
}

var errProgramGone = bus.Errorf(bus.CodeUnavailable, "the program that ran the task went away")

// result passes on the output until the end.
func (s *served) result(ctx context.Context) (any, error) {
	tick := time.NewTicker(goneEvery)
	defer tick.Stop()
	for {
		select {
		case m := <-s.in:
			if r, done, err := s.hear(ctx, m); done {
				if lost := s.lost(); lost != nil {
					return nil, lost
				}
				return r, err
			}
		case <-ctx.Done():
			return s.stop(ctx)
		case <-tick.C:
			if lost := s.lost(); lost != nil {
				_, _ = s.stop(ctx) // what was lost is what counts
				return nil, lost
			}
			if waiting, _, err := s.sub.Pending(); s.kind.d.fabric.Interest(s.offer.subjects.Jobs) || err == nil && waiting > 0 {
				continue
			}
			// A program that drains has left its subject, and ends its tasks; one that is gone
			// has left all.
			if !s.kind.d.fabric.Interest(s.offer.subjects.Cancels) {
				return nil, bus.Retry(errProgramGone)
			}
		}
	}
}

// lost tells that pieces of the output had no room; nil where none were lost.
func (s *served) lost() error {
	n, err := s.sub.Dropped()
	if err != nil || n == 0 {
		return nil //nolint:nilerr // a subscription that ended is told of by its end
	}
	return bus.Errorf(bus.CodeTooLarge, "the program tells faster than its output is taken: over %d bytes were waiting, and %d pieces are lost", outputRoom, n).
		WithHint("have the program put more into each piece of output")
}

// stop tells the program to end the task, and waits a moment for it.
func (s *served) stop(ctx context.Context) (any, error) {
	cause := context.Cause(ctx)
	b, err := bus.Marshal(bus.TaskRequest{ID: s.task})
	if err == nil {
		err = s.kind.d.rpc.Publish(s.offer.subjects.Cancels, b)
	}
	if err != nil {
		return nil, errors.Join(cause, err)
	}
	limit := time.NewTimer(stopLimit)
	defer limit.Stop()
	for {
		select {
		case m := <-s.in:
			var out bus.ServeOutput
			if bus.Unmarshal(m.Data, &out) == nil && out.End {
				return nil, cause
			}
		case <-limit.C:
			return nil, cause
		}
	}
}

// hear takes in one piece of output.
func (s *served) hear(ctx context.Context, m *nats.Msg) (result any, done bool, err error) {
	var out bus.ServeOutput
	if err := bus.Unmarshal(m.Data, &out); err != nil {
		return nil, true, bus.Errorf(bus.CodeInternal, "the program sent what is no output: %w", err)
	}
	if out.Phase != "" {
		bus.SetPhase(ctx, out.Phase, out.PhaseLimit)
	}
	if len(out.Data) > 0 {
		if err := s.emit(out.Data); err != nil {
			_, _ = s.stop(ctx) // the error of emit is the one that counts
			return nil, true, err
		}
	}
	switch {
	case !out.End:
		return nil, false, nil
	case out.Error != nil && out.Few:
		return nil, true, bus.RetryFew(out.Error.Short())
	case out.Error != nil && out.Retry:
		return nil, true, bus.Retry(out.Error.Short())
	case out.Error != nil:
		return nil, true, out.Error.Short()
	case out.ResultBlob != nil:
		out.Result, err = s.kind.d.parcels.take(*out.ResultBlob)
	}
	return out.Result, true, err
}
