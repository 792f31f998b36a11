package daemon

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/gateway"
	"github.com/mycoswarm/mycoswarm/internal/neterr"
	"github.com/mycoswarm/mycoswarm/internal/toolbox"
	"github.com/mycoswarm/mycoswarm/node"
	"github.com/mycoswarm/mycoswarm/sched"
)

// httpServer makes the HTTP server.
func (d *Daemon) httpServer(ctx context.Context) (*http.Server, error) {
	g, err := gateway.New(gateway.Config{
		Swarm: nativeAPI{d}, Key: d.keys.http, Keys: d.httpKeys.all(), KeyAlways: d.cfg.HTTPKey, Hosts: d.httpHosts, Origins: d.cfg.HTTPOrigins,
		ReattachGrace: d.cfg.ReattachGrace, BodyRoom: gateway.BodyRoom(node.TotalMemory(ctx)), Metrics: d.metrics, Answered: d.metrics.Answered, Logger: d.log,
		BatchDir: filepath.Join(d.cfg.DataDir, "batches"), Room: d.room.check, MCP: d.tools,
	})
	if err != nil {
		return nil, err
	}
	d.gateway = g
	return g.Server(), nil
}

// tools answers a message of a program that has a model call tools.
func (d *Daemon) tools(c *gateway.Caller, w http.ResponseWriter, r *http.Request) {
	toolbox.Serve(toolbox.Config{Swarm: c, Manages: c.Manages(), Owns: c.Owns(), Version: d.cfg.Version}, c.Nodes(), w, r)
}

// listenAsOllama takes the address where programs look for Ollama, if it is asked for.
func (d *Daemon) listenAsOllama(ctx context.Context, up *lifeline) error {
	addr := d.cfg.OllamaListen
	if addr == "" {
		return nil
	}
	ln, err := listen(ctx, d.log, ollamaFlag, addr, "")
	if neterr.InUse(err) {
		return bus.Errorf(bus.CodeUnavailable, "address %s is in use, most likely by Ollama itself: %w", addr, errors.Unwrap(err)).
			WithHint("have Ollama listen elsewhere (OLLAMA_HOST=127.0.0.1:11435 ollama serve), and then: mycod %s %s --engine http://127.0.0.1:11435; "+
				"or leave %s out: the HTTP address of mycod speaks as Ollama too", ollamaFlag, addr, ollamaFlag)
	}
	if err != nil {
		return err
	}
	d.ollama = ln
	up.later(func() { _ = ln.Close() }) // the server has, mostly
	return nil
}

// ollamaFlag asks for a second listener.
const ollamaFlag = "--ollama-listen"

// serveHTTP answers on each listener.
func (d *Daemon) serveHTTP(ctx context.Context, up *lifeline, srv *http.Server) {
	up.run(ctx, "keep the dashboard's news", d.gateway.Run)
	up.run(ctx, "answer batches", d.gateway.RunBatches)
	for _, ln := range []net.Listener{d.http, d.ollama, d.https} {
		if ln == nil {
			continue
		}
		up.run(ctx, "answer HTTP", func(ctx context.Context) error {
			ended := make(chan struct{})
			stop := context.AfterFunc(ctx, func() {
				defer close(ended)
				d.endHTTP(srv)
			})
			err := srv.Serve(ln)
			if stopped := !stop(); stopped {
				<-ended
			}
			if errors.Is(err, http.ErrServerClosed) { // by the end of another listener, perhaps
				return nil
			}
			return err
		})
	}
}

// lastWords is how long clients have to read their last words, once there is no time for more: the end of an answer, or that this node
// stops.
const lastWords = time.Second

// endHTTP answers those who wait that this node stops.
func (d *Daemon) endHTTP(srv *http.Server) {
	d.gateway.Close()
	ctx, cancel := context.WithTimeout(context.Background(), lastWords)
	defer cancel()
	if srv.Shutdown(ctx) != nil {
		_ = srv.Close() // the listener's error is of no use
	}
}

// dockerHost is what containers call the machine that they run on.
const dockerHost = "host.docker.internal"

