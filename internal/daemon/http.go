package daemon

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/gateway"
)

// httpServer makes the HTTP server.
func (d *Daemon) httpServer() (*http.Server, error) {
	g, err := gateway.New(gateway.Config{Swarm: nativeAPI{d}, Key: d.keys.http, KeyAlways: d.cfg.HTTPKey, Hosts: d.httpHosts, Logger: d.log})
	if err != nil {
		return nil, err
	}
	d.gateway = g
	return gateway.Server(g), nil
}

// httpHosts are the names by which browsers and programs may call this daemon.
func (d *Daemon) httpHosts() []string {
	hosts := []string{}
	if name, err := os.Hostname(); err == nil {
		hosts = append(hosts, name)
	}
	if host, _, err := net.SplitHostPort(d.http.Addr().String()); err == nil {
		if ip, err := netip.ParseAddr(host); err == nil && ip.IsUnspecified() {
			for _, a := range ownAddrs(true) {
				hosts = append(hosts, a.String())
			}
		}
		hosts = append(hosts, host)
	}
	return hosts
}

// nativeAPI gives the gateway what it asks for.
type nativeAPI struct{ d *Daemon }

var (
	_ gateway.Swarm  = nativeAPI{}
	_ gateway.Queued = nativeAPI{}
)

// Status implements gateway.Swarm.
func (a nativeAPI) Status() bus.Status { return a.d.status() }

// Identity implements gateway.Swarm.
func (a nativeAPI) Identity() gateway.Identity {
	d := a.d
	return gateway.Identity{
		NodeID: d.id.NodeID(), Name: d.id.Name(), Fingerprint: string(d.id.Fingerprint()), Swarm: d.swarm(),
		Version: d.cfg.Version, Founder: d.id.Swarm().Founder,
	}
}

// Run implements gateway.Swarm.
func (a nativeAPI) Run(ctx context.Context, t bus.Task) (bus.TaskInfo, error) {
	return a.Stream(ctx, t, func(bus.Chunk) error { return nil })
}

// Stream implements gateway.Swarm.
func (a nativeAPI) Stream(ctx context.Context, t bus.Task, piece func(bus.Chunk) error) (bus.TaskInfo, error) {
	n, err := a.d.current()
	if err != nil {
		return bus.TaskInfo{}, err
	}
	out, reply, err := n.Submit(t)
	if err != nil {
		return bus.TaskInfo{}, err
	}
	for {
		chunk, err := out.Next(ctx)
		switch {
		case err == nil && chunk.End != nil:
			return *chunk.End, nil
		case errors.Is(err, io.EOF):
			return bus.TaskInfo{}, bus.Errorf(bus.CodeInternal, "the output of task %s has no end", reply.ID)
		case err == nil:
			err = piece(chunk)
		}
		if err != nil {
			stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), cancelLimit)
			defer cancel()
			if _, cancelErr := n.Cancel(stop, reply.ID); cancelErr != nil {
				a.d.log.Warn("cancel a task whose client left", "task", reply.ID, "err", cancelErr)
			}
			return bus.TaskInfo{}, err
		}
	}
}

// Enqueue implements gateway.Swarm.
func (a nativeAPI) Enqueue(ctx context.Context, t bus.Task) (bus.Receipt, error) {
	n, err := a.d.current()
	if err != nil {
		return bus.Receipt{}, err
	}
	return n.Enqueue(ctx, t, 2)
}

// Queued implements gateway.Queued.
func (a nativeAPI) Queued(ctx context.Context, id bus.TaskID) (position int, wait time.Duration, ok bool) {
	n, err := a.d.current()
	if err != nil {
		return 0, 0, false
	}
	return n.Queued(ctx, id)
}

// Task implements gateway.Swarm.
func (a nativeAPI) Task(ctx context.Context, id bus.TaskID) (bus.TaskInfo, error) {
	n, err := a.d.current()
	if err != nil {
		return bus.TaskInfo{}, err
	}
	return n.Task(ctx, id)
}

// Whole implements gateway.Swarm.
func (a nativeAPI) Whole(ctx context.Context, t *bus.TaskInfo, last bool) error {
	n, err := a.d.current()
	if err != nil {
		return err
	}
	b := t.ResultBlob
	if err := n.Whole(ctx, t); err != nil {
		return err
	}
	if last {
		n.Taken(t.ID, b)
	}
	return nil
}
