//go:build e2e && linux

package e2e_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// members is what `myco nodes --json` prints.
type members struct {
	Swarm bus.SwarmInfo `json:"swarm"`
	Nodes []bus.Member  `json:"nodes"`
}

// memberOf returns what n's roster says of the node called name.
func memberOf(t *testing.T, n *harness.Node, name string) bus.Member {
	t.Helper()
	var v members
	n.JSON(t, &v, "nodes")
	for _, m := range v.Nodes {
		if m.Name == name {
			return m
		}
	}
	t.Fatalf("%s has no node %s in %+v", n.Name, name, v)
	return bus.Member{}
}

// awaitMember waits until n's roster says of name what want does.
func awaitMember(t *testing.T, n *harness.Node, name, what string, want func(bus.Member) bool) {
	t.Helper()
	harness.Poll(t, harness.Patience, n.Name+" learns that "+name+" "+what, func() string {
		if m := memberOf(t, n, name); !want(m) {
			return fmt.Sprintf("%+v", m)
		}
		return ""
	})
}

// settleAmong waits as harness.Settle does, also for a host that is gone to be noticed.
func settleAmong(t *testing.T, nodes ...*harness.Node) {
	t.Helper()
	harness.Poll(t, harness.Patience, "the others settle", func() string {
		var host bus.NodeID
		for _, n := range nodes {
			v := n.View(t)
			here := slices.ContainsFunc(nodes, func(n *harness.Node) bool { return n.Info.NodeID == v.Swarm.QueueHost })
			if v.Ready() != len(nodes) || !here || host != "" && host != v.Swarm.QueueHost {
				return fmt.Sprintf("%s sees %+v", n.Name, v)
			}
			host = v.Swarm.QueueHost
		}
		return ""
	})
}

func isRevoked(m bus.Member) bool { return m.State == bus.NodeRevoked }

// outLimit is the promise: a node that is revoked is out everywhere within it.
const outLimit = 10 * time.Second

// A node is revoked while it works, once as a worker and once as the queue host: it gets nothing
// any more, it knows why, and the others lose nothing that was accepted.
func TestRevokeUnderLoad(t *testing.T) {
	var took []time.Duration
	for _, host := range []bool{false, true} {
		took = append(took, revokeUnderLoad(t, host))
	}
	reach(t, "stolen", len(took), fmt.Sprintf("out everywhere after %v at most, 0 lost", slices.Max(took).Round(time.Millisecond)))
}

