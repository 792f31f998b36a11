package engine

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"sync"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/protect"
)

// Inspect looks once at every address of cfg, all at one time, and tells what is there. own are
// this machine's addresses: an engine that answers at one which is not loopback can be used by
// everybody on the network, past the swarm and its keys. The error is an Error with CodeInvalid
// for an address that is none.
func Inspect(ctx context.Context, cfg Config, own []netip.Addr) ([]bus.EngineDiagnosis, error) {
	w, err := NewWatcher(cfg, nil)
	if err != nil {
		return nil, err
	}
	out := make([]bus.EngineDiagnosis, len(w.targets))
	var wg sync.WaitGroup
	for i, t := range w.targets {
		wg.Go(func() { out[i] = t.inspect(ctx, w.cfg, own) })
	}
	wg.Wait()
	return out, nil
}

func (t *target) inspect(ctx context.Context, cfg Config, own []netip.Addr) bus.EngineDiagnosis {
	d := bus.EngineDiagnosis{URL: t.url.Redacted(), Asked: t.named}
	t.look(ctx, cfg.ProbeTimeout)
	if t.file != nil {
		d.KeyFile = t.file.Error()
	}
	if t.err != nil {
		d.Error = t.err.Error()
		d.Swarm = errors.Is(t.err, errSwarm)
		if errors.Is(t.err, errRefuses) {
			d.Hint = bus.AsError(t.err).Hint
		}
		d.Hung = errors.Is(t.err, &bus.Error{Code: bus.CodeTimeout}) && accepts(ctx, t.url.Host, cfg)
		return d
	}
	d.Kind, d.PlainKey = t.engine.Kind(), t.bared
	for _, m := range t.member.models {
		d.Models = append(d.Models, m.Name)
	}
	if !protect.OpenEngine.Off() {
		d.Open = open(ctx, t.url, cfg, own)
	}
	return d
}

// open returns the addresses, HOST:PORT, at which others reach the engine of u, which runs on
// this machine.
func open(ctx context.Context, u *url.URL, cfg Config, own []netip.Addr) (out []string) {
	if !onThisMachine(u.Hostname(), own) {
		return nil
	}
	at := make([]string, len(own))
	var wg sync.WaitGroup
	for i, a := range own {
		if a.IsLoopback() || a.IsLinkLocalUnicast() {
			continue
		}
		wg.Go(func() {
			there := *u
			there.Host = net.JoinHostPort(a.String(), u.Port())
			there.User = nil
			ctx, cancel := context.WithTimeout(ctx, cfg.ProbeTimeout)
			defer cancel()
			c := newClient("engine", &there, nil).direct()
			kind, err := kindOf(ctx, c)
			if err == nil && kind == KindOpenAI { // a llama-server with a key shows its list to everybody
				_, err = (&OpenAI{c: c}).Models(ctx)
			}
			if err == nil {
				at[i] = there.Host
			}
		})
	}
	wg.Wait()
	for _, a := range at {
		if a != "" {
			out = append(out, a)
		}
	}
	return out
}

func onThisMachine(host string, own []netip.Addr) bool {
	if loopback(host) {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && slices.Contains(own, ip.Unmap())
}

// accepts reports whether anything takes a connection at addr.
func accepts(ctx context.Context, addr string, cfg Config) bool {
	ctx, cancel := context.WithTimeout(ctx, cfg.ProbeTimeout)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return false
	}
	c.Close()
	return true
}
