package sched

import (
	"context"
	"maps"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/mycoswarm/mycoswarm/bus"
)

const (
	syncPiece = 512 << 10 // bytes of results in one reply, unless one alone has more
	// syncMost is how many tasks one message asks for: an id has 64 characters at most, and is in it twice
	// where the task is kept for another. Together they are below what NATS takes as one message, 1 MiB.
	syncMost = 5000
)

// sync asks every node with a route which of ids it knows as ended, takes the answers in, tells of each end, and hears a
// fresh heartbeat of each node. It returns once all have answered, or with ctx, and tells who has for all of ids.
func (n *Node) sync(ctx context.Context, ids []bus.TaskID, ended func(Final)) (answered map[bus.NodeID]bool, err error) {
	if len(ids) <= syncMost {
		return n.syncSome(ctx, ids, ended)
	}
	var all errgroup.Group // one node that does not answer holds up none of them
	var mu sync.Mutex
	for some := range slices.Chunk(ids, syncMost) {
		all.Go(func() error {
			by, err := n.syncSome(ctx, some, ended)
			mu.Lock()
			defer mu.Unlock()
			if answered == nil {
				answered = by
			}
			maps.DeleteFunc(answered, func(id bus.NodeID, _ bool) bool { return !by[id] })
			return err
		})
	}
	err = all.Wait()
	return answered, err
}

// syncSome is sync for as many as one message asks for.
func (n *Node) syncSome(ctx context.Context, ids []bus.TaskID, ended func(Final)) (answered map[bus.NodeID]bool, err error) {
	answered = map[bus.NodeID]bool{}
	missing := n.askable()
	if len(missing) == 0 {
		return answered, nil
	}
	q := syncMsg{From: n.cfg.ID, IDs: ids, Kept: n.outbox.keptOf(ids, n.now())}
	err = n.hearSynced(ctx, missing, q, func(r *syncReply) (enough bool) {
		for _, f := range r.Ended {
			ended(f)
			n.outbox.learn(f)
		}
		n.outbox.orphan(r.Node, r.Unknown)
		if r.Beat != nil && r.Beat.Node != n.cfg.ID {
			n.hearBeat(*r.Beat)
		}
		if r.Last {
			answered[r.Node] = true
		}
		return false
	})
	return answered, err
}

// hearSynced is hearFrom for a question of ends.
func (n *Node) hearSynced(ctx context.Context, missing map[bus.NodeID]bool, q syncMsg, each func(*syncReply) (enough bool)) error {
	return n.hearFrom(ctx, missing, Msg{Subject: bus.SubjectSync, Data: marshal(q)}, func(data []byte) (last bus.NodeID, enough bool) {
		var r syncReply
		if bus.Unmarshal(data, &r) != nil || n.members.state(r.Node) == bus.NodeIncompatible {
			return "", false
		}
		if enough = each(&r); r.Last {
			last = r.Node
		}
		return last, enough
	})
}

// askEnd asks every node with a route for the end of one task, and returns the first that is told.
func (n *Node) askEnd(ctx context.Context, id bus.TaskID) (f Final, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, syncWithin)
	defer cancel()
	missing := n.askable()
	if len(missing) == 0 {
		return f, false
	}
	err := n.hearSynced(ctx, missing, syncMsg{From: n.cfg.ID, IDs: []bus.TaskID{id}}, func(r *syncReply) (enough bool) {
		if len(r.Ended) > 0 {
			f, ok = r.Ended[0], true
		}
		return ok
	})
	if err != nil {
		n.log.Debug("not all nodes answered whether a task has ended", "task", id, "err", err)
	}
	return f, ok
}

// askable returns the other nodes that a question reaches, and that understand it.
func (n *Node) askable() map[bus.NodeID]bool {
	ids := n.fx.Routes()
	delete(ids, n.cfg.ID)
	for id := range ids {
		if n.members.state(id) == bus.NodeIncompatible {
			delete(ids, id) // or it answers what is not understood here
		}
	}
	return ids
}

// onSync answers sync.
func (n *Node) onSync(m Msg) {
	var q syncMsg
	if bus.Unmarshal(m.Data, &q) != nil || q.From == n.cfg.ID || m.Reply == "" {
		return
	}
	// Who asks is about to hand out work, or to have it handed out: everybody must know by then
	// what runs here, and what is known of crashes, not only who asked.
	n.beat()
	send := func(r syncReply) {
		r.Node = n.cfg.ID
		if err := n.fx.Publish(Msg{Subject: m.Reply, Data: marshal(r)}); err != nil {
			n.log.Debug("answer sync", "err", err)
		}
	}
	var r syncReply
	size := 0
	for _, id := range q.IDs {
		f, ok, err := n.outbox.endOf(id)
		if err != nil {
			continue // who else has it tells
		}
		if !ok {
			if f, ok = n.worker.ended(id); !ok {
				n.tellKnown(id)
				continue
			}
		}
		if size += f.size(); size > syncPiece && len(r.Ended) > 0 {
			send(r)
			r, size = syncReply{}, f.size()
		}
		r.Ended = append(r.Ended, f)
	}
	unknown := n.outbox.unknown(q.Kept[n.cfg.ID])
	if len(unknown) > 0 && len(r.Ended) > 0 {
		send(r)
		r = syncReply{}
	}
	r.Unknown, r.Last = unknown, true
	if b := n.ownBeat(true); !n.saidBye() { // after a goodbye it would count as there again
		r.Beat = &b
	}
	send(r)
}
