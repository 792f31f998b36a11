package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/bus/fabric"
	"github.com/mycoswarm/mycoswarm/internal/atomicfile"
	"github.com/mycoswarm/mycoswarm/internal/identity"
	"github.com/mycoswarm/mycoswarm/internal/protect"
	"github.com/mycoswarm/mycoswarm/internal/rhythm"
)

const (
	// trustEvery is how often routes, and what new members tell, are looked at for as long as busyFor
	// after a change, and restEvery how often else: whoever sees another change says so.
	trustEvery = 100 * time.Millisecond
	busyFor    = 5 * time.Second
	restEvery  = time.Second
	// rosterEvery is how often the roster is sent without a cause, for what was lost.
	rosterEvery = 30 * time.Second
	// maxAddrs is how many addresses of one node are kept of those that it told of itself, and
	// maxHints how many of those that somebody on the LAN told.
	maxAddrs = 4
	maxHints = 16
	// peersFile holds the last known addresses of members, so that a restart finds them
	// without mDNS.
	peersFile = "peers.json"
)

// rosterAgain are the moments after a new route when the roster is sent: at first the other side
// may not be known to listen.
var rosterAgain = []time.Duration{0, 200 * time.Millisecond, time.Second}

// trust keeps the routes in step with the roster, and the roster in step with that of others.
type trust struct {
	id     *identity.Store
	fabric *fabric.Fabric
	nc     *nats.Conn // hears nothing of its own
	static []string
	path   string
	nodes  func() []bus.NodeInfo
	routed func() map[bus.NodeID]struct{}
	kick   chan struct{}
	look   chan struct{} // there is something to look at, and the roster is as it was
	d      *Daemon

	saved string // what is in the file; run's own

	mu    sync.Mutex
	addrs map[bus.NodeID][]string // newest first
	hints map[bus.NodeID][]string // of nodes without a route; never in place of addrs
	seen  map[bus.NodeID]struct{} // the routes, by whoever looked last
}

func (d *Daemon) startTrust(ctx context.Context, up *lifeline) error {
	nc, err := d.fabric.Conn("trust", nats.NoEcho())
	if err != nil {
		return err
	}
	up.later(nc.Close)
	t := &trust{
		id: d.id, fabric: d.fabric, nc: nc, static: d.cfg.Peers, path: filepath.Join(d.cfg.DataDir, peersFile), d: d,
		kick: make(chan struct{}, 1), look: make(chan struct{}, 1), addrs: map[bus.NodeID][]string{}, hints: map[bus.NodeID][]string{},
		routed: d.fabric.Routed,
		nodes: func() []bus.NodeInfo {
			if n, err := d.current(); err == nil {
				return n.Nodes()
			}
			return nil
		},
	}
	if err := t.load(); err != nil {
		d.log.Warn("read the addresses of members; mDNS or --peer finds them", "err", err)
	}
	d.startGoodbyes()
	if _, err := nc.Subscribe(bus.SubjectRoster, func(m *nats.Msg) { t.hear(m.Data) }); err != nil {
		return fmt.Errorf("listen for the roster: %w", err)
	}
	up.later(d.id.OnChange(t.poke))
	d.trust = t
	if err := t.apply(); err != nil {
		return err
	}
	up.run(ctx, "keep trust", t.run)
	return nil
}

// run follows the roster and the routes until ctx ends.
func (t *trust) run(ctx context.Context) error {
	tick := time.NewTimer(trustEvery)
	defer tick.Stop()
	busyTill := time.Now().Add(busyFor)
	var due []time.Time // when to send the roster
	routed := map[bus.NodeID]struct{}{}
	again := time.Now().Add(rosterEvery)
	for {
		changed := false
		select {
		case <-ctx.Done():
			return t.save()
		case <-t.kick:
			changed = true
		case <-t.look:
		case <-tick.C:
		}
		now := time.Now()
		present := t.routed()
		up, gone := t.tellRoutes(routed, present)
		changed = changed || up
		if changed || gone {
			busyTill = now.Add(busyFor)
		}
		routed = present
		if changed {
			for _, after := range rosterAgain {
				due = append(due, now.Add(after))
			}
		}
		if now.After(again) {
			due, again = append(due, now), now.Add(rosterEvery)
		}
		t.learnFromBeats()
		t.d.keepGoodbyes()
		if err := t.apply(); err != nil {
			t.d.log.Warn("change the routes", "err", err)
		}
		if rest := slices.DeleteFunc(due, func(at time.Time) bool { return !at.After(now) }); len(rest) < len(due) {
			due = rest
			t.publish(t.id.Export())
		}
		if now.Before(busyTill) {
			tick.Reset(trustEvery)
		} else {
			tick.Reset(rhythm.Until(restEvery, time.Since(t.d.began)))
		}
	}
}

