package daemon

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"sync"

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
	var told sync.Map // strangers that were told of
	m, err := discovery.New(discovery.Config{
		NodeID: d.id.NodeID(), Fingerprint: string(d.id.Fingerprint()), SwarmID: string(d.id.Swarm().ID), Version: d.cfg.Version,
		FabricPort: portOf(d.fabric.FabricAddr()), JoinPort: portOf(d.join.Addr().String()),
		Interfaces: d.mdnsInterfaces(), Logger: d.log,
		OnFound: func(f discovery.Found) {
			if _, member := d.id.Member(identity.Fingerprint(f.Fingerprint)); member {
				d.trust.learn(f.NodeID, f.FabricAddrs...)
				d.trust.poke()
				return
			}
			if _, again := told.LoadOrStore(f.NodeID, true); !again && len(f.JoinAddrs) > 0 {
				d.log.Info("another swarm is nearby; to join it run `myco invite` there, then here `myco join TOKEN`",
					"node", f.NodeID, "swarm", f.SwarmID, "addr", f.JoinAddrs[0])
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
