package bus

import (
	"context"
	"slices"
)

// Dead returns the durable tasks that were given up, newest first, without their results. They are
// kept for 30 days, or until Remove.
func (c *Conn) Dead(ctx context.Context) ([]TaskInfo, error) {
	all, err := c.Tasks(ctx)
	return slices.DeleteFunc(all, func(t TaskInfo) bool { return t.State != StateDead || !t.Durable }), err
}

// Retry hands a dead task over again, as a new task with the same content, and removes the dead one.
// Its Errors: CodeNotFound where no node that can be reached keeps it, CodeConflict where it is not
// dead, and CodeUnavailable where a node that keeps it too is away, unless force is set: that node
// would come back with it.
func (c *Conn) Retry(ctx context.Context, id TaskID, force bool) (Receipt, error) {
	return call[Receipt](ctx, c, SubjectPayloadRPC(c.NodeID(), VerbRetry), DeadRequest{ID: id, Force: force})
}

// Remove deletes a dead task from every node that keeps it and can be reached. Errors as of Retry.
func (c *Conn) Remove(ctx context.Context, id TaskID, force bool) error {
	_, err := call[struct{}](ctx, c, SubjectPayloadRPC(c.NodeID(), VerbRemove), DeadRequest{ID: id, Force: force})
	return err
}

// Drain has a node, by id, finish its work and take no more, or with off take work again. It holds
// until the node's daemon starts anew. The reply tells what still runs there.
func (c *Conn) Drain(ctx context.Context, node NodeID, off bool) (NodeInfo, error) {
	return call[NodeInfo](ctx, c, SubjectPayloadRPC(c.NodeID(), VerbDrain), DrainRequest{Node: node, Off: off})
}
