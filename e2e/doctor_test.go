//go:build e2e && linux

package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// checkup is what `myco doctor --json` prints.
type checkup struct {
	OK     bool    `json:"ok"`
	Checks []check `json:"checks"`
	code   int
}

type check struct {
	Name, Status, Detail, Hint string
}

// doctor runs `myco doctor --json`. The exit code must be that of the report.
func doctor(t *testing.T, n *harness.Node, args ...string) checkup {
	t.Helper()
	r := n.Myco(t, append([]string{"doctor", "--json"}, args...)...)
	var c checkup
	if err := json.Unmarshal([]byte(r.Stdout), &c); err != nil {
		t.Fatalf("decode: %v\n%s", err, r)
	}
	c.code = r.Code
	if c.OK != (c.find("fail") == "") || len(args) == 0 && c.OK != (c.code == 0) {
		t.Errorf("ok is %t, exit code %d: they do not fit the checks\n%s", c.OK, c.code, r)
	}
	for _, x := range c.Checks {
		if x.Status != "ok" && x.Hint == "" {
			t.Errorf("no hint what to do: %+v", x)
		}
	}
	return c
}

// find returns the checks of that status that say all of words, a line each.
func (c checkup) find(status string, words ...string) string {
	var b strings.Builder
	for _, x := range c.Checks {
		line := x.Name + ": " + x.Detail + " (" + x.Hint + ")"
		if x.Status == status && !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
			fmt.Fprintln(&b, line)
		}
	}
	return b.String()
}

// only wants nothing wrong but one thing, which says all of words. How full the disk of the machine is that the tests
// run on is not of it.
func (c checkup) only(status string, words ...string) string {
	c.Checks = slices.DeleteFunc(slices.Clone(c.Checks), func(x check) bool { return x.Name == "disk" && x.Status == "warn" })
	got := c.find(status, words...)
	if strings.Count(got, "\n") != 1 || got != c.find(status) || status == "warn" && c.find("fail") != "" {
		return fmt.Sprintf("want one thing, %s with %q\n%s", status, words, c)
	}
	return ""
}

func (c checkup) String() string {
	b, _ := json.MarshalIndent(c, "", " ") // it came from JSON
	return fmt.Sprintf("exit code %d: %s", c.code, b)
}

// eventually runs doctor until look is content with it.
func eventually(t *testing.T, n *harness.Node, what string, look func(checkup) string) {
	t.Helper()
	harness.Poll(t, harness.Patience, "doctor on "+n.Name+": "+what, func() string { return look(doctor(t, n)) })
}

func TestDoctorAllIsWell(t *testing.T) {
	t.Parallel()
	var ledger engine.Ledger
	s := harness.New(t, programs)
	eng := startEngine(t, s, engine.Config{Name: "a", Ledger: &ledger})
	a := s.Found(t, "a", "--engine", eng.URL())
	b := s.Join(t, a, "b", "--engine", eng.URL())
	harness.Settle(t, a, b)
	awaitModel(t, a, "a", engine.Model, true)
	eventually(t, a, "all is well", func(c checkup) string {
		if c.code != 0 || c.find("route", "1 route: b") != "" || c.find("ok", "engine: ", eng.URL()) == "" {
			return c.String()
		}
		return ""
	})
	if r := b.Myco(t, "doctor"); r.Code != 0 || !strings.Contains(r.Stdout, "ok    daemon") || strings.Contains(r.Stdout, "FAIL") {
		t.Errorf("%s", r)
	}

	// The engine stops: it is named, and nothing else.
	if err := eng.Stop(); err != nil {
		t.Fatal(err)
	}
	eventually(t, b, "the engine is named", func(c checkup) string { return c.only("fail", "engine: ", eng.URL()) })

	// The daemon stops: that is named, with the command that starts it.
	b.Stop(t)
	c := doctor(t, b)
	if got := c.only("fail", "daemon: it is not running", "mycod"); got != "" {
		t.Error(got)
	}
	eventually(t, a, "b is away", func(c checkup) string {
		if c.find("warn", "route: b", "stopped in good order") == "" || c.find("fail", "route: ") != "" {
			return c.String()
		}
		return ""
	})
	if c := doctor(t, s.Node(t, "nobody")); c.code != 1 || c.find("ok", "data directory", "not there yet") == "" {
		t.Errorf("without anything: %s", c)
	}
}

