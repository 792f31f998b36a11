package daemon

import (
	"context"
	"slices"
	"time"
)

const (
	// refusedEvery is how often a node without a route asks why it has none, and refusedLimit how
	// long one member may take to answer; at most refusedMost addresses are asked.
	refusedEvery = 3 * time.Second
	refusedLimit = 2 * time.Second
	refusedMost  = 8
)

// startRefused finds out why a node with members to go to stays alone. Who was away when it was
// put out is not told: it is only refused.
func (d *Daemon) startRefused(ctx context.Context, up *lifeline) error {
	up.run(ctx, "ask why it is alone", func(ctx context.Context) error {
		tick := time.NewTicker(refusedEvery)
		defer tick.Stop()
		lonely := false // at the last look
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
			}
			was := lonely
			lonely = len(d.fabric.Routed()) == 0 && len(d.id.Members()) > 1
			var by []string
			if lonely && was {
				by = d.askWhyRefused(ctx)
			}
			d.mu.Lock()
			news := len(by) > 0 && !slices.Equal(by, d.refused)
			d.refused = by
			d.mu.Unlock()
			if news {
				d.log.Warn("members of the swarm refuse this node's key: it was put out while it was away, or they have not heard of it yet",
					"members", by, "see", "myco nodes, there", "or", "myco leave, here, for a swarm of its own")
			}
		}
	})
	return nil
}

// askWhyRefused names the members that refuse this node's key.
func (d *Daemon) askWhyRefused(ctx context.Context) []string {
	var by []string
	peers := d.trust.peers()
	for _, p := range peers[:min(len(peers), refusedMost)] {
		limited, cancel := context.WithTimeout(ctx, refusedLimit)
		if m, refused := d.id.RefusedBy(limited, p.Addr); refused && !slices.Contains(by, m.Name) {
			by = append(by, m.Name)
		}
		cancel()
	}
	slices.Sort(by)
	return by
}

// refusedBy names the members that refuse this node's key, where none takes it.
func (d *Daemon) refusedBy() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.refused)
}