// tellRoutes tells the log which routes came and went since before, and reports whether any did.
func (t *trust) tellRoutes(before, now map[bus.NodeID]struct{}) (up, gone bool) {
	for id := range now {
		if _, known := before[id]; !known {
			t.d.log.Info("route is up", "node", id, "name", t.d.nameOf(id))
			up = true
		}
	}
	for id := range before {
		if _, there := now[id]; !there {
			t.d.log.Info("route is gone", "node", id, "name", t.d.nameOf(id))
			gone = true
		}
	}
	return up, gone
}

func (t *trust) poke() { stir(t.kick) }

func stir(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it is told already
	}
}

// saw takes in which routes there are, and has them looked at where they are others than before.
func (t *trust) saw(routed map[bus.NodeID]struct{}) {
	t.mu.Lock()
	same := maps.Equal(routed, t.seen)
	t.seen = routed
	t.mu.Unlock()
	if !same {
		stir(t.look)
	}
}

func (t *trust) publish(roster []byte) {
	err := t.nc.Publish(bus.SubjectRoster, roster)
	if err == nil {
		err = t.nc.Flush()
	}
	if err != nil {
		t.d.log.Warn("send the roster", "err", err)
	}
}

// hear takes in what another member says of the roster.
func (t *trust) hear(roster []byte) {
	before := t.id.Swarm()
	changed, err := t.id.Import(roster)
	now := t.id.Swarm()
	switch {
	case err == nil:
	case changed && errors.Is(err, identity.ErrUnreadable):
		t.d.log.Warn("what was told of the swarm's members counts until this daemon ends: it cannot be kept", "err", err)
	case errors.Is(err, identity.ErrNotMember):
		t.d.log.Warn("the swarm goes on without this node", "err", err)
	default: // of a swarm that is being left or joined, or forged
		t.d.log.Debug("take in a roster", "err", err)
	}
	t.d.wentAlong(before)
	if !before.Revoked && now.Revoked {
		select {
		case t.d.putOut <- struct{}{}:
		default: // it is being dealt with
		}
	}
}

// apply tells the fabric who may have a route and whom to dial. Without a change it does nothing.
func (t *trust) apply() error {
	if err := t.fabric.SetTrust(t.id.Pinned(), t.peers()); err != nil {
		return err
	}
	return t.save()
}

// peers lists whom to dial. A node that was put out would be refused by everybody.
func (t *trust) peers() []fabric.Peer {
	var out []fabric.Peer
	if t.id.Swarm().Revoked {
		return nil
	}
	for _, a := range t.static {
		out = append(out, fabric.Peer{Addr: a})
	}
	if protect.Addresses.Off() {
		return out
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	members := t.id.Members()
	for _, a := range stillGiven(t.id.Fabric(), t.addrs, members) {
		out = append(out, fabric.Peer{Addr: a})
	}
	for _, m := range members {
		for _, a := range slices.Concat(t.addrs[m.Node], t.hints[m.Node]) {
			out = append(out, fabric.Peer{ID: m.Node, Addr: a})
		}
	}
	return out
}

// addrsOf returns where a member may be reached: what it told, what somebody on the LAN told, and
// what the inviter gave, which may be of any member.
func (t *trust) addrsOf(id bus.NodeID) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	addrs := slices.Concat(t.addrs[id], t.hints[id])
	if len(addrs) == 0 {
		addrs = stillGiven(t.id.Fabric(), t.addrs, t.id.Members())
	}
	slices.Sort(addrs)
	return slices.Compact(addrs)
}

