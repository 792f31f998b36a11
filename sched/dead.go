package sched

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// deadFor is how long a dead task is kept, with its payload, for somebody to look at it and to
// decide: the retention of other ends is too short for that.
const deadFor = 30 * 24 * time.Hour

// retentionOf is how long the end f is kept.
func (o *outbox) retentionOf(f *Final) time.Duration {
	if f.State == bus.StateDead {
		return max(deadFor, o.n.cfg.Retention)
	}
	return o.n.cfg.Retention
}

// Holders returns the nodes that keep a durable task on disk and can be reached, its submitter first,
// and those of its submitter and custodian that do not answer for it: they are away, or missed its end.
func (n *Node) Holders(ctx context.Context, id bus.TaskID) (holders, missing []bus.NodeID, err error) {
	var submitter, custodian bus.NodeID
	err = n.eachFound(ctx, id, func(f found, at bus.NodeID) {
		if !f.Info.Durable {
			return
		}
		submitter = f.Info.Submitter
		if f.Custodian != bus.NoCustodian {
			custodian = f.Custodian
		}
		if f.Info.State.Terminal() {
			holders = append(holders, at)
		}
	})
	if i := slices.Index(holders, submitter); i > 0 {
		holders[0], holders[i] = holders[i], holders[0]
	}
	for _, keeper := range []bus.NodeID{submitter, custodian} {
		if keeper != "" && !slices.Contains(holders, keeper) {
			missing = append(missing, keeper)
		}
	}
	return holders, missing, err
}

// Retry hands a dead task of this node's store over again, as a new task with the same content, and
// an id made of the old one: done twice, it is the same task. The
// dead one stays until Remove. ErrNotFound: this node does not keep it, or its end alone;
// CodeConflict: it is not dead.
func (n *Node) Retry(ctx context.Context, id bus.TaskID) (bus.Receipt, error) {
	k, err := n.outbox.dead(id)
	if err != nil {
		return bus.Receipt{}, err
	}
	data, err := n.fx.Outbox.Task(ctx, k)
	if err != nil {
		return bus.Receipt{}, fmt.Errorf("read the dead task: %w", err)
	}
	var b keptBody
	if err := bus.Unmarshal(data, &b); err != nil || b.Job == nil {
		return bus.Receipt{}, bus.Errorf(bus.CodeFailed, "task %s cannot be read from the store: %w", id, err).WithHint("myco dead rm %s", id)
	}
	if b.Final != nil {
		return bus.Receipt{}, ErrNotFound // a stand-in for a custodian: it has the end alone
	}
	t := b.Job.Task
	if payload, large := b.Job.payload(); large {
		if t.Payload, _, err = n.fetch(ctx, payload, n.whoMayHave(b.Job.Submitter, b.Job.Custodian)); err != nil {
			return bus.Receipt{}, bus.Errorf(bus.CodeUnavailable, "the payload of task %s, %d bytes, cannot be had: %w", id, payload.Size, err).WithHint("myco swarm")
		}
	}
	t.ID = retryID(id)
	return n.Enqueue(ctx, t, 2)
}

// retryID is the id under which a dead task goes again.
func retryID(id bus.TaskID) bus.TaskID {
	sum := sha256.Sum256([]byte(id))
	return bus.TaskID("again-" + hex.EncodeToString(sum[:10]))
}

// Remove deletes a dead task from this node's store. ErrNotFound: this node does not keep it;
// CodeConflict: it is not dead.
func (n *Node) Remove(ctx context.Context, id bus.TaskID) error {
	if _, err := n.outbox.dead(id); err != nil {
		return err
	}
	o := n.outbox
	o.mu.Lock()
	k := o.kept[id]
	delete(o.kept, id)
	o.mu.Unlock()
	if k == nil {
		return nil // another call was first
	}
	if err := o.forget(ctx, k); err != nil {
		o.remembers(id, k)
		return err
	}
	return nil
}

// dead returns where the store has a dead task.
func (o *outbox) dead(id bus.TaskID) (Kept, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	k := o.kept[id]
	switch {
	case k == nil || len(k.places) == 0:
		return Kept{}, ErrNotFound
	case k.final == nil:
		return Kept{}, bus.Errorf(bus.CodeConflict, "task %s has not ended", id).WithHint("myco task show %s", id)
	case k.final.State != bus.StateDead:
		return Kept{}, bus.Errorf(bus.CodeConflict, "task %s is %s, not dead", id, k.final.State).WithHint("myco task show %s", id)
	}
	return k.places[0], nil
}

// forget deletes what the store has of k.
func (o *outbox) forget(ctx context.Context, k *kept) error {
	var errs []error
	for _, place := range k.places {
		errs = append(errs, o.n.fx.Outbox.Forget(ctx, place))
	}
	o.dropAll(k)
	return errors.Join(errs...)
}
