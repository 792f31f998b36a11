package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
)

// askLimit is how long another daemon may take to answer.
const askLimit = 5 * time.Second

// keeperPoll is how often it is asked again who knows of an end.
const keeperPoll = 100 * time.Millisecond

// retryDead hands a dead task over again, at a node that keeps it, and removes it everywhere.
func (d *Daemon) retryDead(ctx context.Context, req bus.DeadRequest) (any, error) {
	n, err := d.current()
	if err != nil {
		return nil, err
	}
	if req.Here {
		r, err := n.Retry(ctx, req.ID)
		return r, notKept(err, req.ID)
	}
	holders, err := d.deadHolders(ctx, n, req)
	if err != nil {
		return nil, err
	}
	var receipt bus.Receipt
	for _, at := range holders { // a stand-in has the end alone, and says that it has nothing
		if at == d.id.NodeID() {
			receipt, err = n.Retry(ctx, req.ID)
			err = notKept(err, req.ID)
		} else {
			receipt, err = askDaemon[bus.Receipt](ctx, d, at, bus.VerbRetry, bus.DeadRequest{ID: req.ID, Here: true})
		}
		if !errors.Is(err, &bus.Error{Code: bus.CodeNotFound}) {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	if err := d.removeAt(ctx, n, req.ID, holders); err != nil {
		d.log.Warn("remove a dead task that was handed over again", "task", req.ID, "err", err)
	}
	return receipt, nil
}

// removeDead deletes a dead task from every node that keeps it.
func (d *Daemon) removeDead(ctx context.Context, req bus.DeadRequest) (any, error) {
	n, err := d.current()
	if err != nil {
		return nil, err
	}
	if req.Here {
		return none{}, notKept(n.Remove(ctx, req.ID), req.ID)
	}
	holders, err := d.deadHolders(ctx, n, req)
	if err != nil {
		return nil, err
	}
	return none{}, d.removeAt(ctx, n, req.ID, holders)
}

// notKept makes sched.ErrNotFound an Error for users.
func notKept(err error, id bus.TaskID) error {
	if errors.Is(err, sched.ErrNotFound) {
		return bus.Errorf(bus.CodeNotFound, "no node that can be reached keeps a dead task %s", id).WithHint("myco dead ls")
	}
	return err
}

// deadHolders returns the nodes that keep a task, its submitter first. One that is away would come
// back with the task as it knew it.
func (d *Daemon) deadHolders(ctx context.Context, n *sched.Node, req bus.DeadRequest) ([]bus.NodeID, error) {
	if err := req.ID.Validate(); err != nil {
		return nil, err
	}
	info, err := n.Task(ctx, req.ID)
	if err != nil {
		return nil, err
	}
	if info.State != bus.StateDead {
		return nil, bus.Errorf(bus.CodeConflict, "task %s is %s, not dead", req.ID, info.State).WithHint("myco task show %s", req.ID)
	}
	holders, missing, err := d.awaitKeepers(ctx, n, req.ID)
	switch {
	case err != nil:
		return nil, err
	case len(holders) == 0:
		return nil, notKept(sched.ErrNotFound, req.ID)
	case len(missing) > 0 && !req.Force:
		return nil, bus.Errorf(bus.CodeUnavailable, "node %s keeps task %s too and is away: it may come back with it, and have it run again", missing[0], req.ID).
			WithHint("start that node, or: myco dead rm --force %s", req.ID)
	}
	return holders, nil
}

// awaitKeepers is Holders, with a moment's patience for those that live and have yet to hear of the end.
func (d *Daemon) awaitKeepers(ctx context.Context, n *sched.Node, id bus.TaskID) (holders, missing []bus.NodeID, err error) {
	limit := time.NewTimer(askLimit)
	defer limit.Stop()
	tick := time.NewTicker(keeperPoll)
	defer tick.Stop()
	for {
		holders, missing, err = n.Holders(ctx, id)
		if err != nil || !slices.ContainsFunc(missing, n.View().Alive) {
			return holders, missing, err
		}
		select {
		case <-tick.C:
		case <-limit.C:
			return holders, missing, nil
		case <-ctx.Done():
			return nil, nil, context.Cause(ctx)
		}
	}
}

func (d *Daemon) removeAt(ctx context.Context, n *sched.Node, id bus.TaskID, holders []bus.NodeID) error {
	var errs []error
	for _, at := range holders {
		var err error
		if at == d.id.NodeID() {
			err = notKept(n.Remove(ctx, id), id)
		} else {
			_, err = askDaemon[none](ctx, d, at, bus.VerbRemove, bus.DeadRequest{ID: id, Here: true})
		}
		if err != nil && !errors.Is(err, &bus.Error{Code: bus.CodeNotFound}) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// drain has a node take no more work, or take work again.
func (d *Daemon) drain(ctx context.Context, req bus.DrainRequest) (any, error) {
	if req.Node != "" && req.Node != d.id.NodeID() {
		nodes := d.nodes()
		switch i := slices.IndexFunc(nodes, func(n bus.NodeInfo) bool { return n.ID == req.Node }); {
		case i < 0:
			return nil, bus.Errorf(bus.CodeNotFound, "no node of the swarm has the id %s", req.Node).WithHint("myco swarm")
		case !nodes[i].State.Live():
			return nil, bus.Errorf(bus.CodeUnavailable, "node %s is not there: it is %s", nodes[i].Name, nodes[i].State).WithHint("myco swarm")
		}
		return askDaemon[bus.NodeInfo](ctx, d, req.Node, bus.VerbDrain, req)
	}
	n, err := d.current()
	if err != nil {
		return nil, err
	}
	n.Drain(!req.Off)
	d.log.Info("drain", "on", !req.Off)
	info := d.status().Node // as others hear it: a moment old
	if info.State = bus.NodeReady; !req.Off {
		info.State = bus.NodeDraining
	}
	return info, nil
}

// askDaemon asks another daemon.
func askDaemon[Reply any](ctx context.Context, d *Daemon, at bus.NodeID, verb string, req any) (reply Reply, err error) {
	data, err := bus.Marshal(req)
	if err != nil {
		return reply, fmt.Errorf("encode a request: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	m, err := d.rpc.RequestWithContext(ctx, bus.SubjectPayloadRPC(at, verb), data)
	if err != nil {
		return reply, bus.Errorf(bus.CodeUnavailable, "node %s does not answer: %w", at, err).WithHint("myco swarm")
	}
	if m.Header.Get(bus.HeaderError) != "" {
		e := &bus.Error{}
		if err := bus.Unmarshal(m.Data, e); err != nil {
			return reply, fmt.Errorf("decode the error of node %s: %w", at, err)
		}
		return reply, e
	}
	if err := bus.Unmarshal(m.Data, &reply); err != nil {
		return reply, fmt.Errorf("decode the answer of node %s: %w", at, err)
	}
	return reply, nil
}