// revokeUnderLoad returns how long it took until all knew.
func revokeUnderLoad(t *testing.T, theHost bool) time.Duration {
	t.Helper()
	const half, before, after = 150, 40, 60
	var ledger engine.Ledger
	script, free := held(before, paced)
	nodes := cluster(t, &ledger, 3, script)
	host, rest := hostAndRest(t, nodes)
	out, a, b := rest[0], host, rest[1]
	if theHost {
		out, a = host, rest[0]
	}
	if founder := nodes[0]; out == founder { // nobody revokes itself: another holds the key as well
		if r := founder.Myco(t, "nodes", "promote", a.Name); r.Code != 0 {
			t.Fatal(r)
		}
	} else {
		a, b = founder, other(nodes, founder, out)
	}
	ctx, d := within(t, "tasks and a revocation"), newDriver(t)
	onA, onB := a.Dial(t), b.Dial(t)
	for i := range half {
		d.submit(ctx, onB, fmt.Sprintf("attached-%03d", i))
	}
	d.enqueueAll(ctx, half, func(i int) (*bus.Conn, string) {
		return []*bus.Conn{onB, onA}[i%2], fmt.Sprintf("durable-%03d", i)
	})
	finished := func(r engine.Run) bool { return r.Outcome == engine.Finished }
	if runs, err := ledger.Wait(ctx, func(r []engine.Run) bool { return engine.Count(r, finished) >= before }); err != nil {
		t.Fatalf("%d runs: %v", len(runs), err)
	}
	left := 2*half - engine.Count(ledger.Runs(), finished)
	free()
	began := time.Now()
	if r := a.Myco(t, "revoke", out.Name, "--yes"); r.Code != 0 || !strings.Contains(r.Stdout, out.Name+" ("+string(out.Info.NodeID)+") is out") {
		t.Fatalf("%s", r)
	}
	awaitMember(t, b, out.Name, "is out", isRevoked)
	var told struct {
		harness.View
		Revoked *bus.Revocation `json:"revoked"`
	}
	harness.Poll(t, harness.Patience, out.Name+" knows that it is out", func() string {
		out.JSON(t, &told, "swarm")
		if log := out.Log(1000); told.Revoked == nil || strings.Count(log, "route is gone") < 2 {
			return fmt.Sprintf("%+v\n%s", told, log)
		}
		return ""
	})
	cut := time.Now()
	if took := cut.Sub(began); took > outLimit {
		t.Errorf("out everywhere after %v, want at most %v", took, outLimit)
	}
	if told.Revoked.By != a.Info.NodeID || told.Revoked.ByName != a.Name {
		t.Errorf("%s was told %+v, want it put out by %s", out.Name, told.Revoked, a.Name)
	}
	if r := out.Myco(t, "swarm"); r.Code != 0 || !strings.Contains(r.Stdout, "put out of the swarm") || !strings.Contains(r.Stdout, "by "+a.Name) {
		t.Errorf("%s\nwant it to say why it is alone", r)
	}
	if log := out.Log(1000); !strings.Contains(log, "this node was put out of its swarm") {
		t.Error("its log does not say why it is alone")
	}

	for i := range after {
		d.submit(ctx, onB, fmt.Sprintf("attached-later-%03d", i))
		d.enqueue(ctx, onA, fmt.Sprintf("durable-later-%03d", i))
	}
	d.audit(ctx, onB)
	// It gives up the copies that it kept for the others: as soon as they count as lost, it would
	// run those.
	harness.Poll(t, harness.Patience, out.Name+" keeps nothing of the others", func() string {
		// It starts anew, and until then has no answer: what it was about to finish tries for half a
		// minute to tell a queue host that does not hear it.
		if r := out.Myco(t, "task", "ls", "--all", "--json"); strings.TrimSpace(r.Stdout) != "[]" {
			return r.String()
		}
		return ""
	})
	there := func(r engine.Run) bool { return r.Engine == out.Name && r.Marker != "" }
	late := func(r engine.Run) bool { return there(r) && r.Start.After(cut) }
	runs := ledger.Runs()
	if n := engine.Count(runs, late); n > 0 {
		t.Errorf("%d tasks began on %s after it was out", n, out.Name)
	}
	last := began
	for _, r := range runs {
		if there(r) && r.Start.After(last) {
			last = r.Start
		}
	}
	if engine.Count(runs, there) == 0 {
		t.Errorf("%s ran nothing before either: the test tests nothing", out.Name)
	}
	settleAmong(t, a, b)
	t.Logf("queue host %v: all knew after %v, the last task began there after %v, %d tasks were left, %d ran, 0 lost",
		theHost, cut.Sub(began).Round(time.Millisecond), last.Sub(began).Round(time.Millisecond), left, len(ledger.ByMarker()))
	for _, n := range nodes {
		n.Kill()
	}
	return cut.Sub(began)
}

// other returns the node that is neither x nor y.
func other(nodes []*harness.Node, x, y *harness.Node) *harness.Node {
	for _, n := range nodes {
		if n != x && n != y {
			return n
		}
	}
	return nil
}

