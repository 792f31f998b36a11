package sched

import (
	"context"
	"errors"
	"reflect"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

func (n *Node) beatLoop(ctx context.Context) error {
	t := time.NewTicker(beatEvery)
	defer t.Stop()
	for {
		n.beat()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		case <-n.beatKick:
			// Many changes in a moment are one beat: no host is elected faster than this.
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(beatPause):
			}
			select {
			case <-n.beatKick:
			default:
			}
		}
	}
}

func (n *Node) beatSoon() { poke(n.beatKick) }

// beat publishes the node's state, and takes it into its own view. Heartbeats are sent in the order of their numbers: to others
// one that is overtaken is old, and its news, which the next one leaves out, would be heard when all is told again.
func (n *Node) beat() {
	n.speaks.Lock()
	defer n.speaks.Unlock() // a goodbye comes after this heartbeat, or before it and for good
	b := n.ownBeat(false)
	if n.members.hear(b) {
		poke(n.kick)
	}
	data := marshal(b)
	if n.bye {
		return
	}
	if err := n.fx.Publish(Msg{Subject: bus.SubjectHeartbeat(n.cfg.ID), Data: data}); err != nil {
		n.log.Debug("send heartbeat", "err", err)
	}
}

// ownBeat makes a heartbeat. One that is for a single node is whole, and does not count as sent.
func (n *Node) ownBeat(single bool) bus.Heartbeat {
	v := n.members.view()
	now := n.now()
	running := n.worker.reported()
	info := n.ownInfo()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.beatSeq++
	b := bus.Heartbeat{
		Node: n.cfg.ID, Boot: n.cfg.Boot, Seq: n.beatSeq, Wire: n.cfg.Wire, Rank: n.cfg.Rank, MaxTerm: n.members.term(),
		Local: n.local, Heir: n.heir, Sees: v.Live(), UptimeMS: now.Sub(n.start).Milliseconds(), Draining: n.draining,
		Running: running, Crashed: n.crashed, WallMS: now.UnixMilli(),
	}
	if !v.Alive(n.cfg.ID) {
		b.Sees = append(b.Sees, n.cfg.ID)
	}
	if n.isUnable(now) {
		b.Rank = min(b.Rank, -1)
	}
	if n.hosting != nil {
		b.Term, b.Host = n.hosting.q.Term, n.cfg.ID
	} else if q, ok := n.queue.get(); ok {
		b.Host = q.Host
	}
	old := v.Peers[n.cfg.ID].Info
	if single || now.Sub(n.sentInfo) >= infoEvery || !sameInfo(old, info) {
		b.Info = &info
	}
	if b.Info != nil && !single {
		n.sentInfo = now
	}
	return b
}

func sameInfo(a, b bus.NodeInfo) bool {
	a.Seen, b.Seen = time.Time{}, time.Time{}
	a.Use, b.Use, a.Queues, b.Queues = nil, nil, nil, nil // they change all the time
	return reflect.DeepEqual(a, b)
}

func (n *Node) ownInfo() bus.NodeInfo {
	i := n.cfg.Info()
	i.ID, i.State, i.Wire = n.cfg.ID, bus.NodeReady, n.cfg.Wire
	n.worker.describe(&i)
	n.mu.Lock()
	defer n.mu.Unlock()
	i.QueueHost, i.DiskFull = n.hosting != nil, n.cfg.Room() != nil
	if n.hosting != nil {
		if counts := n.hosting.counts.Load(); counts != nil {
			i.Queues = *counts
		}
	}
	if n.draining {
		i.State, i.Stops = bus.NodeDraining, n.isLeaving()
	}
	return i
}

func (n *Node) onBeat(m Msg) {
	var b bus.Heartbeat
	if bus.Unmarshal(m.Data, &b) != nil || b.Node == n.cfg.ID && b.Boot == n.cfg.Boot || b.Node.Validate() != nil ||
		m.Subject != bus.SubjectHeartbeat(b.Node) {
		return
	}
	n.hearBeat(b)
}

func (n *Node) hearBeat(b bus.Heartbeat) {
	twins, held := n.members.meet(b)
	if twins != nil {
		n.tellTwins(*twins)
	}
	if held && (b.Node == n.cfg.ID || !n.off(ProtectTwin)) {
		return
	}
	old := n.members.boot(b.Node)
	if old != "" && old != b.Boot {
		n.worker.submitterGone(b.Node, errSubmitterGone) // another process of it: its clients are gone
	}
	if old != b.Boot { // it has not heard what this node can do
		n.mu.Lock()
		n.sentInfo = time.Time{}
		n.mu.Unlock()
		n.beatSoon()
	}
	if n.members.hear(b) {
		poke(n.kick)
	}
	if old != b.Boot {
		n.tellJournal()
	}
	if h := n.host(); h != nil {
		h.heard(b)
		if old != b.Boot {
			h.retell()
		}
	}
}

func (n *Node) saidBye() bool {
	n.speaks.Lock()
	defer n.speaks.Unlock()
	return n.bye
}

func (n *Node) onBye(m Msg) {
	var b bus.Heartbeat
	if bus.Unmarshal(m.Data, &b) != nil || b.Node == n.cfg.ID || m.Subject != bus.SubjectBye(b.Node) {
		return
	}
	if m.Reply != "" { // it waits to be heard
		if err := n.fx.Publish(Msg{Subject: m.Reply, Data: []byte(n.cfg.ID)}); err != nil {
			n.log.Debug("answer a goodbye", "err", err)
		}
	}
	if old := n.members.boot(b.Node); old != "" && old != b.Boot {
		return // another process in its name, see meet
	}
	n.members.bye(b)
	n.gone([]bus.NodeID{b.Node}, errSubmitterGone)
	poke(n.kick)
}

// gone reacts to peers that were lost, or have said goodbye: why tells which, to who runs tasks for them.
func (n *Node) gone(ids []bus.NodeID, why *bus.Error) {
	for _, id := range ids {
		if errors.Is(why, errSubmitterLost) {
			n.log.Info("lost", "node", id, "name", n.members.name(id))
			n.cfg.Meter.PeerLost()
		} else {
			n.log.Info("has said goodbye", "node", id, "name", n.members.name(id))
		}
		n.worker.submitterGone(id, why)
	}
	if len(ids) > 0 {
		n.beatSoon()
	}
}
