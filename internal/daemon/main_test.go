package daemon_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/handlers/confine"
	"github.com/mycoswarm/mycoswarm/internal/config"
	"github.com/mycoswarm/mycoswarm/internal/daemon"
)

// TestMain is another program as well: the one that confines plugins, and guards them.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "confine" {
		fmt.Fprintln(os.Stderr, confine.Main(os.Args[2], os.Args[3:]))
		os.Exit(confine.ExitCode)
	}
	// No engine of this machine is found.
	if err := os.Setenv("OLLAMA_HOST", "127.0.0.1:9"); err != nil {
		panic(err)
	}
	// On Windows the system is asked about its processor, once for each daemon, and answers when it likes.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/shirou/gopsutil/v3/internal/common.WMIQueryWithContext.func1"))
}

// limit is how long anything may take that a test waits for.
const limit = 60 * time.Second

const question = "What is the capital of France?"

// node is one daemon in this process.
type node struct {
	*daemon.Daemon
	t    *testing.T
	cfg  config.Config
	conn *bus.Conn

	stop  func() error
	ended chan error
}

// newNode makes a node with a directory of its own, without an engine, that does not run yet.
func newNode(t *testing.T, name string, change ...func(*config.Config)) *node {
	t.Helper()
	self, err := os.Executable()
	check(t, err)
	n := &node{t: t, cfg: config.Config{
		DataDir: t.TempDir(), Confiner: []string{self, "confine"}, Name: name, Version: "0.0.1", NoMDNS: true, NoDemoEngine: true,
		BusListen: "127.0.0.1:0", FabricListen: "127.0.0.1:0", JoinListen: "127.0.0.1:0", HTTPListen: "127.0.0.1:0",
	}}
	for _, c := range change {
		c(&n.cfg)
	}
	return n
}

// start starts a new node and connects to it as its user.
func start(t *testing.T, name string, change ...func(*config.Config)) *node {
	t.Helper()
	n := newNode(t, name, change...)
	n.run()
	return n
}

func withDemo(c *config.Config)             { c.NoDemoEngine = false }
func joining(by *node) func(*config.Config) { return func(c *config.Config) { c.Join = by.invite() } }

func withPeer(addr string) func(c *config.Config) {
	return func(c *config.Config) { c.Peers = []string{addr} }
}

// run runs the node until stop, or the end of the test.
func (n *node) run() {
	n.t.Helper()
	n.launch()
	n.up()
}

// launch is the first half of run: it returns at once.
func (n *node) launch(logs ...*slog.Logger) {
	n.t.Helper()
	log := slog.New(slog.DiscardHandler)
	if len(logs) > 0 {
		log = logs[0]
	} else if os.Getenv("DAEMON_LOG") != "" {
		log = slog.New(slog.NewTextHandler(n.t.Output(), nil)).With("at", n.cfg.Name)
	}
	d, err := daemon.New(n.cfg, daemon.Options{Logger: log})
	check(n.t, err)
	n.Daemon = d
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	stopped := false
	n.stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		if n.conn != nil {
			n.conn.Close()
		}
		cancel()
		select {
		case err := <-ended:
			return err
		case <-time.After(limit):
			return fmt.Errorf("%s does not stop", n.cfg.Name)
		}
	}
	n.ended = ended
	n.t.Cleanup(func() { check(n.t, n.stop()) })
}

// up waits until the node is ready, and connects to it.
func (n *node) up() {
	n.t.Helper()
	select {
	case <-n.Ready():
	case err := <-n.ended:
		n.ended <- err
		n.t.Fatalf("%s ended instead of coming up: %v", n.cfg.Name, err)
	case <-time.After(limit):
		n.t.Fatalf("%s does not come up", n.cfg.Name)
	}
	var err error
	n.conn, err = bus.Dial(n.ctx(), bus.WithDataDir(n.cfg.DataDir))
	check(n.t, err)
}

// refused runs the node and wants it to end with an error of that code.
func (n *node) refused(code bus.Code) *bus.Error {
	n.t.Helper()
	d, err := daemon.New(n.cfg, daemon.Options{})
	if err == nil {
		err = d.Run(n.ctx())
	}
	var e *bus.Error
	if !errors.As(err, &e) || e.Code != code {
		n.t.Fatalf("error %v, want code %s", err, code)
	}
	return e
}

// ctx ends after limit, or with the test.
func (n *node) ctx() context.Context {
	ctx, cancel := context.WithTimeout(n.t.Context(), limit)
	n.t.Cleanup(cancel)
	return ctx
}

func (n *node) invite() string {
	n.t.Helper()
	inv, err := n.conn.Invite(n.ctx(), 0)
	check(n.t, err)
	return inv.Token
}

func (n *node) id() bus.NodeID { return n.Info().NodeID }

// eventually waits until look returns "".
func eventually(t *testing.T, what string, look func() string) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	end := time.After(limit)
	for {
		last := look()
		if last == "" {
			return
		}
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("%s: not within %v: %s", what, limit, last)
		}
	}
}

// settle waits until every node sees all of them ready under one host.
func settle(t *testing.T, nodes ...*node) bus.NodeID {
	t.Helper()
	var host bus.NodeID
	eventually(t, "one swarm", func() string {
		host = ""
		for _, n := range nodes {
			s, err := n.conn.Status(n.ctx())
			check(t, err)
			table, err := n.conn.Nodes(n.ctx())
			check(t, err)
			if ready(s.Nodes) != len(nodes) || ready(table) != len(nodes) || s.Swarm.QueueHost == "" || host != "" && host != s.Swarm.QueueHost {
				return fmt.Sprintf("%s sees %+v, table %+v", n.cfg.Name, s, table)
			}
			host = s.Swarm.QueueHost
		}
		return ""
	})
	return host
}

func ready(nodes []bus.NodeInfo) (k int) {
	for _, n := range nodes {
		if n.State == bus.NodeReady {
			k++
		}
	}
	return k
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