// The founder is not needed any more once another node was promoted: that one takes nodes in and
// puts them out, and the founder learns of both when it is back.
func TestPromotedNodeTakesOver(t *testing.T) {
	t.Parallel()
	s := harness.New(t, programs)
	a := s.Found(t, "a")
	b, c := s.Join(t, a, "b"), s.Join(t, a, "c")
	harness.Settle(t, a, b, c)
	if r := b.Myco(t, "invite"); r.Code != 1 || !strings.Contains(r.Stderr, "a ("+string(a.Info.NodeID)+")") {
		t.Errorf("%s\nwant it refused, and told to ask a", r)
	}
	if r := a.Myco(t, "nodes", "promote", "b"); r.Code != 0 {
		t.Fatal(r)
	}
	awaitMember(t, c, "b", "holds the key", func(m bus.Member) bool { return m.Holder })
	a.Kill()
	d := s.Join(t, b, "d")
	settleAmong(t, b, c, d)
	if m := memberOf(t, d, "d"); m.AddedBy != b.Info.NodeID || m.Holder || m.Since.IsZero() {
		t.Errorf("%+v, want d let in by b", m)
	}
	if r := c.Myco(t, "invite"); r.Code != 1 || !strings.Contains(r.Stderr, "b ("+string(b.Info.NodeID)+")") {
		t.Errorf("%s\nwant it refused, and told to ask b as well", r)
	}
	if r := b.Myco(t, "nodes", "revoke", "c", "--yes"); r.Code != 0 {
		t.Fatal(r)
	}
	settleAmong(t, b, d)
	d.Stop(t)
	if r := b.Myco(t, "revoke", "d", "--yes", "--json"); r.Code != 0 {
		t.Fatal(r)
	}
	d.Start(t) // it was away, and finds out
	harness.Poll(t, harness.Patience, "d says that it is refused", func() string {
		if r := d.Myco(t, "swarm"); !strings.Contains(r.Stdout, "This node is alone: b will not have it") {
			return r.String()
		}
		return ""
	})
	d = s.Join(t, b, "d2")
	a.Start(t, "--peer", b.Info.FabricAddr)
	settleAmong(t, a, b, d)
	awaitMember(t, a, "c", "is out", isRevoked)
	if r := a.Myco(t, "nodes"); r.Code != 0 || !strings.Contains(r.Stdout, "revoked") {
		t.Errorf("%s", r)
	} else {
		t.Logf("myco nodes on a:\n%s", r.Stdout)
	}
}

// phraseOf finds the recovery phrase that a founder printed.
func phraseOf(t *testing.T, n *harness.Node) string {
	t.Helper()
	for line := range strings.Lines(n.Log(1000)) {
		if line = strings.TrimSpace(line); strings.Count(line, "-") == 13 && !strings.Contains(line, " ") {
			return line
		}
	}
	t.Fatalf("no recovery phrase in\n%s", n.Log(40))
	return ""
}

// The machine that founded the swarm is gone for good: whoever has the phrase goes on.
func TestRecoverTheSwarmsKey(t *testing.T) {
	t.Parallel()
	s := harness.New(t, programs)
	a := s.Found(t, "a")
	b := s.Join(t, a, "b")
	harness.Settle(t, a, b)
	phrase := phraseOf(t, a)
	a.Kill()
	if err := os.RemoveAll(a.Dir); err != nil {
		t.Fatal(err)
	}
	if r := b.MycoIn(t, strings.Replace(phrase, phrase[:4], "abcd", 1), "nodes", "recover"); r.Code != 2 || strings.Contains(r.Stderr, phrase[5:]) {
		t.Errorf("%s\nwant a mistake to be refused, and the phrase not to be shown", r)
	}
	if r := b.MycoIn(t, phrase+"\n", "nodes", "recover"); r.Code != 0 {
		t.Fatal(r)
	}
	c := s.Join(t, b, "c")
	settleAmong(t, b, c)
	if log := b.Log(1000); strings.Contains(log, phrase) {
		t.Error("the phrase is in the log")
	}
}

