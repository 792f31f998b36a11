package daemon

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mycoswarm/mycoswarm/internal/protect"

	"github.com/nats-io/nats.go"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/bus/fabric"
	"github.com/mycoswarm/mycoswarm/bus/store"
	"github.com/mycoswarm/mycoswarm/gateway"
	"github.com/mycoswarm/mycoswarm/handlers/web"
	"github.com/mycoswarm/mycoswarm/internal/config"
	"github.com/mycoswarm/mycoswarm/internal/daemon/metrics"
	"github.com/mycoswarm/mycoswarm/internal/engine"
	"github.com/mycoswarm/mycoswarm/internal/filelock"
	"github.com/mycoswarm/mycoswarm/internal/identity"
	"github.com/mycoswarm/mycoswarm/node"
	"github.com/mycoswarm/mycoswarm/node/discovery"
)

// Options are what a Daemon is given beside its Config.
type Options struct {
	// Logger gets what happens. Default: discards.
	Logger *slog.Logger
	// Out gets what a person reads at the start, the recovery phrase of a new swarm among it.
	// Default: discards.
	Out io.Writer
	// OutIsKept tells that others read what is written to Out, as in a system's log: no secrets go there.
	OutIsKept bool
}

// Daemon is one node of the swarm.
type Daemon struct {
	cfg config.Config
	log *slog.Logger
	out io.Writer
	// outIsKept is Options.OutIsKept.
	outIsKept bool

	began time.Time     // what is done now and then is done at whole multiples since then
	ready chan struct{} // closed once the daemon answers its users
	info  bus.DaemonInfo

	id       *identity.Store
	keys     credentials
	fabric   *fabric.Fabric
	store    *store.Store
	detector *node.Detector
	engines  *engine.Watcher
	measured *engine.Measured // engines, with how fast they are
	metrics  *metrics.Metrics
	owner    owner
	web      web.Policy  // what pages are fetched from beside what is public
	search   *web.Search // nil where the owner has named no search engine
	trust    *trust
	goodbyes *goodbyes
	programs *programs
	plugins  plugins
	parcels  *parcels
	table    *table
	room     *room
	own      ownAddrs
	rpc      *nats.Conn // with full rights; answers requests and asks other daemons
	join     net.Listener
	http     net.Listener
	gateway  *gateway.Gateway
	httpKeys *keyring
	ollama   net.Listener // nil where it is not wanted
	https    net.Listener // nil as well
	cert     *certificate // that of https

	left     sync.WaitGroup // reads the output of tasks whose clients may have left
	finds    bool           // the token of Config.Join may tell where the swarm is that this node was in before
	changing sync.Mutex     // held while the node joins or leaves, or is put out
	holds    error          // why copies of others' tasks are left of a swarm that this node is in no more
	putOut   chan struct{}  // tells that the node was put out; holds one

	mu      sync.Mutex
	member  *member // nil before the start, after the stop, and for a moment while leaving
	mdns    *discovery.MDNS
	refused []string       // names of members that refuse this node's key
	moved   chan struct{}  // closed when the node is in another swarm
	alone   bool           // it was in no swarm of several when it started, whatever it has joined since
	copies  []bus.Instance // daemons with this identity that started later

	isCopy atomic.Bool // another daemon with this identity was there first
}

// New makes a Daemon; Run starts it. The error is that of Config.Validate.
func New(cfg config.Config, o Options) (*Daemon, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := engineConfig(cfg).Validate(); err != nil {
		return nil, err
	}
	policy, err := policyOf(cfg)
	if err != nil {
		return nil, err
	}
	fetches, err := webOf(cfg)
	if err != nil {
		return nil, err
	}
	search, err := searchOf(cfg)
	if err != nil {
		return nil, err
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Out == nil {
		o.Out = io.Discard
	}
	dir, err := filepath.Abs(cfg.DataDir)
	if err != nil {
		return nil, bus.Errorf(bus.CodeForbidden, "find the data directory %s: %w", cfg.DataDir, err).WithHint("mycod --data-dir DIR")
	}
	cfg.DataDir = dir
	d := &Daemon{cfg: cfg, log: o.Logger, out: o.Out, outIsKept: o.OutIsKept, began: time.Now(), ready: make(chan struct{}), moved: make(chan struct{}), putOut: make(chan struct{}, 1)}
	d.owner.policy, d.web, d.search = policy, fetches, search
	d.programs, d.parcels, d.table = newPrograms(d), newParcels(), newTable(d)
	d.metrics = metrics.New(d.figures)
	return d, nil
}

// Ready is closed once the daemon answers: its file daemon.json is written.
func (d *Daemon) Ready() <-chan struct{} { return d.ready }

// Info returns where the daemon is reached, once Ready is closed.
func (d *Daemon) Info() bus.DaemonInfo { return d.info }

// Run runs the daemon until ctx ends, and returns when everything has ended: nil where it was
// stopped, otherwise the first failure. A daemon that is stopped finishes what runs, for at most
// Config.DrainLimit.
func (d *Daemon) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	up := &lifeline{fail: cancel}
	defer up.stop()
	up.later(d.left.Wait) // they have ended by then, mostly: first of all HTTP is stopped
	if err := d.start(ctx, up); err != nil {
		if cause := context.Cause(ctx); ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			err = cause
		}
		if errors.Is(err, context.Canceled) {
			return nil
		}
		return err
	}
	<-ctx.Done()
	d.log.Info("stopping")
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	last, over := context.WithTimeout(context.WithoutCancel(ctx), d.drainLimit())
	defer over()
	d.finish(last) // while all that answers still does
	d.gateway.Settle(last)
	return nil
}