// httpHosts are the names by which browsers and programs may call this daemon.
func (d *Daemon) httpHosts() []string {
	hosts := slices.Concat([]string{dockerHost}, d.cfg.HTTPHosts, d.cert.names())
	if name, err := os.Hostname(); err == nil {
		hosts = append(hosts, name)
	}
	for _, ln := range []net.Listener{d.http, d.ollama, d.https} {
		if ln == nil {
			continue
		}
		host, _, err := net.SplitHostPort(ln.Addr().String())
		if err != nil {
			continue
		}
		if ip, err := netip.ParseAddr(host); err == nil && ip.IsUnspecified() {
			for _, a := range d.ownAddrs() {
				hosts = append(hosts, a.String())
			}
		}
		hosts = append(hosts, host)
	}
	return hosts
}

// urlForOthers is where programs of other machines reach this daemon; empty where they do not.
func (d *Daemon) urlForOthers() string {
	if d.https != nil && forOthers(d.https.Addr().String()) {
		return d.info.HTTPSURL
	}
	if addr := d.http.Addr().String(); forOthers(addr) {
		return "http://" + d.addrsOf(addr)[0]
	}
	return ""
}

// nativeAPI gives the gateway what it asks for.
type nativeAPI struct{ d *Daemon }

var (
	_ gateway.Swarm  = nativeAPI{}
	_ gateway.Queued = nativeAPI{}
)

// Status implements gateway.Swarm.
func (a nativeAPI) Status() bus.Status { return a.d.status() }

// Nodes implements gateway.Swarm.
func (a nativeAPI) Nodes() []bus.NodeInfo { return a.d.nodes() }

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
	submit := n.Submit
	if gateway.Begun(ctx) {
		submit = n.SubmitNext
	}
	out, reply, err := submit(t)
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
	a.d.left.Go(func() {
		defer ended()
		if _, err := a.toEnd(ctx, n, out, reply.ID, func(bus.Chunk) error { return nil }); err != nil {
			a.d.log.Debug("a task was left", "task", reply.ID, "err", err)
		}
	})
	return nil
}

// Enqueue implements gateway.Swarm.
func (a nativeAPI) Enqueue(ctx context.Context, t bus.Task) (bus.Receipt, error) {
	n, err := a.d.current()
	if err != nil {
		return bus.Receipt{}, err
	}
	if t.ID != "" {
		if err := n.CheckID(ctx, t); err != nil {
			return bus.Receipt{}, err
		}
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

// Tasks implements gateway.Swarm.
func (a nativeAPI) Tasks(ctx context.Context) ([]bus.TaskInfo, error) {
	n, err := a.d.current()
	if err != nil {
		return nil, err
	}
	return n.Tasks(ctx)
}

// Why implements gateway.Swarm.
func (a nativeAPI) Why(ctx context.Context, id bus.TaskID) (bus.Why, error) {
	n, err := a.d.current()
	if err != nil {
		return bus.Why{}, err
	}
	return n.Why(ctx, id)
}

// Beats implements gateway.Swarm.
func (a nativeAPI) Beats() []bus.Heartbeat {
	n, err := a.d.current()
	if err != nil {
		return nil
	}
	var out []bus.Heartbeat
	for _, p := range n.View().Peers {
		if p.Beat.Node != "" {
			out = append(out, p.Beat)
		}
	}
	return out
}

// Probe implements gateway.Swarm. Of nodes that are lost it does not wait for an answer.
func (a nativeAPI) Probe(ctx context.Context) []bus.ProbeReply {
	return a.d.pingAll(ctx, slices.DeleteFunc(a.d.nodes(), func(n bus.NodeInfo) bool { return !n.State.Live() || n.ID == a.d.id.NodeID() }))
}

// Task implements gateway.Swarm.
func (a nativeAPI) Task(ctx context.Context, id bus.TaskID) (bus.TaskInfo, error) {
	n, err := a.d.current()
	if err != nil {
		return bus.TaskInfo{}, err
	}
	return n.Task(ctx, id)
}

// Cancel implements gateway.Swarm. A client that leaves meanwhile leaves no task half cancelled.
func (a nativeAPI) Cancel(ctx context.Context, id bus.TaskID) (bus.TaskInfo, error) {
	n, err := a.d.current()
	if err != nil {
		return bus.TaskInfo{}, err
	}
	return n.Cancel(context.WithoutCancel(ctx), id)
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