// New credentials, while programs are connected with the old ones: those are cut, who reads the
// new file is back, the old ones are of no use, and the swarm does not notice.
func TestRotateWhileConnected(t *testing.T) {
	t.Parallel()
	var ledger engine.Ledger
	s := harness.New(t, programs)
	a := s.Found(t, "a", "--engine", startEngine(t, s, engine.Config{Name: "a", Ledger: &ledger}).URL())
	b := s.Join(t, a, "b")
	harness.Settle(t, a, b)
	awaitModel(t, b, "a", engine.Model, true)
	seed, err := os.ReadFile(filepath.Join(a.Dir, bus.UserCreds))
	if err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(a.Dir, bus.HTTPKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	kept := filepath.Join(a.Home, "kept.nk")
	if err := os.WriteFile(kept, seed, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx := within(t, "new credentials")
	program, elsewhere := a.Dial(t), b.Dial(t)
	cut := make(chan struct{})
	observer := observe(t, a)
	observer.SetClosedHandler(func(*nats.Conn) { close(cut) })
	d := newDriver(t)
	for i := range 20 {
		d.enqueue(ctx, program, fmt.Sprintf("before-%02d", i))
		d.submit(ctx, elsewhere, fmt.Sprintf("elsewhere-%02d", i))
	}
	var r bus.Rotation
	a.JSON(t, &r, "rotate")
	if r.Dir != a.Dir || len(r.Files) != 3 {
		t.Errorf("%+v, want three files in %s", r, a.Dir)
	}
	select {
	case <-cut:
	case <-ctx.Done():
		t.Fatal("the observer was not cut")
	}
	harness.Poll(t, harness.Patience, "the program is back", func() string {
		if _, err := program.Ping(ctx); err != nil {
			return err.Error()
		}
		return ""
	})
	if c, err := bus.Dial(ctx, bus.WithURL(a.Info.BusURL, kept)); !errors.Is(err, &bus.Error{Code: bus.CodeForbidden}) {
		t.Errorf("with the old credentials: %v, want CodeForbidden", err)
		if err == nil {
			c.Close()
		}
	}
	if got := status(t, a.Info.HTTPURL+"/status", strings.TrimSpace(string(key))); got != 401 {
		t.Errorf("HTTP with the old key: %d, want 401", got)
	}
	c := s.Join(t, a, "c") // the routes change
	harness.Settle(t, a, b, c)
	if _, err := program.Ping(ctx); err != nil {
		t.Errorf("the program after a node has joined: %v", err)
	}
	d.enqueue(ctx, program, "after")
	d.audit(ctx, program)
	if got := ask(t, a, engine.Prompt("asked")); got.Text != "done asked" {
		t.Errorf("%+v, want an answer", got)
	}
	if r := a.Myco(t, "rotate"); r.Code != 0 {
		t.Errorf("a second time: %s", r)
	}
}

// The swarm's key is replaced under load: work goes on, who was away follows, and the old phrase
// is of no use to a member.
func TestSwarmsKeyIsReplaced(t *testing.T) {
	t.Parallel()
	var ledger engine.Ledger
	s := harness.New(t, programs)
	a := s.Found(t, "a", "--engine", startEngine(t, s, engine.Config{Name: "a", Ledger: &ledger, Script: paced}).URL())
	b, c := s.Join(t, a, "b"), s.Join(t, a, "c")
	harness.Settle(t, a, b, c)
	awaitModel(t, b, "a", engine.Model, true)
	old := phraseOf(t, a)
	c.Kill()
	d, ctx := newDriver(t), within(t, "a new key")
	onB := b.Dial(t)
	for i := range 20 {
		d.submit(ctx, onB, fmt.Sprintf("attached-%02d", i))
		d.enqueue(ctx, onB, fmt.Sprintf("durable-%02d", i))
	}
	early := a.Invite(t)
	var r bus.SwarmRotation
	a.JSON(t, &r, "rotate", "--swarm", "--yes")
	if strings.Contains(a.Log(1000), r.Phrase) {
		t.Error("the new phrase is in the log")
	}
	follows := func(n *harness.Node) {
		t.Helper()
		harness.Poll(t, harness.Patience, n.Name+" goes along", func() string {
			if id := n.View(t).Swarm.ID; id != r.Swarm.ID {
				return id
			}
			return ""
		})
	}
	follows(b)
	d.audit(ctx, onB)
	for id, runs := range ledger.ByMarker() {
		if len(runs) != 1 {
			t.Errorf("task %s ran %d times, want once: no route was cut", id, len(runs))
		}
	}
	c.Start(t, "--peer", a.Info.FabricAddr)
	follows(c)
	harness.Settle(t, a, b, c)
	if r := c.MycoIn(t, old, "nodes", "recover"); r.Code != 1 || !strings.Contains(r.Stderr, "no use any more") {
		t.Errorf("%s\nwant the old phrase refused", r)
	}
	if r := s.Node(t, "early").Mycod(t, "--data-dir", filepath.Join(c.Home, "early"), "--join", early, "--no-mdns"); r.Code == 0 {
		t.Errorf("%s\nwant a token of before refused", r)
	}
	if r := c.MycoIn(t, r.Phrase, "nodes", "recover"); r.Code != 0 {
		t.Errorf("the new phrase: %s", r)
	}
	e := s.Join(t, c, "e")
	harness.Settle(t, a, b, c, e)
}