// stillGiven returns the addresses that this node was given when it joined. They are of one node:
// once one of them is known as that of a node which has left, dialling them is of no use.
func stillGiven(given []string, known map[bus.NodeID][]string, members []identity.Member) []string {
	given = slices.DeleteFunc(slices.Clone(given), undialable) // programs of before took ports that there are not
	left := false
	for id, addrs := range known {
		if !slices.ContainsFunc(addrs, func(a string) bool { return slices.Contains(given, a) }) {
			continue
		}
		if slices.ContainsFunc(members, func(m identity.Member) bool { return m.Node == id }) {
			return given
		}
		left = true
	}
	if left {
		return nil
	}
	return given
}

// hint notes where a node may be reached, as somebody on the LAN says. What is not signed must not
// take the place of what is known, nor change the dialling of a node that has a route.
func (t *trust) hint(id bus.NodeID, addrs ...string) {
	if _, routed := t.routed()[id]; routed {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	told := addrs[:min(len(addrs), maxHints)]
	if slices.Equal(told, t.hints[id]) {
		return
	}
	t.hints[id] = slices.Clone(told)
	stir(t.look)
}

// learn notes where a node is reached, as it says itself.
func (t *trust) learn(id bus.NodeID, addrs ...string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, a := range addrs {
		if undialable(a) || slices.Contains(t.addrs[id], a) {
			continue
		}
		t.addrs[id] = append([]string{a}, t.addrs[id]...)
		t.addrs[id] = t.addrs[id][:min(len(t.addrs[id]), maxAddrs)]
	}
}

// undialable reports whether addr is none, HOST:PORT, that the fabric takes: with one that it refuses it takes no new one at all.
func undialable(addr string) bool {
	host, port, err := net.SplitHostPort(addr)
	n, bad := strconv.ParseUint(port, 10, 16)
	return err != nil || bad != nil || n == 0 || host == ""
}

// told notes where a node is reached, as it has said itself, the best address first, and dials it.
func (t *trust) told(id bus.NodeID, addrs []string) {
	addrs = slices.Clone(addrs[:min(len(addrs), maxAddrs)])
	slices.Reverse(addrs)
	t.learn(id, addrs...)
	t.poke()
}

// learnFromBeats notes the addresses that members tell of themselves.
func (t *trust) learnFromBeats() {
	for _, n := range t.nodes() {
		if n.FabricAddr != "" && n.ID != t.id.NodeID() && n.State != bus.NodeLost {
			t.learn(n.ID, n.FabricAddr)
		}
	}
}

// forget drops the addresses of a swarm that this node is no longer in.
func (t *trust) forget() {
	members := t.id.Members()
	t.mu.Lock()
	for _, known := range []map[bus.NodeID][]string{t.addrs, t.hints} {
		maps.DeleteFunc(known, func(id bus.NodeID, _ []string) bool {
			return !slices.ContainsFunc(members, func(m identity.Member) bool { return m.Node == id })
		})
	}
	t.mu.Unlock()
	t.poke()
}

func (t *trust) load() error {
	b, err := atomicfile.Read(t.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	var addrs map[bus.NodeID][]string
	if err := json.Unmarshal(b, &addrs); err != nil {
		return fmt.Errorf("decode %s: %w", t.path, err)
	}
	for id, as := range addrs {
		as = slices.DeleteFunc(as, undialable)
		t.addrs[id] = as[:min(len(as), maxAddrs)]
	}
	t.saved = string(b)
	return nil
}

// save writes the addresses where they changed. It is run's own, and holds nothing while it writes: on a slow disk that takes seconds, and
// who looks at the routes meanwhile would take this node for one that slept.
func (t *trust) save() error {
	t.mu.Lock()
	b, err := json.Marshal(t.addrs)
	t.mu.Unlock()
	if err != nil {
		return fmt.Errorf("encode the addresses of members: %w", err)
	}
	if string(b) == t.saved {
		return nil
	}
	t.saved = string(b) // tried once for each change
	return writeFile(t.path, b)
}