// An engine that hangs takes connections: a look at its port would call it well.
func TestDoctorNamesAHungEngine(t *testing.T) {
	t.Parallel()
	s := harness.New(t, programs)
	addr := hungListener(t)
	a := s.Found(t, "a", "--engine", "http://"+addr)
	eventually(t, a, "it hangs", func(c checkup) string { return c.only("fail", "engine: ", addr, "hangs") })
}

// An engine that is bound to every address is open to everybody on the network.
func TestDoctorWarnsOfAnOpenEngine(t *testing.T) {
	t.Parallel()
	var ledger engine.Ledger
	s := harness.New(t, programs)
	a := s.Node(t, "a")
	warned := func(listen string) checkup {
		eng, err := engine.Start(t.Context(), listen, engine.Config{Name: "a", Ledger: &ledger})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := eng.Stop(); err != nil {
				t.Error(err)
			}
		}()
		port := eng.URL()[strings.LastIndex(eng.URL(), ":"):]
		a.Start(t, "--engine", "http://127.0.0.1"+port)
		defer a.Stop(t)
		awaitModel(t, a, "a", engine.Model, true)
		return doctor(t, a)
	}
	if got := warned("0.0.0.0:0").only("warn", "engine: ", "answers everybody on the network", "127.0.0.1"); got != "" {
		t.Error(got)
	}
	if c := warned("127.0.0.1:0"); c.find("warn", "engine") != "" {
		t.Errorf("an engine on loopback: %s", c)
	}
}

// A daemon on a copy of a data directory is refused, the first goes on, and doctor finds nothing
// wrong there.
func TestCopiedDataDirectory(t *testing.T) {
	t.Parallel()
	s := harness.New(t, programs)
	a := s.Found(t, "a")
	b := s.Join(t, a, "b")
	harness.Settle(t, a, b)
	copied := s.Node(t, "copy")
	copyDir(t, b.Dir, copied.Dir)
	r := copied.Mycod(t, copied.Flags()...)
	refusal{1, []string{"identity in use by host", b.Info.FabricAddr, string(b.Info.NodeID), "--data-dir"}}.check(t, "a copy", r)
	t.Logf("refused after %v", r.Took.Round(time.Millisecond))
	if r.Took > 50*time.Second {
		t.Errorf("refused after %v, want 5 s", r.Took)
	}
	harness.Settle(t, a, b)
	if c := doctor(t, a); !c.OK {
		t.Errorf("after the copy was refused: %s", c)
	}
}

// Two copies of a node that is alone in its swarm meet over mDNS: the younger stops.
func TestCopiesMeetOverMDNS(t *testing.T) {
	s := harness.NewLAN(t, programs)
	a := s.Found(t, "a")
	copied := s.Node(t, "copy")
	copyDir(t, a.Dir, copied.Dir)
	start := time.Now()
	r := copied.Mycod(t, copied.Flags()...)
	refusal{1, []string{"identity in use by", a.Host.Addr.String(), "--data-dir"}}.check(t, "a copy", r)
	t.Logf("stopped after %v", time.Since(start).Round(time.Millisecond))
	if r.Took > 50*time.Second {
		t.Errorf("stopped after %v, want 5 s", r.Took)
	}
	harness.Settle(t, a)
}

