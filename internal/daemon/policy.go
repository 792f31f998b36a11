package daemon

import (
	"context"
	"sync"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/handlers/web"
	"github.com/mycoswarm/mycoswarm/internal/config"
	"github.com/mycoswarm/mycoswarm/internal/engine"
	"github.com/mycoswarm/mycoswarm/internal/rhythm"
	"github.com/mycoswarm/mycoswarm/node"
)

const (
	ownerEvery = time.Second     // how often the owner's use is looked at
	powerEvery = 2 * time.Second // and the power: some systems need a program for it
)

// policyOf reads what the owner leaves of the machine: CodeInvalid, with a hint that names the flag.
func policyOf(c config.Config) (p node.Policy, err error) {
	p.YieldGPU = c.YieldGPU
	for _, s := range c.Closed {
		h, err := node.ParseHours(s)
		if err != nil {
			return p, bus.Errorf(bus.CodeInvalid, "--closed %q: %w", s, err).WithHint(`mycod --closed "mon-fri 09:00-17:00"`)
		}
		p.Closed = append(p.Closed, h)
	}
	switch p.OnBattery = node.BatteryUse(c.OnBattery); p.OnBattery {
	case "", node.BatteryUsed, node.BatteryLast, node.BatteryNever:
	default:
		return p, bus.Errorf(bus.CodeInvalid, "--on-battery %q: want use, last or never", c.OnBattery).WithHint("mycod --on-battery=last")
	}
	return p, nil
}

// webOf reads what the owner lets others fetch: CodeInvalid, with a hint that names the flag.
func webOf(c config.Config) (p web.Policy, err error) {
	for _, s := range c.WebAllow {
		n, err := web.ParseNetwork(s)
		if err != nil {
			return p, bus.Errorf(bus.CodeInvalid, "--web-allow %q: %w", s, err).WithHint("mycod --web-allow 192.168.1.0/24")
		}
		p.Allow = append(p.Allow, n)
	}
	for _, s := range c.WebPorts {
		n, err := web.ParsePort(s)
		if err != nil {
			return p, bus.Errorf(bus.CodeInvalid, "--web-port %q: %w", s, err).WithHint("mycod --web-port 8080")
		}
		p.Ports = append(p.Ports, n)
	}
	return p, nil
}

// searchOf reads where the owner's search engine is; nil where there is none. What was given may hold a password.
func searchOf(c config.Config) (*web.Search, error) {
	if c.Search == "" {
		return nil, nil
	}
	u, err := web.ParseSearch(c.Search)
	if err != nil {
		return nil, bus.Errorf(bus.CodeInvalid, "--search is not the address of a search engine: %w", err).WithHint("mycod --search http://192.168.1.5:8080")
	}
	return web.NewSearch(web.SearchConfig{URL: u, Agent: webAgent(c.Version)}), nil
}

// owner is how the owner uses the machine.
type owner struct {
	policy node.Policy

	mu   sync.Mutex
	use  *bus.OwnerUse // not changed once it is here
	mem  int64         // free bytes, as told
	vram int64
}

func (o *owner) get() *bus.OwnerUse {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.use
}

// free returns what is told of free memory, where so much is free now.
func (o *owner) free(memoryMB, vramMB int) (memory, vram int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.mem, o.vram = node.Coarse(o.mem, memoryMB), node.Coarse(o.vram, vramMB)
	return o.mem, o.vram
}

// startOwner begins to look at the owner's use of the machine, and at how fast its models are.
func (d *Daemon) startOwner(ctx context.Context, up *lifeline) error {
	speeds, err := engine.LoadSpeeds(d.cfg.DataDir)
	if err != nil {
		d.log.Warn("measured speeds are unreadable: they are measured anew", "err", err)
	}
	d.measured = engine.Measure(d.engines, speeds)
	up.run(ctx, "keep measured speeds", func(ctx context.Context) error { return speeds.Keep(ctx, d.cfg.DataDir, d.log) })
	power := node.PowerNow(ctx)
	var w node.Watch
	now := time.Now()
	d.weigh(&w, power, now)
	up.run(ctx, "watch the owner's use", func(ctx context.Context) error {
		looked := now
		rhythm.Each(ctx, d.began, ownerEvery, func(now time.Time) {
			if now.Sub(looked) >= powerEvery {
				pctx, cancel := context.WithTimeout(ctx, powerEvery)
				power, looked = node.PowerNow(pctx), now
				cancel()
			}
			d.weigh(&w, power, now)
		})
		return nil
	})
	return nil
}

// weigh takes in one sample; heartbeats tell what came out.
func (d *Daemon) weigh(w *node.Watch, power node.Power, now time.Time) {
	*w = w.Next(d.detector.Load(), power, d.running(), now)
	use := d.owner.policy.Judge(w.Usage(), now)
	d.owner.mu.Lock()
	old := d.owner.use
	d.owner.use = use
	d.owner.mu.Unlock()
	switch was, is := old != nil && old.Closed, use != nil && use.Closed; {
	case is && old.String() != use.String():
		d.log.Info("this machine takes no tasks of other nodes", "is", use.String())
	case was && !is:
		d.log.Info("this machine takes tasks of other nodes again")
	case old.String() != use.String():
		d.log.Debug("the owner's use of this machine", "is", use.String())
	}
}

// running reports whether a task of the swarm runs here, as heartbeats tell.
func (d *Daemon) running() bool {
	n, err := d.current()
	return err == nil && len(n.View().Peers[d.id.NodeID()].Beat.Running) > 0
}
