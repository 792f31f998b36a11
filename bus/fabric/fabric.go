package fabric

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/bus/internal/natslog"
	"github.com/mycoswarm/mycoswarm/internal/neterr"
	"github.com/mycoswarm/mycoswarm/internal/protect"
)

const (
	startLimit   = 10 * time.Second // for the listeners to be up
	startPoll    = time.Millisecond
	nextFree     = 100 // ports tried after a taken one
	routePing    = time.Second
	routePings   = 2               // unanswered: a frozen peer is out after about 3 s
	handshake    = 2 * time.Second // of a route; see reload
	slowReload   = time.Second
	authTimeout  = 10   // seconds
	dialReports  = 3600 // dials, of which one that fails is logged
	dialAttempts = 600  // of a route learnt from a peer: about ten minutes and more
	reconnect    = 20 * time.Millisecond
)

// Fabric is this node's routed NATS server. Its methods may be called concurrently.
type Fabric struct {
	cfg       Config
	log       *slog.Logger
	keys      *keyring
	handshake time.Duration // that a route may take for it
	closed    chan struct{} // see RouteClosed

	changing  sync.Mutex      // held while srv starts, ends, or takes other options; see reload
	opts      *server.Options // what srv runs with, real ports filled in
	peers     []Peer          // what opts.Routes was made from
	pinned    pins            // see Config.Pinned
	rotations int             // of the clients' keys, since New

	mu       sync.Mutex     // held for a moment only, under changing where srv changes
	srv      *server.Server // nil before Start and after Shutdown
	guard    *guard         // of srv
	leafPort int            // of the last start; 0 before
}

// New returns a Fabric that is not running yet, or an Error with CodeInvalid.
func New(c Config) (*Fabric, error) {
	c = c.withDefaults()
	if err := c.Validate(); err != nil {
		return nil, err
	}
	k, err := newKeyring()
	if err != nil {
		return nil, err
	}
	return &Fabric{cfg: c, log: c.Logger, keys: k, handshake: handshake, closed: make(chan struct{}, 1)}, nil
}

// Start binds the listeners and returns when the server takes connections. A port that is taken
// is an Error with CodeUnavailable, unless the Config lets it give way to the next.
func (f *Fabric) Start() error {
	f.changing.Lock()
	defer f.changing.Unlock()
	if f.server() != nil {
		return bus.Errorf(bus.CodeInternal, "fabric: started twice")
	}
	return f.startLocked()
}

func (f *Fabric) startLocked() error {
	chost, cport, err := splitListen(f.cfg.ClientListen)
	if err != nil {
		return err
	}
	rhost, rport, err := splitListen(f.cfg.FabricListen)
	if err != nil {
		return err
	}
	p := ports{client: cport, route: rport, leaf: f.leafPort}
	for {
		opts, err := f.options(chost, rhost, p)
		if err != nil {
			return err
		}
		if err = f.try(opts); err == nil {
			break
		}
		var taken *takenError
		if !errors.As(err, &taken) {
			return err
		}
		switch {
		case taken.what == leafPort && p.leaf != 0:
			p.leaf = 0
		case taken.what == routePort && f.cfg.NextFreeFabric && p.route < min(rport+nextFree, 65535):
			p.route++
		case taken.what == clientPort && f.cfg.NextFreeClient && p.client < min(cport+nextFree, 65535):
			p.client++
		default:
			return taken.explain()
		}
	}
	if p.client != cport {
		f.log.Warn("client port is taken, using another", "wanted", cport, "using", p.client)
	}
	if p.route != rport {
		f.log.Warn("fabric port is taken, using another", "wanted", rport, "using", p.route)
	}
	return nil
}

// Run starts the server, unless it runs already, and shuts it down when ctx is done.
func (f *Fabric) Run(ctx context.Context) error {
	if f.server() == nil {
		if err := f.Start(); err != nil {
			return err
		}
	}
	<-ctx.Done()
	f.Shutdown()
	return nil
}

// Shutdown ends the server and returns when all its goroutines have ended. Connections from
// Conn must be closed by their owners: they would try to reconnect for ever.
func (f *Fabric) Shutdown() {
	f.changing.Lock()
	defer f.changing.Unlock()
	f.mu.Lock()
	s := f.srv
	f.srv = nil
	f.mu.Unlock()
	if s != nil {
		s.Shutdown()
		s.WaitForShutdown()
	}
}

// ports are those to bind; 0 for any.
type ports struct{ client, route, leaf int }

