package sched

import (
	"context"
	"errors"

	"github.com/mycoswarm/mycoswarm/bus"
)

// keep writes the end of a durable task to its custodians, and to a stand-in for those that are
// away. It returns once one has it on disk; ErrConflict where one has another end.
func (o *outbox) keep(ctx context.Context, j *Job, f Final) error {
	unsure := false // an earlier try may have got through
	for ctx.Err() == nil {
		want := 0
		for _, id := range []bus.NodeID{j.Submitter, j.Custodian} {
			if id != bus.NoCustodian && o.n.members.alive(id) {
				want++
			}
		}
		p := Put{}
		if want > 0 {
			pctx, cancel := context.WithTimeout(ctx, keepWait)
			p = o.put(pctx, j, j.Custodian, &f, want)
			cancel()
		}
		if p.Refused > 0 {
			if unsure && o.wroteEnd(ctx, f) {
				return nil
			}
			return ErrConflict
		}
		if p.Stores < 2 && !o.n.off(ProtectStandIn) {
			p.Stores += o.standIn(ctx, j, f, 2-p.Stores)
		}
		if p.Stores > 0 {
			return nil
		}
		if o.n.off(ProtectStandIn) {
			return nil
		}
		unsure = unsure || want > 0
		o.n.worker.pause(ctx)
	}
	return context.Cause(ctx)
}

// keepAny is keep for an end that another worker has committed: that the custodians have it
// already is as good.
func (o *outbox) keepAny(ctx context.Context, j *Job, f Final) error {
	if !j.Durable() {
		return nil
	}
	kctx, cancel := context.WithTimeout(ctx, effectWait)
	defer cancel()
	if err := o.keep(kctx, j, f); err != nil && !errors.Is(err, ErrConflict) {
		return err
	}
	return nil
}

// wroteEnd tells whether the end that the others know is f itself.
func (o *outbox) wroteEnd(ctx context.Context, f Final) bool {
	have, ok := o.over(f.Task)
	if !ok {
		have, ok = o.n.askEnd(ctx, f.Task)
	}
	return ok && have.Nonce == f.Nonce
}
