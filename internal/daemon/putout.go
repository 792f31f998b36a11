package daemon

import (
	"cmp"
	"context"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/identity"
	"github.com/mycoswarm/mycoswarm/internal/protect"
)

// putOutDrain is how long work of the swarm may go on once this node was put out: its results
// reach nobody.
const putOutDrain = time.Second

// revocation tells why this node is alone; nil where it was not put out.
func (d *Daemon) revocation() *bus.Revocation {
	self := d.id.Self()
	if self.State != identity.StateRevoked {
		return nil
	}
	out := &bus.Revocation{By: self.EndedBy.NodeID(), At: self.Ended}
	for _, s := range d.id.Standings() {
		if s.Fingerprint == self.EndedBy {
			out.ByName = s.Name
		}
	}
	return out
}

// warnOfRevocation tells the log once why this node is alone.
func (d *Daemon) warnOfRevocation() {
	if r := d.revocation(); r != nil {
		d.log.Warn("this node was put out of its swarm, and is alone now; myco leave gives it one of its own",
			"swarm", d.id.Swarm().Name, "by", cmp.Or(r.ByName, string(r.By)), "at", r.At)
	}
}

// startPutOut ends this node's part in the swarm's work when it is put out. It runs on alone.
func (d *Daemon) startPutOut(ctx context.Context, up *lifeline) error {
	d.warnOfRevocation()
	up.run(ctx, "go on alone once put out", func(ctx context.Context) error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-d.putOut:
				d.warnOfRevocation()
				if err := d.goOnAlone(ctx, up.fail); err != nil && ctx.Err() == nil {
					return err
				}
			}
		}
	})
	return nil
}

// goOnAlone starts the work anew without that of the swarm. The copies of others' tasks are
// deleted: their submitters have them, and make second copies elsewhere.
func (d *Daemon) goOnAlone(ctx context.Context, fail context.CancelCauseFunc) error {
	d.changing.Lock()
	defer d.changing.Unlock()
	if !d.id.Swarm().Revoked || protect.PutOut.Off() {
		return nil // it has left, or joined another swarm
	}
	short, cancel := context.WithTimeout(ctx, putOutDrain)
	defer cancel()
	d.endMember(short)
	if err := d.dropCustody(ctx); err != nil {
		d.log.Warn("go on alone", "err", err)
	}
	return d.beginMember(ctx, fail)
}

// finishLeaving does what is left where this daemon ended after it had left a swarm, or was put out of it, and before the
// copies of others' tasks were deleted: their swarm is none of this node's.
func (d *Daemon) finishLeaving(ctx context.Context) {
	if !d.alone {
		return
	}
	if err := d.dropCustody(ctx); err != nil {
		d.log.Warn("delete the copies of others' tasks", "err", err)
	}
}
