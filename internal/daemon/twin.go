package daemon

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/bus/fabric"
	"github.com/mycoswarm/mycoswarm/internal/identity"
	"github.com/mycoswarm/mycoswarm/internal/protect"
)

// Times of looking for another daemon with this one's identity.
const (
	knockAtStart = 700 * time.Millisecond // for the addresses that are known
	askAtStart   = 1200 * time.Millisecond
	askEvery     = 100 * time.Millisecond // the question may be early for a new route
	beatWait     = 700 * time.Millisecond // three heartbeats and more
	beatPoll     = 20 * time.Millisecond
	copiesEvery  = 2 * time.Second
	maxQuestions = 64 // that are answered at one time
)

// errInUse tells that another daemon has this identity.
func (d *Daemon) errInUse(by bus.Instance) *bus.Error {
	return bus.Errorf(bus.CodeConflict, "identity in use by %s: node %s runs there, and has run for longer. "+
		"The data directory %s and the one there are copies of each other, and two daemons must not be one node",
		by, d.id.NodeID(), d.cfg.DataDir).
		WithHint("give this machine a data directory of its own: run `myco invite` on a member, then here: mycod --data-dir NEWDIR --join TOKEN")
}

// giveUp ends this daemon for another one of its identity that was there first.
func (d *Daemon) giveUp(by bus.Instance, fail context.CancelCauseFunc) {
	if d.isCopy.CompareAndSwap(false, true) {
		fail(d.errInUse(by))
	}
}

// startAlone looks for another daemon with this identity before this one takes part: at the
// addresses that are known, and by asking each member that answers there. Members that cannot
// be reached now tell later, see sched.
func (d *Daemon) startAlone(ctx context.Context, up *lifeline) error {
	if protect.Alone.Off() {
		return nil
	}
	if err := d.answerStarts(ctx, up); err != nil {
		return err
	}
	var addrs []string
	for _, p := range d.trust.peers() {
		addrs = append(addrs, p.Addr)
	}
	limited, cancel := context.WithTimeout(ctx, knockAtStart)
	defer cancel()
	members := map[bus.NodeID]bool{}
	for _, k := range d.knockAll(limited, addrs) {
		if by, older := d.copyAt(k); older {
			return d.errInUse(by)
		}
		if k.met.Member && k.met.Node != d.id.NodeID() {
			members[k.met.Node] = true
		}
	}
	by, err := d.askStart(ctx, members)
	if err != nil {
		return err
	}
	if by != nil {
		return d.errInUse(*by)
	}
	up.run(ctx, "look for copies", func(ctx context.Context) error { return d.watchCopies(ctx, up.fail) })
	return nil
}

// knock is what dialling one address led to.
type knock struct {
	addr string
	met  identity.Met   // zero where nobody showed a key
	me   identity.Start // this process, at that moment
	err  error          // nil where a route would be let in
}

// knockAll dials addresses at one time, each once, in their order.
func (d *Daemon) knockAll(ctx context.Context, addrs []string) []knock {
	out := make([]knock, len(addrs))
	var wg sync.WaitGroup
	for i, a := range addrs {
		wg.Go(func() { out[i] = d.knock(ctx, a) })
	}
	wg.Wait()
	return out
}

func (d *Daemon) knock(ctx context.Context, addr string) knock {
	k := knock{addr: addr}
	k.err = fabric.Knock(ctx, addr, d.id.AskTLS(func(m identity.Met) { k.met, k.me = m, d.id.Start() }))
	return k
}

// copyAt tells of another process with this node's key, and whether it goes before this one.
func (d *Daemon) copyAt(k knock) (by bus.Instance, older bool) {
	if k.met.Fingerprint != d.id.Fingerprint() || k.met.Start.ID == "" || k.met.Start.ID == k.me.ID {
		return by, false
	}
	by = bus.Instance{Boot: k.met.Start.ID, Addr: k.addr, UptimeMS: k.met.Start.Age.Milliseconds()}
	return by, k.met.Start.Before(k.me)
}