func (f *Fabric) options(clientHost, routeHost string, p ports) (*server.Options, error) {
	acc, err := newAccount(f.cfg.ID)
	if err != nil {
		return nil, err
	}
	pinned := f.cfg.Pinned
	if protect.Pins.Off() {
		pinned = nil
	}
	ping := routePing
	if protect.RoutePing.Off() {
		ping = time.Hour
	}
	shake := f.handshake
	if protect.Handshake.Off() {
		shake = authTimeout * time.Second
	}
	return &server.Options{
		ServerName: string(f.cfg.ID),
		Host:       clientHost,
		Port:       random(p.client),
		NoSigs:     true,
		NoLog:      true,
		// A node that is switched off is told of once, and then about hourly, not each second.
		ConnectErrorReports:   dialReports,
		ReconnectErrorReports: dialReports,
		Accounts:              []*server.Account{acc},
		Nkeys:                 known(f.cfg, f.keys, acc),
		FeatureFlags:          map[string]bool{server.FeatureFlagJsAckFormatV2: true},
		Cluster: server.ClusterOpts{
			Name:           f.cfg.SwarmID,
			Host:           routeHost,
			Port:           random(p.route),
			NoAdvertise:    true, // clients are local: do not tell them of other nodes' ports
			TLSConfig:      f.cfg.TLS.Clone(),
			TLSTimeout:     shake.Seconds(),
			TLSPinnedCerts: pinned,
			AuthTimeout:    authTimeout,
			PoolSize:       -1,
			PingInterval:   ping,
			MaxPingsOut:    routePings,
			ConnectRetries: dialAttempts,
		},
		LeafNode: server.LeafNodeOpts{
			Host:        "127.0.0.1",
			Port:        random(p.leaf),
			NoAdvertise: true,
			AuthTimeout: authTimeout,
			Compression: server.CompressionOpts{Mode: server.CompressionOff},
		},
	}, nil
}

// random turns port 0, which means "any", into what the server takes for it; there 0 means none.
func random(port int) int {
	if port == 0 {
		return server.RANDOM_PORT
	}
	return port
}

// try starts a server. On success the real ports are in f.opts.
func (f *Fabric) try(opts *server.Options) error {
	o := opts.Clone()
	s, err := server.NewServer(o)
	if err != nil {
		return fmt.Errorf("set up the fabric: %w", err)
	}
	g := install(s, o, f.cfg, f.keys)
	log := natslog.New(f.log.With("server", "fabric"))
	s.SetLoggerV2(routeLog{log, f.closed}, false, false, false)
	s.Start()
	if err := await(s, opts, log.Fatal()); err != nil {
		s.Shutdown()
		s.WaitForShutdown()
		return err
	}
	log.Started()
	opts.Port = s.Addr().(*net.TCPAddr).Port
	opts.Cluster.Port = s.ClusterAddr().Port
	opts.LeafNode.Port = o.LeafNode.Port // written by Start, in this goroutine
	f.opts, f.peers, f.pinned = opts, nil, pins{keys: opts.Cluster.TLSPinnedCerts}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.srv, f.guard, f.leafPort = s, g, o.LeafNode.Port
	return nil
}

// await returns when the listeners are up, or with the first error. It waits for the route
// listener even where another failed: a shutdown in between would leave it open.
func await(s *server.Server, o *server.Options, fatal <-chan error) error {
	tick := time.NewTicker(startPoll)
	defer tick.Stop()
	limit := time.NewTimer(startLimit)
	defer limit.Stop()
	var failed error
	routeFailed := false
	for {
		routed := s.ClusterAddr() != nil || routeFailed
		if routed && failed != nil {
			return failed
		}
		if routed && s.Addr() != nil {
			select {
			case err := <-fatal: // the leaf listener's, which comes before
				_, err = startError(err, o)
				return err
			default:
				return nil
			}
		}
		select {
		case err := <-fatal:
			what, err := startError(err, o)
			routeFailed = routeFailed || what == routePort
			if failed == nil {
				failed = err
			}
		case <-tick.C:
		case <-limit.C:
			if failed != nil {
				return failed
			}
			return bus.Errorf(bus.CodeUnavailable, "the fabric did not come up within %v", startLimit)
		}
	}
}

// The listeners, as the server's errors name them.
const (
	clientPort = "port"
	routePort  = "router port"
	leafPort   = "leafnode port"
)

