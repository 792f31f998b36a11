package daemon

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/identity"
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
		i.Name = orDefault(m.Name, i.Name)
		out = append(out, i)
	}
	slices.SortFunc(out, func(a, b bus.NodeInfo) int {
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		return strings.Compare(string(a.ID), string(b.ID))
	})
	return out
}

func (d *Daemon) status() bus.Status {
	s := bus.Status{Swarm: d.swarm(), Nodes: d.nodes(), Nearby: d.nearby(), DefaultModel: d.cfg.DefaultModel}
	for _, n := range s.Nodes {
		if n.ID == d.id.NodeID() {
			s.Node = n
		}
	}
	return s
}

// Times of the table of nodes.
const (
	tableEvery = 50 * time.Millisecond // how often changes are looked for
	rowEvery   = time.Second           // how often one node is written, at most
)

// row is what the table has of a node.
type row struct {
	json string
	at   time.Time
}

// startTable keeps the KV bucket "peers" in step with what this node sees of the swarm.
func (d *Daemon) startTable(ctx context.Context, up *lifeline) error {
	kv, err := d.store.Peers(ctx)
	if err != nil {
		return err
	}
	rows := map[bus.NodeID]row{}
	if err := d.writeTable(ctx, kv, rows, time.Now()); err != nil {
		return err
	}
	up.run(ctx, "keep the table of nodes", func(ctx context.Context) error {
		tick := time.NewTicker(tableEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case now := <-tick.C:
				if err := d.writeTable(ctx, kv, rows, now); err != nil && ctx.Err() == nil {
					d.log.Warn("write the table of nodes", "err", err)
				}
			}
		}
	})
	return nil
}

// writeTable writes the rows that changed and may be written again.
func (d *Daemon) writeTable(ctx context.Context, kv jetstream.KeyValue, rows map[bus.NodeID]row, now time.Time) error {
	there := map[bus.NodeID]bool{}
	for _, n := range d.nodes() {
		there[n.ID] = true
		seen := n.Seen
		n.Seen = time.Time{} // changes all the time
		b, err := json.Marshal(n)
		if err != nil {
			return fmt.Errorf("encode node %s: %w", n.ID, err)
		}
		if old := rows[n.ID]; old.json == string(b) || now.Sub(old.at) < rowEvery {
			continue
		}
		state := string(b)
		n.Seen = seen
		if b, err = json.Marshal(n); err != nil {
			return fmt.Errorf("encode node %s: %w", n.ID, err)
		}
		if _, err := kv.Put(ctx, string(n.ID), b); err != nil {
			return fmt.Errorf("put node %s: %w", n.ID, err)
		}
		if rows[n.ID] = (row{state, now}); seen.IsZero() {
			rows[n.ID] = row{json: state} // what is heard of it first is news at once
		}
	}
	for id := range rows {
		if there[id] {
			continue
		}
		if err := kv.Delete(ctx, string(id)); err != nil {
			return fmt.Errorf("delete node %s: %w", id, err)
		}
		delete(rows, id)
	}
	return nil
}

// nearby are foreign swarms that announce themselves on the LAN.
func (d *Daemon) nearby() []bus.NearbySwarm {
	d.mu.Lock()
	m := d.mdns
	d.mu.Unlock()
	if m == nil {
		return nil
	}
	var out []bus.NearbySwarm
	for _, f := range m.Nearby() {
		if _, member := d.id.Member(identity.Fingerprint(f.Fingerprint)); member || len(f.JoinAddrs) == 0 {
			continue
		}
		out = append(out, bus.NearbySwarm{NodeID: f.NodeID, Name: f.SwarmID, JoinAddr: f.JoinAddrs[0]})
	}
	return out
}