// start brings everything up, in the order of the package's comment.
func (d *Daemon) start(ctx context.Context, up *lifeline) error {
	for _, step := range []func(context.Context, *lifeline) error{
		d.startIdentity, d.startFabric, d.startTrust, d.startAlone, d.startStore, d.startMachine, d.startOwner, d.startRoom, d.startPlugins, d.startMember,
		d.startPutOut, d.startRefused, d.startAnswering, d.startDiscovery, d.startFinding,
	} {
		if err := step(ctx, up); err != nil {
			return err
		}
	}
	d.info = bus.DaemonInfo{
		PID: os.Getpid(), Version: d.cfg.Version, NodeID: d.id.NodeID(), Name: d.id.Name(),
		BusURL: d.fabric.ClientURL(), FabricAddr: d.fabric.FabricAddr(),
		JoinAddr: d.join.Addr().String(), HTTPURL: "http://" + reachable(d.http.Addr()),
	}
	if d.ollama != nil {
		d.info.OllamaURL = "http://" + reachable(d.ollama.Addr())
	}
	if d.https != nil {
		d.info.HTTPSURL = "https://" + d.httpsAddr()
	}
	d.settle(ctx, settleLimit)
	if err := d.table.write(ctx, time.Now()); err != nil {
		return err
	}
	if err := d.publishFiles(up); err != nil {
		return err
	}
	d.startDefaultModel(ctx, up)
	var held bus.Diagnosis
	if d.unconfined(&held); held.Unconfined != "" {
		d.log.Warn("what reads pages and documents here is not held back wholly", "why", held.Unconfined,
			"sees_files", !held.Hidden, "has_network", !held.Filtered, "helps", held.UnconfinedHint, "safer", "mycod --no-files --no-web")
	}
	d.hello()
	close(d.ready)
	return nil
}

// startIdentity takes the data directory and opens or makes the identity in it; with a token it
// joins.
func (d *Daemon) startIdentity(ctx context.Context, up *lifeline) error {
	if err := makeDataDir(d.cfg.DataDir); err != nil {
		return err
	}
	unlock, err := store.Lock(d.cfg.DataDir)
	switch {
	case errors.Is(err, filelock.ErrLocked) && d.cfg.Join != "": // it need not be stopped for that
		return bus.AsError(err).WithHint("%s join TOKEN: the daemon that runs joins, and goes on", d.myco())
	case err != nil:
		return err
	}
	up.later(func() {
		if err := unlock(); err != nil {
			d.log.Warn("unlock the data directory", "err", err)
		}
	})
	d.warnOfPlaintext()
	if err := d.forgetLast(); err != nil {
		return err
	}
	name := d.nameAsked()
	d.id, err = identity.Open(d.cfg.DataDir, identity.Options{Name: name, Logger: d.log})
	if err != nil {
		return identityError(err)
	}
	if d.keys, err = loadCredentials(d.cfg.DataDir); err != nil {
		return err
	}
	if d.httpKeys, err = loadKeys(d.cfg.DataDir); err != nil {
		return err
	}
	d.alone = len(d.id.Standings()) <= 1 || d.id.Swarm().Revoked && !protect.PutOut.Off()
	if d.cfg.Join != "" {
		err = d.joinAtStart(ctx, name)
	}
	if err == nil && name != "" && name != d.id.Name() {
		d.calledOtherwise(name)
	}
	return err
}

// joinAtStart uses the token of --join. What has joined once goes on to be started with it, by a unit of systemd or a script: a
// member stays one, whatever the token is.
func (d *Daemon) joinAtStart(ctx context.Context, name string) error {
	r, err := d.id.Join(ctx, d.cfg.Join, name)
	stays := len(d.id.Members()) > 1 || d.id.Swarm().Revoked && errors.Is(err, identity.ErrRevoked) // what runs can be told to leave
	switch {
	case errors.Is(err, identity.ErrUnreachable) && stays: // it may be the own swarm's, under a new key
		d.log.Warn("the inviter of the join token is asked again", "swarm", d.id.Swarm().Name, "err", err)
		d.finds = true
	case err != nil && stays:
		d.log.Warn("the join token is ignored", "swarm", d.id.Swarm().Name, "err", err)
	case err != nil:
		return identityError(err)
	case r.Already:
		d.log.Info("a member of the join token's swarm already", "swarm", r.Swarm.Name)
		d.finds = r.Inviter.Node != d.id.NodeID()
	default:
		d.log.Info("joined", "swarm", r.Swarm.Name, "by", r.Inviter.Name)
	}
	return nil
}