// startError tells which listener failed, by the format of the server's message.
func startError(err error, o *server.Options) (what string, _ error) {
	what = clientPort
	host, port, flag := o.Host, o.Port, "--bus-listen"
	var fe *natslog.FatalError
	switch {
	case errors.As(err, &fe) && strings.Contains(fe.Format, routePort):
		what, host, port, flag = routePort, o.Cluster.Host, o.Cluster.Port, "--fabric-listen"
	case fe != nil && strings.Contains(fe.Format, leafPort):
		what, host, port = leafPort, o.LeafNode.Host, o.LeafNode.Port
	}
	if !neterr.InUse(err) {
		return what, bus.Errorf(bus.CodeUnavailable, "start the fabric: %w", err).
			WithHint("check the address: mycod %s HOST:PORT", flag)
	}
	return what, &takenError{what: what, addr: net.JoinHostPort(host, strconv.Itoa(port)), flag: flag, cause: err}
}

// takenError tells that another program has the port.
type takenError struct {
	what, addr, flag string
	cause            error
}

func (e *takenError) Error() string { return "address " + e.addr + " is in use" }
func (e *takenError) Unwrap() error { return e.cause }

func (e *takenError) explain() error {
	return bus.Errorf(bus.CodeUnavailable, "address %s is in use by another program: %w", e.addr, e.cause).
		WithHint("stop that program, or give another address: mycod %s HOST:PORT (port 0 takes any)", e.flag)
}

func (f *Fabric) server() *server.Server {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.srv
}

var errNotRunning = bus.Errorf(bus.CodeUnavailable, "the fabric is not running")

// ClientURL is the URL that clients of this machine connect to; "" when not running.
func (f *Fabric) ClientURL() string {
	s := f.server()
	if s == nil {
		return ""
	}
	a := s.Addr().(*net.TCPAddr)
	host := a.IP.String()
	if a.IP.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "nats://" + net.JoinHostPort(host, strconv.Itoa(a.Port))
}

// FabricAddr is HOST:PORT where routes are taken; "" when not running.
func (f *Fabric) FabricAddr() string {
	s := f.server()
	if s == nil {
		return ""
	}
	return s.ClusterAddr().String()
}

// LeafURL is where the own store connects, on loopback, and LeafSeed the nkey seed that it proves
// itself with; "" when not running. The seed is new at every New and must not be written down.
func (f *Fabric) LeafURL() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.srv == nil {
		return ""
	}
	return "nats://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(f.leafPort))
}

// LeafSeed is the nkey seed of the own store; see LeafURL.
func (f *Fabric) LeafSeed() string { return f.keys.leafSeed }

// Conn returns a new connection within the process, with full rights. It reconnects for ever;
// its owner closes it. name shows in the server's list of connections.
func (f *Fabric) Conn(name string, opts ...nats.Option) (*nats.Conn, error) {
	if f.server() == nil {
		return nil, errNotRunning
	}
	base := []nats.Option{
		nats.InProcessServer(f),
		nats.Name(name),
		nats.Nkey(f.keys.daemonPub, f.keys.daemon.Sign),
		nats.Timeout(startLimit), // a machine may be busy, above all as it starts: the daemon does not start without
		nats.MaxReconnects(-1),
		nats.ReconnectWait(reconnect),
		natslog.Errors(f.log, "fabric "+name),
	}
	nc, err := nats.Connect("", append(base, opts...)...)
	if err != nil {
		return nil, fmt.Errorf("connect %s to the fabric: %w", name, err)
	}
	return nc, nil
}

// Interest reports whether anybody in the swarm listens to subject at present, as far as this
// node knows: a subscription made on it is seen at once, one made on another node a moment later.
func (f *Fabric) Interest(subject string) bool {
	s := f.server()
	if s == nil {
		return false
	}
	acc, err := s.LookupAccount(account)
	return err == nil && acc.SubscriptionInterest(subject)
}

// reached is what a store listens to. The server makes a subscription of each (2.15,
// generateJSMappingTable), and tells other nodes of one after the other, in any order.
var reached = []string{"INFO", "STREAM.X", "CONSUMER.X", "DIRECT.X", "META.X", "SERVER.X", "ACCOUNT.X", "$KV.X", "$OBJ.X"}

// Reaches reports whether requests made here reach the store of node id. After the start of a
// store, of the own too, that takes some milliseconds.
func (f *Fabric) Reaches(id bus.NodeID) bool {
	for _, call := range reached {
		if !f.Interest("$JS." + string(id) + ".API." + call) {
			return false
		}
	}
	return f.Interest(bus.SubjectStoreCall(id, "INFO"))
}

// InProcessConn implements nats.InProcessConnProvider on whichever server runs at present. Use
// Conn for a connection that may do anything.
func (f *Fabric) InProcessConn() (net.Conn, error) {
	s := f.server()
	if s == nil {
		return nil, errNotRunning
	}
	return s.InProcessConn()
}