// Two copies that ran apart, each with its half of the swarm, meet: the younger stops.
func TestCopiesMeetLater(t *testing.T) {
	t.Parallel()
	s := harness.NewLAN(t, programs)
	a := s.Found(t, "a")
	b := s.Join(t, a, "b")
	harness.Settle(t, a, b)
	copied := s.Node(t, "copy")
	copyDir(t, b.Dir, copied.Dir)
	if err := copied.Host.Plug(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	copied.Start(t)
	if err := copied.Host.Plug(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	code, err := copied.Wait(harness.Patience)
	t.Logf("stopped %v after they met", time.Since(start).Round(time.Millisecond))
	if err != nil || code != 1 || !strings.Contains(copied.Log(100), "identity in use by") {
		t.Errorf("the copy ended with exit code %d, %v; want 1, and why:\n%s", code, err, copied.Log(40))
	}
	harness.Settle(t, a, b)
}

// Multicast does not reach one machine, and a static peer does: all works, with a warning.
func TestDoctorWithoutMulticast(t *testing.T) {
	t.Parallel()
	s := harness.NewLAN(t, programs)
	a := s.Found(t, "a")
	b := s.Node(t, "b")
	inside(t, b, "ip", "link", "set", "eth0", "multicast", "off")
	b.Start(t, "--join", a.Invite(t), "--peer", a.Host.Addr.String()+":7422")
	harness.Settle(t, a, b)
	eventually(t, b, "multicast is named", func(c checkup) string {
		if c.code != 0 || c.find("warn", "mDNS: ", "multicast") == "" || c.find("ok", "route: 1 route: a") == "" {
			return c.String()
		}
		return ""
	})
	if c := doctor(t, b, "--strict"); c.code != 1 {
		t.Errorf("--strict: %s", c)
	}
}

// What is sent to one member gets lost: the hop is named.
func TestDoctorNamesTheBrokenHop(t *testing.T) {
	t.Parallel()
	s := harness.NewLAN(t, programs)
	a := s.Found(t, "a")
	b := s.Join(t, a, "b")
	c := s.Join(t, a, "c")
	harness.Settle(t, a, b, c)
	inside(t, a, "ip", "route", "add", "blackhole", b.Host.Addr.String()+"/32")
	eventually(t, a, "the hop is named", func(r checkup) string {
		if r.code != 1 || r.find("fail", "route: no route to b", b.Host.Addr.String()+":7422", "It is up: c hears it", "client isolation") == "" {
			return r.String()
		}
		return ""
	})
	eventually(t, c, "the link between the others is named", func(r checkup) string {
		return r.only("fail", "link: ", "between a", "and b")
	})
	// A machine that is up, with a daemon that is not.
	inside(t, a, "ip", "route", "del", "blackhole", b.Host.Addr.String()+"/32")
	harness.Settle(t, a, b, c)
	b.Kill()
	eventually(t, a, "nothing listens", func(r checkup) string {
		return r.only("fail", "route: no route to b", "connection refused", "start mycod there")
	})
}

// A firewall drops what comes to the port for routes, without a word: the hop, and what to open, are
// named.
func TestDoctorNamesABlockedPort(t *testing.T) {
	t.Parallel()
	s := harness.NewLAN(t, programs)
	a := s.Found(t, "a")
	b := s.Join(t, a, "b")
	harness.Settle(t, a, b)
	inside(t, b, "ip", "route", "add", "blackhole", a.Host.Addr.String()+"/32") // as it looks from a
	eventually(t, a, "the port is named", func(r checkup) string {
		if r.code != 1 || r.find("fail", "route: no route to b", b.Host.Addr.String()+":7422: timed out", "a firewall drops the packets", "let its firewall pass the port") == "" ||
			r.find("warn", "firewall: ", "TCP 7422 (routes)", "packets to b", "check the firewall there") == "" {
			return r.String()
		}
		return ""
	})
}

// A foreign swarm's node as --peer: the wrong swarm is named, and nothing else.
func TestDoctorNamesTheWrongSwarm(t *testing.T) {
	t.Parallel()
	s := harness.NewLAN(t, programs)
	a := s.Found(t, "a")
	b := s.Node(t, "b")
	b.Start(t, "--peer", a.Host.Addr.String()+":7422")
	eventually(t, b, "the wrong swarm", func(c checkup) string {
		if c.code != 1 || c.find("ok", "nearby: ", a.Host.Addr.String()) == "" {
			return c.String()
		}
		return c.only("fail", "peer: ", a.Host.Addr.String()+":7422", "wrong swarm", string(a.Info.NodeID), "myco join TOKEN")
	})
}

// A disk that is nearly full.
func TestDoctorNamesAFullDisk(t *testing.T) {
	t.Parallel()
	s := harness.New(t, programs)
	a := s.Node(t, "a")
	if err := os.Mkdir(a.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", a.Dir, "tmpfs", 0, "size=200m,mode=700"); err != nil {
		t.Fatalf("mount a small disk (this needs root): %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(a.Dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	a.Start(t)
	if c := doctor(t, a); c.code != 0 || c.find("warn", "disk: ", a.Dir) == "" {
		t.Errorf("a small disk: %s", c)
	}
	if err := os.WriteFile(filepath.Join(a.Dir, "ballast"), make([]byte, 150<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := doctor(t, a).only("fail", "disk: ", a.Dir, "the store needs"); got != "" {
		t.Error(got)
	}
	// With nothing free at all it starts all the same, after a crash too, and says what is wrong.
	full, err := os.OpenFile(filepath.Join(a.Dir, "ballast"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if err := a.Signal(sig); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Wait(harness.Patience); err != nil {
			t.Fatal(err)
		}
		for err = error(nil); err == nil; {
			_, err = full.Write(make([]byte, 4096))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
		a.Start(t)
		if c := doctor(t, a); c.code != 1 || c.find("fail", "disk: 0 MiB", a.Dir) == "" {
			t.Errorf("after %s: %s", sig, c)
		}
		if r := a.Myco(t, "ask", "-d", "hi"); r.Code != 1 || !strings.Contains(r.Stderr, "disk of node a is nearly full") {
			t.Errorf("durable work on a full disk: %s", r)
		}
	}
	a.Stop(t)
}

// Work that nobody can do is named.
func TestDoctorNamesWhatWaits(t *testing.T) {
	t.Parallel()
	var ledger engine.Ledger
	s := harness.New(t, programs)
	a := s.Found(t, "a", "--engine", startEngine(t, s, engine.Config{Name: "a", Ledger: &ledger}).URL())
	awaitModel(t, a, "a", engine.Model, true)
	if r := a.Myco(t, "ask", "--detach", "-m", "absent:7b", "hello"); r.Code != 0 {
		t.Fatalf("%s", r)
	}
	eventually(t, a, "the model is named", func(c checkup) string { return c.only("warn", "queues: 1 task", "absent:7b") })
}

// inside runs a command as on n's machine.
func inside(t *testing.T, n *harness.Node, name string, args ...string) {
	t.Helper()
	argv := n.Host.Command(name, args...)
	if out, err := exec.CommandContext(t.Context(), argv[0], argv[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", strings.Join(argv, " "), err, out)
	}
}

// hungListener takes connections and says nothing, until the test ends.
func hungListener(t *testing.T) string {
	t.Helper()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			defer c.Close()
		}
	}()
	t.Cleanup(func() { ln.Close(); <-ended })
	return ln.Addr().String()
}

// copyDir copies a data directory as cp -a does. Its daemon may run: a file that it replaces meanwhile is copied anew.
func copyDir(t *testing.T, from, to string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	for {
		out, err := exec.CommandContext(ctx, "cp", "-a", from, to).CombinedOutput()
		if err == nil {
			break
		}
		if ctx.Err() != nil || !strings.Contains(string(out), "No such file or directory") {
			t.Fatalf("copy %s: %v: %s", from, err, out)
		}
		if err := os.RemoveAll(to); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(filepath.Join(to, bus.DaemonFile)); err != nil {
		t.Fatal(err)
	}
}
