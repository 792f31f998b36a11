package fabric

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/bus/internal/natslog"
	"github.com/mycoswarm/mycoswarm/internal/protect"
)

// Peer is another node and where it takes routes.
type Peer struct {
	// ID may be empty where only the address is known.
	ID bus.NodeID
	// Addr is HOST:PORT.
	Addr string
}

// SetPeers says which nodes to dial, in place of those of the last call. This node itself is left
// out. It may be called often: without a change it does what SetPinned does then.
//
// A peer is dialled until it answers, once a second. One side dialling is enough, and the mesh
// completes itself: peers tell each other of their peers. A peer that is left out is no longer
// dialled, and a route that was dialled for it is closed; routes that it dialled, or that were
// learnt from others, stay. An address that does not parse is an Error with CodeInvalid, and
// nothing changes.
func (f *Fabric) SetPeers(peers []Peer) error {
	f.changing.Lock()
	defer f.changing.Unlock()
	if f.server() == nil {
		return errNotRunning
	}
	return f.set(f.pinned.keys, peers)
}

// SetPinned says which keys may have a route, in place of those given before (see
// Config.Pinned). Routes of other keys are cut. Without a change it cuts those that have slipped in
// beside an earlier one: call it again now and then.
// An empty set is refused with CodeInvalid: the server would take it for "any key".
//
// The TLS configuration's VerifyConnection must know the change already, else a node that was
// cut is back at once.
func (f *Fabric) SetPinned(pinned map[string]struct{}) error {
	f.changing.Lock()
	defer f.changing.Unlock()
	if f.server() == nil {
		return errNotRunning
	}
	return f.set(pinned, f.peers)
}

// SetTrust is SetPinned and SetPeers in one change of the server's options. With an address that
// does not parse the keys change all the same.
func (f *Fabric) SetTrust(pinned map[string]struct{}, peers []Peer) error {
	f.changing.Lock()
	defer f.changing.Unlock()
	if f.server() == nil {
		return errNotRunning
	}
	if err := f.set(pinned, peers); err != nil {
		return errors.Join(err, f.set(pinned, f.peers))
	}
	return nil
}

// set is SetTrust with f.changing held, and the fabric running.
func (f *Fabric) set(pinned map[string]struct{}, peers []Peer) error {
	if protect.Pins.Off() {
		pinned = nil
	} else if len(pinned) == 0 {
		return bus.Errorf(bus.CodeInvalid, "fabric: the set of pinned keys is empty, which would trust every key")
	}
	want := make([]Peer, 0, len(peers))
	for _, p := range peers {
		if _, _, err := splitListen(p.Addr); err != nil {
			return err
		}
		if p.ID != f.cfg.ID && !f.ownAddr(p.Addr) {
			want = append(want, p)
		}
	}
	slices.SortFunc(want, func(a, b Peer) int { return cmp.Compare(a.Addr, b.Addr) })
	want = slices.CompactFunc(want, func(a, b Peer) bool { return a.Addr == b.Addr })
	if slices.Equal(want, f.peers) && maps.Equal(pinned, f.pinned.keys) {
		return f.cutStrangers()
	}
	err := f.reload(func(o *server.Options) {
		o.Cluster.TLSPinnedCerts = maps.Clone(pinned)
		o.Routes = nil
		for _, p := range want {
			o.Routes = append(o.Routes, &url.URL{Scheme: "nats-route", Host: p.Addr})
		}
	})
	if err != nil {
		return fmt.Errorf("change the routes and their keys: %w", err)
	}
	f.peers = want
	f.pinned.change(pinned)
	return nil
}

// reload changes the running server's options. f.changing is held, and f.mu is not: a reload may
// wait. The server (2.15.2) accepts each connection with a lock that a reload takes for itself, and
// keeps it through the TLS handshake of a route, so whoever connects to the route listener and says
// nothing holds up the reload, and with it all new connections, until f.handshake is over.
func (f *Fabric) reload(change func(*server.Options)) error {
	acc, err := newAccount(f.cfg.ID)
	if err != nil {
		return err
	}
	o := f.opts.Clone()
	o.Accounts, o.Nkeys = []*server.Account{acc}, known(f.cfg, f.keys, acc)
	change(o)
	begin := time.Now()
	if err := f.server().ReloadOptions(o.Clone()); err != nil {
		return err
	}
	if took := time.Since(begin); took > slowReload {
		f.log.Warn("a change of the routes had to wait, and new clients with it: a program connects to the port for routes and says nothing",
			"took", took.Round(time.Millisecond), "port", o.Cluster.Port)
	}
	f.opts = o
	return nil
}

// ownAddr reports whether addr is the route listener of this server.
func (f *Fabric) ownAddr(addr string) bool {
	host, p, err := net.SplitHostPort(addr)
	if err != nil || p != strconv.Itoa(f.opts.Cluster.Port) {
		return false
	}
	if host == f.opts.Cluster.Host {
		return true
	}
	ip, lip := net.ParseIP(host), net.ParseIP(f.opts.Cluster.Host)
	return ip != nil && lip != nil && ip.IsLoopback() && lip.IsUnspecified()
}

// Routed returns the nodes that this one has a route to at present. It takes some microseconds
// for each.
func (f *Fabric) Routed() map[bus.NodeID]struct{} {
	out := map[bus.NodeID]struct{}{}
	f.eachRoute(func(id bus.NodeID, _ string) { out[id] = struct{}{} })
	return out
}

// RTT returns the round trip of each route, as last measured by its ping, which is sent once a
// second; 0 until the first answer.
func (f *Fabric) RTT() map[bus.NodeID]time.Duration {
	out := map[bus.NodeID]time.Duration{}
	f.eachRoute(func(id bus.NodeID, rtt string) {
		d, err := time.ParseDuration(rtt)
		if err != nil {
			d = 0
		}
		out[id] = d
	})
	return out
}

// RouteClosed has a value where a route has closed since it was last read. Some moments pass until Routed leaves it out.
// Who waits here need not ask Routed all the time; now and then all the same, since the server tells of it in its
// log alone.
func (f *Fabric) RouteClosed() <-chan struct{} { return f.closed }

// routeLog is a server's log that tells of routes which close, by the words of nats-server 2.15: "Router connection closed:
// <reason> - Remote: <name>"; and so of peers that are away: "Error trying to connect to route (attempt 1): <error>". Who was refused before it had a route, and may try again each second, has no name there. It is
// called with locks of the server held.
type routeLog struct {
	*natslog.Logger
	closed chan<- struct{}
}

// Noticef implements the server's Logger.
func (l routeLog) Noticef(format string, v ...any) {
	if strings.Contains(format, "connection closed: %s - %s") && slices.Contains(v, any("Router")) {
		select {
		case l.closed <- struct{}{}:
		default:
		}
	}
	l.Logger.Noticef(format, v...)
}

// Errorf implements the server's Logger. A peer that is away is told in plain words, and as what it is.
func (l routeLog) Errorf(format string, v ...any) {
	if strings.HasPrefix(format, "Error trying to connect to route") && len(v) == 2 { // the attempt, and its error
		l.Away(v[1])
		return
	}
	l.Logger.Errorf(format, v...)
}

func (f *Fabric) eachRoute(fn func(id bus.NodeID, rtt string)) {
	s := f.server()
	if s == nil {
		return
	}
	rz, err := s.Routez(nil)
	if err != nil {
		return
	}
	for _, r := range rz.Routes {
		if id := bus.NodeID(r.RemoteName); id != "" && id != f.cfg.ID {
			fn(id, r.RTT)
		}
	}
}
