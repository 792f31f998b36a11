package daemon

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/gateway"
	"github.com/mycoswarm/mycoswarm/sched"
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

var _ gateway.Swarm = nativeAPI{}

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
	return a.toEnd(ctx, n, out, reply.ID, piece)
}

// toEnd reads the output of an attached task to its end; where it fails, the task is cancelled.
func (a nativeAPI) toEnd(ctx context.Context, n *sched.Node, out *sched.Output, id bus.TaskID, piece func(bus.Chunk) error) (bus.TaskInfo, error) {
	info, err := read(ctx, out, piece)
	if err == nil {
		return info, nil
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), cancelLimit)
	defer cancel()
	if _, cancelErr := n.Cancel(stop, id); cancelErr != nil {
		a.d.log.Warn("cancel a task whose client left", "task", id, "err", cancelErr)
	}
	return bus.TaskInfo{}, err
}

// read hands out output until its end.
func read(ctx context.Context, out *sched.Output, piece func(bus.Chunk) error) (bus.TaskInfo, error) {
	for {
		chunk, err := out.Next(ctx)
		switch {
		case err == nil && chunk.End != nil:
			return *chunk.End, nil
		case errors.Is(err, io.EOF):
			return bus.TaskInfo{}, bus.Errorf(bus.CodeInternal, "the output of a task has no end")
		case err == nil:
			err = piece(chunk)
		}
		if err != nil {
			return bus.TaskInfo{}, err
		}
	}
}

// Start implements gateway.Swarm.
func (a nativeAPI) Start(ctx context.Context, t bus.Task, ended func()) error {
	n, err := a.d.current()
	if err != nil {
		return err
	}
	out, reply, err := n.Submit(t)
	if err != nil {
		return err
	}
	go func() {
		defer ended()
		if _, err := a.toEnd(ctx, n, out, reply.ID, func(bus.Chunk) error { return nil }); err != nil {
			a.d.log.Debug("a task was left", "task", reply.ID, "err", err)
		}
	}()
	return nil
}

// Enqueue implements gateway.Swarm.
func (a nativeAPI) Enqueue(ctx context.Context, t bus.Task) (bus.Receipt, error) {
	n, err := a.d.current()
	if err != nil {
		return bus.Receipt{}, err
	}
	return n.Enqueue(ctx, t, 2)
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
