package daemon

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/protect"
	"github.com/mycoswarm/mycoswarm/node/discovery"
)

// swarm names the swarm and its queue host.
func (d *Daemon) swarm() bus.SwarmInfo {
	s := d.id.Swarm()
	info := bus.SwarmInfo{ID: string(s.ID), Name: s.Name}
	if n, err := d.current(); err == nil {
		if q, ok := n.Host(); ok {
			info.QueueHost, info.Term = q.Host, q.Term
		}
	}
	return info
}

// nodes are the members of the swarm as seen from here, by name; those that were never heard
// are lost.
func (d *Daemon) nodes() []bus.NodeInfo {
	heard := map[bus.NodeID]bus.NodeInfo{}
	if n, err := d.current(); err == nil {
		for _, i := range n.Nodes() {
			heard[i.ID] = i
		}
	}
	var out []bus.NodeInfo
	for _, m := range d.id.Members() {
		i, ok := heard[m.Node]
		switch {
		case !ok && m.Node == d.id.NodeID():
			i = d.describe()
			i.State = bus.NodeDraining
		case !ok:
			i = bus.NodeInfo{ID: m.Node, Name: m.Name, State: bus.NodeLost, Capabilities: []string{}, Models: []bus.ModelInfo{}, Types: []string{}}
		}
		i.Name = cmp.Or(m.Name, i.Name)
		out = append(out, i)
	}
	slices.SortFunc(out, func(a, b bus.NodeInfo) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	return out
}

func (d *Daemon) status() bus.Status {
	s := bus.Status{Swarm: d.swarm(), Nodes: d.nodes(), Nearby: d.nearby(), Revoked: d.revocation(), RefusedBy: d.refusedBy(), DefaultModel: d.cfg.DefaultModel}
	if !protect.Mix.Off() {
		s.Mixed = bus.MixOf(s.Nodes, d.id.NodeID())
	}
	for _, n := range s.Nodes {
		if n.ID == d.id.NodeID() {
			s.Node = n
		}
	}
	return s
}

// Times of the table of nodes.
const (
	// rowEvery is how often small news of a node are told, at most, and how often they are looked for
	// where nobody tells of any.
	rowEvery = time.Second
	// heldEvery is how often news are looked at that may not be told yet.
	heldEvery = rowEvery / 10
)

// table is the KV bucket "peers" in the own store: what this node sees of the swarm. A node whose
// state changes, or that becomes queue host, is written at once, other news once a second.
type table struct {
	kv    jetstream.KeyValue
	nodes func() []bus.NodeInfo
	look  chan struct{} // there is news

	mu   sync.Mutex
	rows map[bus.NodeID]row
	held bool // there is news that may not be told yet
}

// row is what the table has of a node.
type row struct {
	json  string // without Seen, which changes all the time
	state bus.NodeState
	host  bool
	at    time.Time
}

func newTable(d *Daemon) *table {
	return &table{nodes: d.nodes, look: make(chan struct{}, 1), rows: map[bus.NodeID]row{}}
}

// news has the table brought up to date soon.
func (t *table) news() { stir(t.look) }

// startTable keeps the table in step with what this node sees.
func (d *Daemon) startTable(ctx context.Context, up *lifeline) error {
	kv, err := d.store.Peers(ctx)
	if err != nil {
		return err
	}
	d.table.kv = kv
	up.later(d.id.OnChange(d.table.news))
	if err := d.table.write(ctx, time.Now()); err != nil {
		return err
	}
	up.run(ctx, "keep the table of nodes", func(ctx context.Context) error {
		again := time.NewTimer(rowEvery)
		defer again.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-d.table.look:
			case <-again.C:
			}
			if err := d.table.write(ctx, time.Now()); err != nil && ctx.Err() == nil {
				d.log.Warn("write the table of nodes", "err", err)
			}
			again.Reset(d.table.pause())
		}
	})
	return nil
}

// pause is until the next look where nobody tells of news.
func (t *table) pause() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.held {
		return heldEvery
	}
	return rowEvery
}

// write brings the rows up to date that may be written again.
func (t *table) write(ctx context.Context, now time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	there := map[bus.NodeID]bool{}
	t.held = false
	for _, n := range t.nodes() {
		there[n.ID] = true
		if err := t.put(ctx, n, now); err != nil {
			return err
		}
	}
	for id := range t.rows {
		if there[id] {
			continue
		}
		if err := t.kv.Delete(ctx, string(id)); err != nil {
			return fmt.Errorf("delete node %s: %w", id, err)
		}
		delete(t.rows, id)
	}
	return nil
}

// put writes one node, if there is news that may be told now. The caller holds mu.
func (t *table) put(ctx context.Context, n bus.NodeInfo, now time.Time) error {
	n.Use, n.Queues = nil, nil // every second something else
	bare := n
	bare.Seen = time.Time{}
	b, err := bus.Marshal(bare)
	if err != nil {
		return fmt.Errorf("encode node %s: %w", n.ID, err)
	}
	old := t.rows[n.ID]
	if old.json == string(b) {
		return nil
	}
	if old.state == n.State && old.host == n.QueueHost && now.Sub(old.at) < rowEvery {
		t.held = true
		return nil
	}
	value, err := bus.Marshal(n)
	if err != nil {
		return fmt.Errorf("encode node %s: %w", n.ID, err)
	}
	if _, err := t.kv.Put(ctx, string(n.ID), value); err != nil {
		return fmt.Errorf("put node %s: %w", n.ID, err)
	}
	t.rows[n.ID] = row{string(b), n.State, n.QueueHost, now}
	return nil
}

// nearby are foreign swarms that announce themselves on the LAN. One that has put this node out is none.
func (d *Daemon) nearby() []bus.NearbySwarm {
	m := d.discoverer()
	if m == nil {
		return nil
	}
	return swarmsOf(slices.DeleteFunc(m.Nearby(), func(f discovery.Found) bool { return !isForeign(f, d.id.Swarm().ID, d.isMember) }))
}

// swarmsOf are the swarms of foreign nodes, each with the first of its own.
func swarmsOf(foreign []discovery.Found) (out []bus.NearbySwarm) {
	for _, f := range foreign {
		i := slices.IndexFunc(out, func(s bus.NearbySwarm) bool { return s.Name == f.SwarmID })
		if i < 0 {
			i = len(out)
			out = append(out, bus.NearbySwarm{NodeID: f.NodeID, Name: f.SwarmID, JoinAddr: f.JoinAddrs[0]})
		}
		out[i].Nodes++
	}
	return out
}
