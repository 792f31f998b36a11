//go:build e2e && linux

package discovery_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/node/discovery"
)

// envChild holds the configuration of a discoverer that this program runs instead of tests.
const envChild = "MYCO_TEST_DISCOVER"

// hold, in its place, makes a child that keeps the port of multicast DNS for itself.
const hold = "hold"

func init() { child = discoverAsChild }

// line is what a child prints.
type line struct {
	Up      bool             `json:",omitempty"`
	Found   *discovery.Found `json:",omitempty"`
	Problem string           `json:",omitempty"`
	Heard   bool             `json:",omitempty"`
}

// discoverAsChild discovers until its standard input ends, and prints what it finds.
func discoverAsChild() bool {
	text := os.Getenv(envChild)
	if text == "" {
		return false
	}
	if text == hold {
		holdAsChild()
		return true
	}
	var cfg discovery.Config
	out := make(chan line, 64)
	must(json.Unmarshal([]byte(text), &cfg))
	cfg.OnFound = func(f discovery.Found) { out <- line{Found: &f} }
	problem := make(chan struct{}, 1)
	cfg.Logger = logTo(problem)
	m, err := discovery.New(cfg)
	must(err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	print := json.NewEncoder(os.Stdout)
	must(print.Encode(line{Up: true}))
	go func() { ended <- m.Run(ctx) }()
	heard := m.Heard()
	for {
		select {
		case l := <-out:
			must(print.Encode(l))
		case <-problem:
			if err := m.Problem(); err != nil {
				must(print.Encode(line{Problem: err.Error()}))
			}
		case <-heard:
			heard = nil
			must(print.Encode(line{Heard: true}))
		case err := <-ended:
			must(err)
			return true
		}
	}
}

// holdAsChild keeps the port until standard input ends.
func holdAsChild() {
	for _, family := range []string{"udp4", "udp6"} {
		conn, err := net.ListenPacket(family, ":5353") // without SO_REUSEADDR
		must(err)
		defer conn.Close()
	}
	must(json.NewEncoder(os.Stdout).Encode(line{Up: true}))
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// network is two network namespaces, a and b, joined by a bridge in a third.
type network struct{ a, b, bridge string }

// newNetwork makes the namespaces, which go by name at the end of the test.
func newNetwork(t testing.TB) network {
	t.Helper()
	prefix := fmt.Sprintf("myco-disc-%d-", os.Getpid())
	n := network{prefix + "a", prefix + "b", prefix + "br"}
	for _, ns := range []string{n.bridge, n.a, n.b} {
		ip(t, "netns", "add", ns)
		t.Cleanup(func() { ip(t, "netns", "del", ns) })
		ip(t, "-n", ns, "link", "set", "lo", "up")
	}
	ip(t, "-n", n.bridge, "link", "add", "br0", "type", "bridge", "forward_delay", "0", "mcast_snooping", "0")
	ip(t, "-n", n.bridge, "link", "set", "br0", "up")
	for i, ns := range []string{n.a, n.b} {
		port := fmt.Sprintf("port%d", i)
		ip(t, "-n", n.bridge, "link", "add", port, "type", "veth", "peer", "name", "veth0", "netns", ns)
		ip(t, "-n", n.bridge, "link", "set", port, "master", "br0", "up")
		ip(t, "-n", ns, "link", "set", "veth0", "addrgenmode", "none", "up")
	}
	return n
}

// address6 gives the nodes IPv6 addresses.
func (n network) address6(t testing.TB) {
	t.Helper()
	ip(t, "-n", n.a, "addr", "add", "fd77::1/64", "dev", "veth0", "nodad")
	ip(t, "-n", n.b, "addr", "add", "fd77::2/64", "dev", "veth0", "nodad")
}

// address gives the nodes IPv4 addresses.
func (n network) address(t testing.TB) {
	t.Helper()
	ip(t, "-n", n.a, "addr", "add", "10.77.0.1/24", "dev", "veth0")
	ip(t, "-n", n.b, "addr", "add", "10.77.0.2/24", "dev", "veth0")
}

func ip(t testing.TB, args ...string) {
	t.Helper()
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("ip %s: %v: %s(this test needs root and iproute2)", strings.Join(args, " "), err, out)
	}
}

// discover runs a child in a namespace. It is stopped by stop, or at the end of the test.
func discover(t testing.TB, ns string, cfg discovery.Config) (lines <-chan line, stop func()) {
	t.Helper()
	text, err := json.Marshal(struct {
		discovery.Config
		OnFound, Known, Logger *struct{} `json:",omitempty"`
	}{Config: cfg})
	if err != nil {
		t.Fatal(err)
	}
	return start(t, ns, string(text))
}

// start runs this program in a namespace with text as what to do.
func start(t testing.TB, ns, text string) (lines <-chan line, stop func()) {
	t.Helper()
	cmd := exec.Command("ip", "netns", "exec", ns, os.Args[0])
	cmd.Env = append(os.Environ(), envChild+"="+text)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ch := make(chan line, 64)
	read := make(chan struct{})
	go func() {
		defer close(read)
		for s := bufio.NewScanner(out); s.Scan(); {
			var l line
			if json.Unmarshal(s.Bytes(), &l) == nil {
				ch <- l
			}
		}
	}()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		in.Close()
		<-read
		if err := cmd.Wait(); err != nil {
			t.Errorf("child in %s: %v", ns, err)
		}
	}
	t.Cleanup(stop)
	return ch, stop
}

