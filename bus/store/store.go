package store

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/bus/internal/natslog"
	"github.com/mycoswarm/mycoswarm/internal/protect"
)

const (
	startPoll = time.Millisecond
	redial    = 50 * time.Millisecond
	dialLimit = 10 * time.Second // for the server to answer within this process: the machine may be busy
	maxMemory = 1 << 30          // bytes of the streams in memory, the work queue among them
)

// Config says how a Store is set up.
type Config struct {
	// ID is this node; it is the JetStream domain.
	ID bus.NodeID
	// Dir holds the streams, a lock and a version. It is made, mode 0700, if need be.
	Dir string
	// LeafURL and LeafSeed are where the fabric takes this store, and its nkey seed there.
	LeafURL, LeafSeed string
	// Reached reports whether the fabric's clients reach this store: what it listens to, the fabric
	// hears of a little later. Start waits for it; nil is not waited for.
	Reached func() bool
	// MaxStoreBytes bounds the streams on disk; default 16 GiB.
	MaxStoreBytes int64
	// StartLimit is how long Start may take to reach the fabric once the streams are read back, which takes
	// as long as the disk does; default 30 s.
	StartLimit time.Duration
	// Logger gets the server's log; default slog.Default().
	Logger *slog.Logger
}

// Validate returns an Error with CodeInvalid for a Config that no Store can run with.
func (c Config) Validate() error {
	if err := c.ID.Validate(); err != nil {
		return err
	}
	if c.Dir == "" {
		return bus.Errorf(bus.CodeInvalid, "store: no directory")
	}
	u, err := url.Parse(c.LeafURL)
	if err != nil || u.Host == "" {
		return bus.Errorf(bus.CodeInvalid, "store: leaf URL %q is not a URL", c.LeafURL)
	}
	if c.MaxStoreBytes < 0 {
		return bus.Errorf(bus.CodeInvalid, "store: the limit is negative")
	}
	return nil
}

func (c Config) withDefaults() Config {
	if c.MaxStoreBytes == 0 {
		c.MaxStoreBytes = 16 << 30
	}
	if c.StartLimit == 0 {
		c.StartLimit = 30 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// Store is this node's JetStream server. Its methods may be called concurrently.
type Store struct {
	cfg Config
	log *slog.Logger

	mu   sync.Mutex
	srv  *server.Server // nil before Start and after Shutdown
	nc   *nats.Conn
	js   jetstream.JetStream
	lock *dirLock
}

// New returns a Store that is not running yet, or an Error with CodeInvalid.
func New(c Config) (*Store, error) {
	c = c.withDefaults()
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return &Store{cfg: c, log: c.Logger}, nil
}

// Start locks the directory, opens the streams in it, connects to the fabric and makes the
// bucket of peers. Its Errors: CodeConflict where another process has the directory or a newer
// version wrote it, CodeForbidden where it cannot be used, CodeUnavailable where
// the fabric is not reached.
func (s *Store) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.srv != nil {
		return bus.Errorf(bus.CodeInternal, "store: started twice")
	}
	lock, err := openDir(s.cfg.Dir)
	if err != nil {
		return err
	}
	s.lock = lock
	if err := s.start(ctx); err != nil {
		s.stopLocked()
		return err
	}
	return nil
}

func (s *Store) start(ctx context.Context) error {
	opts, err := s.options()
	if err != nil {
		return err
	}
	srv, err := server.NewServer(opts)
	if err != nil {
		return fmt.Errorf("set up the store: %w", err)
	}
	log := natslog.New(s.log.With("server", "store"))
	srv.SetLoggerV2(log, false, false, false)
	s.srv = srv
	srv.Start()
	select {
	case err := <-log.Fatal():
		return bus.Errorf(bus.CodeUnavailable, "open the store in %s: %w", s.cfg.Dir, err).
			WithHint("give this user the right, and room, to write there, or use another: mycod --data-dir DIR")
	default:
		log.Started()
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.StartLimit)
	defer cancel()
	if err := s.connect(); err != nil {
		return err
	}
	if err := s.await(ctx, func() bool { return s.srv.NumLeafNodes() > 0 }); err != nil {
		return err
	}
	_, err = s.js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket:      bus.BucketPeers,
		Description: "the nodes of the swarm, as this one hears them",
		Storage:     jetstream.MemoryStorage,
	})
	if err != nil {
		return fmt.Errorf("make the bucket of peers: %w", err)
	}
	if err := s.serveCalls(); err != nil {
		return err
	}
	if s.cfg.Reached == nil {
		return nil
	}
	return s.await(ctx, s.cfg.Reached)
}

