//go:build linux

package harness

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/netns"
	"github.com/mycoswarm/mycoswarm/internal/protect"
)

// Swarm is a set of daemons that a test starts, on loopback or as hosts on a LAN.
type Swarm struct {
	bin     Binaries
	dir     string
	lan     *netns.LAN
	without string // what its daemons lack, beside MYCO_WITHOUT
}

// Without has the daemons of machines that are made from now on run without protections.
func (s *Swarm) Without(t testing.TB, ps ...protect.Protection) {
	t.Helper()
	if err := s.bin.Lab(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, p := range ps {
		s.without += protect.Separator + string(p)
	}
}

// New returns a set without daemons, on loopback: static peers, every port free.
func New(t testing.TB, bin Binaries) *Swarm {
	t.Helper()
	return &Swarm{bin: bin, dir: folder(t)}
}

// EnvKeep names a folder below which the folders of all nodes stay, with their logs.
const EnvKeep = "MYCO_E2E_KEEP"

func folder(t testing.TB) string {
	t.Helper()
	keep := os.Getenv(EnvKeep)
	if keep == "" {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp(keep, strings.ReplaceAll(t.Name(), "/", "-")+"-*") //nolint:usetesting // it stays
	if err != nil {
		t.Fatalf("make a folder in %s: %v", keep, err)
	}
	t.Logf("everything of this swarm stays in %s", dir)
	return dir
}

// NewLAN returns a set without daemons whose nodes are hosts on a LAN of their own, with
// default ports and mDNS.
func NewLAN(t testing.TB, bin Binaries) *Swarm {
	t.Helper()
	s := New(t, bin)
	lan, err := netns.NewLAN(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lan.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	s.lan = lan
	return s
}

// EngineAddr is where a scripted engine listens so that every node reaches it.
func (s *Swarm) EngineAddr() string {
	if s.lan != nil {
		return s.lan.Gateway().String() + ":0"
	}
	return "127.0.0.1:0"
}

// Node is one machine of the swarm: its folders, and the daemon that runs there at present.
type Node struct {
	*Process
	Name string
	// Dir is the daemon's data directory, Home its user's home.
	Dir, Home string
	Host      *netns.Host // nil on loopback
	Info      bus.DaemonInfo
	// Demo lets the daemon use its built-in model.
	Demo bool
	// Stdin is what the next daemon reads from its standard input.
	Stdin string

	s   *Swarm
	bin Binaries
	log string
}

// Use has n run other programs from its next start on.
func (n *Node) Use(bin Binaries) { n.bin = bin }

// Node makes a machine without starting its daemon.
func (s *Swarm) Node(t testing.TB, name string) *Node {
	t.Helper()
	home := filepath.Join(s.dir, name)
	n := &Node{Name: name, Home: home, Dir: filepath.Join(home, "data"), s: s, bin: s.bin, log: filepath.Join(home, "mycod.log")}
	if err := os.MkdirAll(n.Temp(), 0o700); err != nil {
		t.Fatal(err)
	}
	if s.lan != nil {
		h, err := s.lan.Add(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		n.Host = h
	}
	return n
}

// Found starts the daemon of a new machine that founds a swarm.
func (s *Swarm) Found(t testing.TB, name string, args ...string) *Node {
	t.Helper()
	n := s.Node(t, name)
	n.Start(t, args...)
	return n
}

// Join starts the daemon of a new machine that joins the swarm of by.
func (s *Swarm) Join(t testing.TB, by *Node, name string, args ...string) *Node {
	t.Helper()
	n := s.Node(t, name)
	n.Start(t, append([]string{"--join", by.Invite(t)}, args...)...)
	return n
}

// Flags are the flags that every daemon of n's kind gets.
func (n *Node) Flags() []string {
	flags := []string{"--data-dir", n.Dir, "--name", n.Name}
	if !n.Demo {
		flags = append(flags, "--no-demo-engine")
	}
	if n.Host == nil {
		flags = append(flags, "--no-mdns", "--bus-listen", "127.0.0.1:0", "--fabric-listen", "127.0.0.1:0",
			"--join-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0")
	}
	return flags
}

// Reachable are flags that let this process dial the daemon of a host on a LAN.
func (n *Node) Reachable() []string {
	if n.Host == nil {
		return nil
	}
	return []string{"--bus-listen", n.Host.Addr.String() + ":4222"}
}

// Temp is the folder for temporary files that n's processes are given.
func (n *Node) Temp() string { return filepath.Join(n.Home, "tmp") }

// Start starts n's daemon and returns once it answers. args come after Flags.
func (n *Node) Start(t testing.TB, args ...string) {
	t.Helper()
	n.Launch(t, args...)
	n.Up(t)
}

// Launch starts n's daemon and returns at once.
func (n *Node) Launch(t testing.TB, args ...string) {
	t.Helper()
	argv := n.command(n.bin.Mycod, append(n.Flags(), args...)...)
	if n.Process != nil {
		n.mute.Store(true) // the log is one, and the next process shows it
	}
	n.Process = Launch(t, n.log, n.env(), argv, n.Stdin)
}

// Up waits until n's daemon answers its own user.
func (n *Node) Up(t testing.TB) {
	t.Helper()
	Poll(t, Patience, n.Name+" comes up", func() string {
		select {
		case <-n.Exited():
			t.Fatalf("%s ended with exit code %d instead of coming up:\n%s", n.Name, n.cmd.ProcessState.ExitCode(), n.Log(40))
		default:
		}
		b, err := os.ReadFile(filepath.Join(n.Dir, bus.DaemonFile))
		if err != nil {
			return err.Error()
		}
		if err := json.Unmarshal(b, &n.Info); err != nil {
			return err.Error()
		}
		if n.Info.PID != n.PID() {
			return "daemon.json is of an earlier daemon"
		}
		return ""
	})
	Poll(t, Patience, n.Name+" answers", func() string {
		if r := n.Myco(t, "swarm", "--json"); r.Code != 0 {
			return r.String()
		}
		return ""
	})
}

// Stop ends n's daemon in good order.
func (n *Node) Stop(t testing.TB) {
	t.Helper()
	if err := n.Signal(syscall.SIGTERM); err != nil {
		t.Fatalf("stop %s: %v", n.Name, err)
	}
	code, err := n.Wait(Patience)
	if err != nil || code != 0 {
		t.Fatalf("%s: stopped with exit code %d, error %v, want 0\n%s", n.Name, code, err, n.Log(40))
	}
}

// Mycod runs the daemon program to its end: for what it refuses.
func (n *Node) Mycod(t testing.TB, args ...string) Result {
	t.Helper()
	return Run(t.Context(), t, n.Home, n.env(), n.command(n.bin.Mycod, args...), "")
}

// Myco runs the CLI as n's user does.
func (n *Node) Myco(t testing.TB, args ...string) Result {
	t.Helper()
	return n.MycoIn(t, "", args...)
}

// MycoIn runs the CLI with stdin.
func (n *Node) MycoIn(t testing.TB, stdin string, args ...string) Result {
	t.Helper()
	env := append(n.env(), bus.EnvDataDir+"="+n.Dir)
	return Run(t.Context(), t, n.Home, env, n.command(n.bin.Myco, args...), stdin)
}

// JSON runs the CLI with --json, wants exit code 0, and decodes what it prints into v.
func (n *Node) JSON(t testing.TB, v any, args ...string) Result {
	t.Helper()
	r := n.Myco(t, append(args, "--json")...)
	if r.Code != 0 {
		t.Fatalf("%s", r)
	}
	if err := json.Unmarshal([]byte(r.Stdout), v); err != nil {
		t.Fatalf("decode: %v\n%s", err, r)
	}
	return r
}

// LaunchMyco starts the CLI as n's user does, and returns at once.
func (n *Node) LaunchMyco(t testing.TB, args ...string) *Process {
	t.Helper()
	env := append(n.env(), bus.EnvDataDir+"="+n.Dir)
	return Launch(t, filepath.Join(n.Home, "myco.log"), env, n.command(n.bin.Myco, args...), "")
}

// Invite returns a token of n's swarm.
func (n *Node) Invite(t testing.TB, args ...string) string {
	t.Helper()
	var inv bus.Invitation
	n.JSON(t, &inv, append([]string{"invite"}, args...)...)
	return inv.Token
}

// Dial connects to n's daemon as a program of its machine does. On a LAN the daemon must listen
// for programs at its address there (see Reachable).
func (n *Node) Dial(t testing.TB) *bus.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	c, err := bus.Dial(ctx, bus.WithDataDir(n.Dir), bus.WithName("e2e"))
	if err != nil {
		t.Fatalf("dial %s: %v", n.Name, err)
	}
	t.Cleanup(c.Close)
	return c
}

func (n *Node) command(name string, args ...string) []string {
	if n.Host != nil {
		return n.Host.Command(name, args...)
	}
	return append([]string{name}, args...)
}

// env is a user's environment without anything of this machine's user: no engine is found
// but those that the test names. A daemon of the lab reads there what is taken out.
func (n *Node) env() []string {
	return []string{protect.Env + "=" + os.Getenv(protect.Env) + n.s.without, "PATH=" + os.Getenv("PATH"), "HOME=" + n.Home, "TMPDIR=" + n.Temp(), "LANG=C.UTF-8", "OLLAMA_HOST=127.0.0.1:9", "NO_COLOR=1"}
}

// View is what `myco swarm --json` prints.
type View struct {
	Swarm bus.SwarmInfo  `json:"swarm"`
	Nodes []bus.NodeInfo `json:"nodes"`
}

// Ready tells how many nodes are ready.
func (v View) Ready() int {
	k := 0
	for _, n := range v.Nodes {
		if n.State == bus.NodeReady {
			k++
		}
	}
	return k
}

// Node returns the node of that name; the zero NodeInfo where there is none.
func (v View) Node(name string) bus.NodeInfo {
	for _, n := range v.Nodes {
		if n.Name == name {
			return n
		}
	}
	return bus.NodeInfo{}
}

// View asks n what it sees.
func (n *Node) View(t testing.TB) View {
	t.Helper()
	var v View
	n.JSON(t, &v, "swarm")
	return v
}

// Settle waits until every one of nodes sees all of them ready, under one queue host, and
// returns that host.
func Settle(t testing.TB, nodes ...*Node) *Node {
	t.Helper()
	var host bus.NodeID
	Poll(t, Patience, "the swarm settles", func() string {
		host = ""
		for _, n := range nodes {
			v := n.View(t)
			if v.Ready() != len(nodes) || v.Swarm.QueueHost == "" || host != "" && host != v.Swarm.QueueHost {
				j, _ := json.Marshal(v) // it came from JSON
				return n.Name + " sees " + string(j)
			}
			host = v.Swarm.QueueHost
		}
		return ""
	})
	for _, n := range nodes {
		if n.Info.NodeID == host {
			return n
		}
	}
	t.Fatalf("the queue host %s is none of the nodes", host)
	return nil
}