// next returns the next line that fits.
func next(t testing.TB, lines <-chan line, what string, fits func(line) bool) line {
	t.Helper()
	late := time.After(patience)
	for {
		select {
		case l := <-lines:
			if fits(l) {
				return l
			}
		case <-late:
			t.Fatalf("no %s in %v", what, patience)
		}
	}
}

func up(l line) bool      { return l.Up }
func heard(l line) bool   { return l.Heard }
func problem(l line) bool { return l.Problem != "" }

func of(cfg discovery.Config) func(line) bool {
	return func(l line) bool { return l.Found != nil && l.Found.Fingerprint == cfg.Fingerprint }
}

// TestTwoNamespacesFindEachOther measures, 20 times, the time from when both are up to when
// each has found the other. A swarm is to be usable 2 s after that; a test allows ten times.
func TestTwoNamespacesFindEachOther(t *testing.T) {
	n := newNetwork(t)
	n.address(t)
	var took []time.Duration
	for range 20 {
		a, b := config(t, fmt.Sprint("a", len(took))), config(t, fmt.Sprint("b", len(took)))
		a.Interfaces, b.Interfaces = nil, nil // veth0 is all there is
		fromA, stopA := discover(t, n.a, a)
		fromB, stopB := discover(t, n.b, b)
		next(t, fromA, "sign of life", up)
		next(t, fromB, "sign of life", up)
		begin := time.Now()
		gotB := next(t, fromA, "find of b", of(b))
		gotA := next(t, fromB, "find of a", of(a))
		took = append(took, time.Since(begin))
		if want := []string{"10.77.0.2:7422"}; !slices.Equal(gotB.Found.FabricAddrs, want) {
			t.Fatalf("a found b at %v, want %v", gotB.Found.FabricAddrs, want)
		}
		if want := []string{"10.77.0.1:7423"}; !slices.Equal(gotA.Found.JoinAddrs, want) {
			t.Fatalf("b found a, taking in at %v, want %v", gotA.Found.JoinAddrs, want)
		}
		stopA()
		stopB()
	}
	slices.Sort(took)
	median, worst := took[len(took)/2], took[len(took)-1]
	t.Logf("found each other after %v (median of %d), %v at most", median, len(took), worst)
	if median > 20*time.Second {
		t.Errorf("the median is %v", median)
	}
}

// TestIPv6Alone uses a network that has no IPv4 addresses.
func TestIPv6Alone(t *testing.T) {
	n := newNetwork(t)
	n.address6(t)
	a, b := config(t, t.Name()+"a"), config(t, t.Name()+"b")
	a.Interfaces, b.Interfaces = nil, nil
	fromA, _ := discover(t, n.a, a)
	fromB, _ := discover(t, n.b, b)
	got := next(t, fromA, "find of b", of(b))
	if want := []string{"[fd77::2]:7422"}; !slices.Equal(got.Found.FabricAddrs, want) {
		t.Errorf("a found b at %v, want %v", got.Found.FabricAddrs, want)
	}
	next(t, fromB, "find of a", of(a))
}

// TestANetworkThatComesLater starts without an address, so that nothing can be announced.
func TestANetworkThatComesLater(t *testing.T) {
	n := newNetwork(t)
	a, b := config(t, t.Name()+"a"), config(t, t.Name()+"b")
	a.Interfaces, b.Interfaces = []string{"veth0"}, []string{"veth0"}
	fromA, _ := discover(t, n.a, a)
	fromB, _ := discover(t, n.b, b)
	l := next(t, fromA, "problem", problem)
	if !strings.Contains(l.Problem, "does not come back") {
		t.Errorf("problem %q", l.Problem)
	}
	n.address(t)
	isB, didHear, didFind := of(b), false, false
	next(t, fromA, "own announcement and find of b", func(l line) bool {
		didHear, didFind = didHear || heard(l), didFind || isB(l)
		return didHear && didFind
	})
	next(t, fromB, "find of a", of(a))
}

// TestAPortThatIsTaken starts while a program holds the port of multicast DNS for itself.
func TestAPortThatIsTaken(t *testing.T) {
	n := newNetwork(t)
	n.address(t)
	a := config(t, t.Name())
	a.Interfaces = nil
	holding, release := start(t, n.a, hold)
	next(t, holding, "sign of life", up)
	lines, _ := discover(t, n.a, a)
	l := next(t, lines, "problem", problem)
	t.Log(l.Problem)
	release()
	next(t, lines, "own announcement", heard)
}