// startFabric starts the fabric alone: what others might mistake for this node's store comes once
// it is clear that nobody else is this node.
func (d *Daemon) startFabric(_ context.Context, up *lifeline) error {
	f, err := fabric.New(fabric.Config{
		ID: d.id.NodeID(),
		// One name for all: what keeps swarms apart is the roster. A name of its own for each
		// swarm would mean a new server, and cut clients, when a node joins.
		SwarmID:      "mycoswarm",
		ClientListen: cmp.Or(d.cfg.BusListen, config.BusListen), NextFreeClient: d.cfg.BusListen == "",
		FabricListen: cmp.Or(d.cfg.FabricListen, config.FabricListen), NextFreeFabric: d.cfg.FabricListen == "",
		TLS: d.id.RouteTLS(), Pinned: d.id.Pinned(),
		UserKey: d.keys.user, ObserverKey: d.keys.observer, Logger: d.log,
	})
	if err != nil {
		return err
	}
	if err := f.Start(); err != nil {
		return err
	}
	d.fabric = f
	up.later(f.Shutdown)
	if d.rpc, err = f.Conn("daemon"); err != nil {
		return err
	}
	up.later(d.rpc.Close)
	return nil
}

// startStore starts the store, a leaf of the fabric.
func (d *Daemon) startStore(ctx context.Context, up *lifeline) error {
	s, err := store.New(store.Config{
		ID: d.id.NodeID(), Dir: filepath.Join(d.cfg.DataDir, "store"),
		LeafURL: d.fabric.LeafURL(), LeafSeed: d.fabric.LeafSeed(), Logger: d.log,
		Reached: func() bool { return d.fabric.Reaches(d.id.NodeID()) },
	})
	if err != nil {
		return err
	}
	if err := s.Start(ctx); err != nil {
		return err
	}
	d.store = s
	up.later(s.Shutdown)
	return nil
}

// startMachine starts what looks at this machine.
func (d *Daemon) startMachine(ctx context.Context, up *lifeline) error {
	d.detector = node.NewDetector(node.Config{Logger: d.log})
	up.run(ctx, "detect hardware", d.detector.Run)
	var err error
	d.engines, err = engine.NewWatcher(engineConfig(d.cfg), d.log)
	if err != nil {
		return err
	}
	up.run(ctx, "watch engines", d.engines.Run)
	return nil
}

func engineConfig(c config.Config) engine.Config {
	return engine.Config{URLs: c.Engines, Keys: c.EngineKeys, NoDemo: c.NoDemoEngine}
}

// startAnswering starts everything that others talk to.
func (d *Daemon) startAnswering(ctx context.Context, up *lifeline) error {
	var err error
	d.join, err = listen(ctx, d.log, "--join-listen", d.cfg.JoinListen, config.JoinListen)
	if err != nil {
		return err
	}
	up.run(ctx, "take in nodes", func(ctx context.Context) error {
		return d.id.ServeJoin(ctx, d.join, d.fabricAddrs)
	})
	d.http, err = listen(ctx, d.log, "--http-listen", d.cfg.HTTPListen, config.HTTPListen)
	if err != nil {
		return err
	}
	if err := d.listenAsOllama(ctx, up); err != nil {
		return err
	}
	if err := d.listenTLS(ctx, up); err != nil {
		return err
	}
	srv, err := d.httpServer(ctx)
	if err != nil {
		return err
	}
	if err := d.startRPC(ctx, up); err != nil {
		return err
	}
	if err := d.startTable(ctx, up); err != nil {
		return err
	}
	d.serveHTTP(ctx, up, srv)
	return nil
}

// Times of settle.
const (
	settleLimit = 1500 * time.Millisecond
	settlePoll  = 5 * time.Millisecond
)

// settle waits until the node is of use: there is a queue host, the engines were looked at, and
// a member with a swarm to go to has heard of it. A swarm whose others are away is no reason to
// wait for long.
func (d *Daemon) settle(ctx context.Context, limit time.Duration) {
	end := time.NewTimer(limit)
	defer end.Stop()
	tick := time.NewTicker(settlePoll)
	defer tick.Stop()
	for !d.settled() {
		select {
		case <-tick.C:
		case <-end.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

func (d *Daemon) settled() bool {
	if set, _ := d.engines.Watch(); set == nil || d.swarm().QueueHost == "" {
		return false
	}
	if len(d.id.Members()) == 1 {
		return true
	}
	for _, n := range d.nodes() {
		if n.ID != d.id.NodeID() && n.State == bus.NodeReady && len(n.Types) > 0 {
			return true
		}
	}
	return false
}