func (s *Store) options() (*server.Options, error) {
	u, err := url.Parse(s.cfg.LeafURL)
	if err != nil {
		return nil, bus.Errorf(bus.CodeInvalid, "store: leaf URL: %w", err)
	}
	off := server.CompressionOpts{Mode: server.CompressionOff}
	return &server.Options{
		ServerName:             string(s.cfg.ID) + "-store",
		DontListen:             true,
		NoSigs:                 true,
		NoLog:                  true,
		JetStream:              true,
		JetStreamDomain:        string(s.cfg.ID),
		JetStreamMaxStore:      s.cfg.MaxStoreBytes,
		JetStreamMaxMemory:     maxMemory,
		DisableJetStreamBanner: true,
		StoreDir:               s.cfg.Dir,
		SyncAlways:             !protect.Sync.Off(),
		FeatureFlags:           map[string]bool{server.FeatureFlagJsAckFormatV2: true},
		LeafNode: server.LeafNodeOpts{
			ReconnectInterval: redial,
			Compression:       off,
			Remotes: []*server.RemoteLeafOpts{{
				URLs:                    []*url.URL{u},
				Nkey:                    s.cfg.LeafSeed,
				Compression:             off,
				NoRandomize:             true,
				IgnoreDiscoveredServers: true, // only ever the own fabric
			}},
		},
	}, nil
}

func (s *Store) connect() error {
	nc, err := s.dial("store")
	if err != nil {
		return err
	}
	s.nc = nc
	if s.js, err = jetstream.New(nc, jetstream.WithDefaultTimeout(time.Minute)); err != nil { // of a slow disk
		return fmt.Errorf("use the store: %w", err)
	}
	return nil
}

func (s *Store) dial(name string, opts ...nats.Option) (*nats.Conn, error) {
	base := []nats.Option{
		nats.InProcessServer(s.srv),
		nats.Name(name),
		nats.Timeout(dialLimit),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(redial),
		natslog.Errors(s.log, "store "+name),
	}
	nc, err := nats.Connect("", append(base, opts...)...)
	if err != nil {
		return nil, fmt.Errorf("connect %s to the store: %w", name, err)
	}
	return nc, nil
}

// await waits for cond, which is of the store and its fabric.
func (s *Store) await(ctx context.Context, cond func() bool) error {
	tick := time.NewTicker(startPoll)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return bus.Errorf(bus.CodeUnavailable, "the store did not reach its fabric at %s: %w", s.cfg.LeafURL, ctx.Err())
		}
	}
	return nil
}

// Run starts the store, unless it runs already, and shuts it down when ctx is done.
func (s *Store) Run(ctx context.Context) error {
	s.mu.Lock()
	running := s.srv != nil
	s.mu.Unlock()
	if !running {
		if err := s.Start(ctx); err != nil {
			return err
		}
	}
	<-ctx.Done()
	s.Shutdown()
	return nil
}

// Shutdown ends the server, returns when all its goroutines have ended, and unlocks the
// directory. Connections from Conn must be closed by their owners.
func (s *Store) Shutdown() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopLocked()
}

func (s *Store) stopLocked() {
	if s.nc != nil {
		s.nc.Close()
	}
	if s.srv != nil {
		s.srv.Shutdown()
		s.srv.WaitForShutdown()
	}
	if s.lock != nil {
		if err := s.lock.unlock(); err != nil {
			s.log.Warn("unlock the store", "dir", s.cfg.Dir, "error", err)
		}
	}
	s.nc, s.js, s.srv, s.lock = nil, nil, nil, nil
}

var errNotRunning = bus.Errorf(bus.CodeUnavailable, "the store is not running")

// Conn returns a new connection within the process, straight to this store: without the fabric's
// hop, but also without the fabric's subjects, save what the streams here capture or anybody
// here listens to. Its owner closes it.
func (s *Store) Conn(name string, opts ...nats.Option) (*nats.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.srv == nil {
		return nil, errNotRunning
	}
	return s.dial(name, opts...)
}

// JetStream returns the store's JetStream over its own connection; nil when not running.
func (s *Store) JetStream() jetstream.JetStream {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.js
}

// Peers returns the bucket of peers.
func (s *Store) Peers(ctx context.Context) (jetstream.KeyValue, error) {
	js := s.JetStream()
	if js == nil {
		return nil, errNotRunning
	}
	kv, err := js.KeyValue(ctx, bus.BucketPeers)
	if err != nil {
		return nil, fmt.Errorf("open the bucket of peers: %w", err)
	}
	return kv, nil
}

// Used returns how many bytes the streams have on disk, and in memory.
func (s *Store) Used() (disk, memory uint64, err error) {
	s.mu.Lock()
	srv := s.srv
	s.mu.Unlock()
	if srv == nil {
		return 0, 0, errNotRunning
	}
	info, err := srv.Jsz(nil)
	if err != nil {
		return 0, 0, fmt.Errorf("ask for the size of the streams: %w", err)
	}
	return info.Store, info.Memory, nil
}

// Linked reports whether the store is connected to the fabric at present.
func (s *Store) Linked() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.srv != nil && s.srv.NumLeafNodes() > 0
}