// askStart asks members whether they hear another daemon with this identity. It waits for each
// of them, for a while.
func (d *Daemon) askStart(ctx context.Context, members map[bus.NodeID]bool) (*bus.Instance, error) {
	if len(members) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, askAtStart)
	defer cancel()
	replies := make(chan *nats.Msg, maxQuestions)
	inbox := d.rpc.NewInbox()
	sub, err := d.rpc.ChanSubscribe(inbox, replies)
	if err != nil {
		return nil, fmt.Errorf("ask whether the identity is in use: %w", err)
	}
	defer func() {
		if err := sub.Unsubscribe(); err != nil {
			d.log.Debug("end a question", "err", err)
		}
	}()
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		if err := d.rpc.PublishRequest(bus.SubjectStart(d.id.NodeID()), inbox, nil); err != nil {
			return nil, fmt.Errorf("ask whether the identity is in use: %w", err)
		}
		select {
		case m := <-replies:
			var r bus.StartReply
			if bus.Unmarshal(m.Data, &r) != nil {
				continue
			}
			if r.InUse != nil {
				return r.InUse, nil
			}
			if delete(members, r.Node); len(members) == 0 {
				return nil, nil
			}
		case <-tick.C:
		case <-ctx.Done():
			if errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
				d.log.Debug("not all members told whether the identity is in use", "missing", len(members))
				return nil, nil
			}
			return nil, context.Cause(ctx)
		}
	}
}

// answerStarts answers the question of others.
func (d *Daemon) answerStarts(ctx context.Context, up *lifeline) error {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	var mu sync.Mutex
	open := map[string]bool{} // by who asks
	sub, err := d.rpc.Subscribe(bus.SubjectStarts, func(m *nats.Msg) {
		id := bus.NodeID(strings.TrimSuffix(strings.TrimPrefix(m.Subject, "swarm.node."), ".start"))
		mu.Lock()
		defer mu.Unlock()
		if id == d.id.NodeID() || !d.isAnyInbox(m.Reply) || open[m.Reply] || len(open) >= maxQuestions {
			return
		}
		open[m.Reply] = true
		wg.Go(func() {
			b, err := bus.Marshal(bus.StartReply{Node: d.id.NodeID(), InUse: d.hears(ctx, id)})
			if err == nil {
				err = m.Respond(b)
			}
			if err != nil {
				d.log.Debug("answer a start", "node", id, "err", err)
			}
			mu.Lock()
			delete(open, m.Reply)
			mu.Unlock()
		})
	})
	if err != nil {
		cancel()
		return fmt.Errorf("listen for starts: %w", err)
	}
	up.later(func() {
		if err := sub.Unsubscribe(); err != nil {
			d.log.Debug("listen for starts no longer", "err", err)
		}
		cancel()
		wg.Wait()
	})
	return nil
}

// hears waits for the next heartbeat of a node that lives as far as is known here, and returns
// who sent it; nil where none comes.
func (d *Daemon) hears(ctx context.Context, id bus.NodeID) *bus.Instance {
	ctx, cancel := context.WithTimeout(ctx, beatWait)
	defer cancel()
	asked := time.Now()
	tick := time.NewTicker(beatPoll)
	defer tick.Stop()
	for {
		n, err := d.current()
		if err != nil {
			return nil
		}
		p, known := n.View().Peers[id]
		if !known || !p.Live() {
			return nil
		}
		if p.Seen.After(asked) {
			return &bus.Instance{Boot: p.Beat.Boot, Host: p.Info.Host, Addr: p.Info.FabricAddr, UptimeMS: p.Beat.UptimeMS}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// watchCopies looks where this node's own record is announced from elsewhere, and at static
// peers that no route leads to: two copies that are alone have no member to tell them.
func (d *Daemon) watchCopies(ctx context.Context, fail context.CancelCauseFunc) error {
	tick := time.NewTicker(copiesEvery)
	defer tick.Stop()
	nodes := map[string]bus.NodeID{} // by address
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		routed := d.fabric.Routed()
		var addrs []string
		for _, a := range d.cfg.Peers {
			if _, known := routed[nodes[a]]; !known {
				addrs = append(addrs, a)
			}
		}
		if mdns := d.discoverer(); mdns != nil {
			addrs = append(addrs, mdns.Copies()...)
		}
		var copies []bus.Instance
		for _, k := range d.knockAll(ctx, addrs) {
			if k.met.Node != "" {
				nodes[k.addr] = k.met.Node
			}
			by, older := d.copyAt(k)
			if older {
				d.giveUp(by, fail)
				return nil
			}
			if by.Boot != "" {
				copies = append(copies, by)
			}
		}
		d.noteCopies(copies)
	}
}

// noteCopies keeps for doctor which younger daemons have this identity.
func (d *Daemon) noteCopies(copies []bus.Instance) {
	d.mu.Lock()
	before := len(d.copies)
	d.copies = copies
	d.mu.Unlock()
	if before == 0 && len(copies) > 0 {
		d.log.Warn("another daemon has this node's identity: it runs from a copy of the data directory", "there", copies[0].String())
	}
}
