package daemon

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"strconv"

	"github.com/mycoswarm/mycoswarm/internal/identity"
	"github.com/mycoswarm/mycoswarm/node/discovery"
)

// startDiscovery announces this node on the LAN and looks for others.
func (d *Daemon) startDiscovery(ctx context.Context, up *lifeline) error {
	if d.cfg.NoMDNS {
		return nil
	}
	up.run(ctx, "discover", func(ctx context.Context) error {
		for ctx.Err() == nil {
			d.discover(ctx)
		}
		return nil
	})
	return nil
}

// discover runs until ctx ends or the node is in another swarm. What it finds are hints; a
// daemon works without it.
func (d *Daemon) discover(ctx context.Context) {
	d.mu.Lock()
	moved := d.moved
	d.mu.Unlock()
	strangers := strangers{log: d.log}
	m, err := discovery.New(discovery.Config{
		NodeID: d.id.NodeID(), Fingerprint: string(d.id.Fingerprint()), SwarmID: string(d.id.Swarm().ID), Version: d.cfg.Version,
		Start:      d.id.Start().ID,
		FabricPort: portOf(d.fabric.FabricAddr()), JoinPort: portOf(d.join.Addr().String()),
		Interfaces: d.mdnsInterfaces(), Logger: d.log,
		Known: d.isMember,
		OnFound: func(f discovery.Found) {
			if d.isMember(f.Fingerprint) {
				d.trust.hint(f.NodeID, f.FabricAddrs...)
				return
			}
			if isForeign(f, d.id.Swarm().ID, d.isMember) {
				strangers.tell(f)
			}
		},
	})
	if err != nil {
		d.log.Warn("look for nodes on the LAN; use --peer HOST:PORT", "err", err)
		select {
		case <-ctx.Done():
		case <-moved:
		}
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	d.mu.Lock()
	d.mdns = m
	d.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-moved:
			cancel()
		case <-ctx.Done():
		}
	}()
	if err := m.Run(ctx); err != nil {
		d.log.Warn("look for nodes on the LAN; use --peer HOST:PORT", "err", err)
	}
	<-ended
}

// discoverer is what looks for others on the LAN; nil where nothing does.
func (d *Daemon) discoverer() *discovery.MDNS {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mdns
}

// isMember reports whether a fingerprint is that of a member.
func (d *Daemon) isMember(fingerprint string) bool {
	_, member := d.id.Member(identity.Fingerprint(fingerprint))
	return member
}

// isForeign reports whether f is of a swarm that this node could join. Who announces the own one and is
// no member here is one that this node has yet to hear of or, where it was put out, will not hear of.
func isForeign(f discovery.Found, own identity.SwarmID, isMember func(fingerprint string) bool) bool {
	return len(f.JoinAddrs) > 0 && f.SwarmID != own.Short() && !isMember(f.Fingerprint)
}

// strangersMost is how many foreign swarms the log tells of: anybody on the LAN can make up more.
const strangersMost = 16

// strangers tells of foreign swarms, each once.
type strangers struct {
	log  *slog.Logger
	told map[string]bool // by the id
}

// tell is called by one goroutine at a time.
func (s *strangers) tell(f discovery.Found) {
	if s.told[f.SwarmID] || len(s.told) >= strangersMost {
		return
	}
	if s.told == nil {
		s.told = map[string]bool{}
	}
	s.told[f.SwarmID] = true
	s.log.Info("another swarm is nearby; to join it run `myco invite` there, then here `myco join TOKEN`",
		"node", f.NodeID, "swarm", f.SwarmID, "addr", f.JoinAddrs[0])
	if len(s.told) == strangersMost {
		s.log.Info("more of other swarms may be nearby; the log tells of no more", "told", strangersMost, "see", "myco swarm")
	}
}

// mdnsInterfaces keeps the announcement where the fabric is.
func (d *Daemon) mdnsInterfaces() []string {
	if ap, err := netip.ParseAddrPort(d.fabric.FabricAddr()); err == nil && ap.Addr().IsLoopback() {
		return []string{discovery.Loopback}
	}
	return nil
}

func portOf(addr string) int {
	_, p, err := net.SplitHostPort(addr)
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(p)
	if err != nil {
		return 0
	}
	return n
}
