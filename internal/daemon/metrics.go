package daemon

import (
	"github.com/mycoswarm/mycoswarm/internal/daemon/metrics"
)

// figures are what the daemon knows, for a scrape: the same that status and the dashboard tell.
func (d *Daemon) figures() metrics.State {
	s := metrics.State{Version: d.cfg.Version, Swarm: d.swarm(), Nodes: d.nodes(), Engines: d.engines.Addresses()}
	for _, n := range s.Nodes {
		if n.ID == d.id.NodeID() {
			s.Node = n
		}
	}
	s.Free, _ = d.room.disk()
	var err error
	if s.Streams, _, err = d.store.Used(); err != nil {
		d.log.Debug("look at the store for a scrape", "err", err)
	}
	n, err := d.current()
	if err != nil {
		return s
	}
	s.Attached, s.Durable = n.OpenTasks()
	s.Queue = n.Queue()
	content, err := n.ContentBytes()
	if err != nil {
		d.log.Debug("look at large content for a scrape", "err", err)
	}
	s.Content = uint64(max(content, 0))
	return s
}
