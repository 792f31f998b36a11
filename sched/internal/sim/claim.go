package sim

import (
	"context"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
)

func (p *proc) CreateClaim(ctx context.Context, q sched.QueueID, c sched.Claim, rec []byte) (uint64, error) {
	return p.putClaim(ctx, q, "CreateClaim", c, rec, 0, nil)
}

func (p *proc) UpdateClaim(ctx context.Context, q sched.QueueID, c sched.Claim, rec []byte, rev uint64, then *sched.Msg) (uint64, error) {
	return p.putClaim(ctx, q, "UpdateClaim", c, rec, rev, then)
}

func (p *proc) putClaim(ctx context.Context, q sched.QueueID, op string, c sched.Claim, rec []byte, rev uint64, then *sched.Msg) (uint64, error) {
	v, err := p.call(ctx, q.Host, Step{Op: op, Task: c.Task}, func(m *Machine, _ time.Time) (any, error) {
		k := m.queues[q]
		if k == nil {
			return nil, errNoQueue
		}
		var has uint64
		if r := k.claims[c.Task]; r != nil {
			has = r.rev
		}
		if has != rev && !p.net.cfg.Without[RuleRevision] {
			return nil, sched.ErrConflict
		}
		written := k.write(c, rec)
		if then != nil {
			m.proc.spread(*then)
		}
		return written, nil
	})
	r, _ := v.(uint64)
	return r, err
}

// write puts a record in place, and tells who watches.
func (k *queue) write(c sched.Claim, rec []byte) (rev uint64) {
	k.rev++
	k.claims[c.Task] = &record{append([]byte(nil), rec...), k.rev}
	if c.State == "" {
		delete(k.claims, c.Task)
	}
	for _, w := range k.watchers {
		k.announce(w.claimed, func() { w.onClaimed(c) })
	}
	return k.rev
}

func (p *proc) GetClaim(ctx context.Context, q sched.QueueID, id bus.TaskID) ([]byte, uint64, error) {
	v, err := p.at(ctx, q, Step{Op: "GetClaim", Task: id}, func(k *queue, _ time.Time) (any, error) {
		r := k.claims[id]
		if r == nil {
			return nil, sched.ErrNotFound
		}
		return *r, nil
	})
	r, _ := v.(record)
	return r.data, r.rev, err
}
