//go:build e2e && linux

package e2e_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// A token from a file, from standard input, or given to a running daemon: all join. A member
// that is given the same token again stays as it is.
func TestWaysToJoin(t *testing.T) {
	t.Parallel()
	s := harness.New(t, programs)
	a := s.Found(t, "a")

	token := a.Invite(t)
	if !strings.HasPrefix(token, "myco") || strings.ContainsAny(token, " \n\t") {
		t.Errorf("token %q, want one word that begins with myco", token)
	}
	b := s.Node(t, "b")
	file := filepath.Join(b.Home, "token")
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.Start(t, "--join", "@"+file)
	harness.Settle(t, a, b)

	c := s.Node(t, "c")
	c.Stdin = a.Invite(t) + "\n"
	c.Start(t, "--join", "-")
	harness.Settle(t, a, b, c)

	d := s.Found(t, "d")
	if r := d.MycoIn(t, a.Invite(t), "join", "-"); r.Code != 0 {
		t.Fatalf("%s", r)
	}
	harness.Settle(t, a, b, c, d)

	// Again, with the token that is used up: nothing happens, at a restart and at the CLI.
	b.Stop(t)
	b.Start(t, "--join", token)
	host := harness.Settle(t, a, b, c, d)
	if r := b.Myco(t, "join", token); r.Code != 0 {
		t.Errorf("%s\nwant a member's own token to be ignored", r)
	}
	if v := a.View(t); v.Ready() != 4 || v.Swarm.QueueHost != host.Info.NodeID {
		t.Errorf("swarm %+v, want it unchanged", v)
	}
}

// A node that leaves is a swarm of one, is no longer ready to the others, and may come back
// with a new token.
func TestLeaveAndComeBack(t *testing.T) {
	t.Parallel()
	s := harness.New(t, programs)
	a := s.Found(t, "a")
	b := s.Join(t, a, "b")
	harness.Settle(t, a, b)
	if r := b.Myco(t, "leave", "--yes"); r.Code != 0 {
		t.Fatalf("%s", r)
	}
	harness.Settle(t, a)
	harness.Settle(t, b)
	if av, bv := a.View(t), b.View(t); av.Swarm.ID == bv.Swarm.ID {
		t.Errorf("both are in swarm %s after b left", av.Swarm.ID)
	}
	if r := b.Myco(t, "join", a.Invite(t)); r.Code != 0 {
		t.Fatalf("%s", r)
	}
	harness.Settle(t, a, b)
	b.Stop(t)
	b.Start(t, "--peer", a.Info.FabricAddr)
	harness.Settle(t, a, b)
}

// What a node alone was given to do goes along when it joins: its durable task runs there.
func TestJoiningCarriesTheOutbox(t *testing.T) {
	t.Parallel()
	var ledger engine.Ledger
	s := harness.New(t, programs)
	a := s.Found(t, "a", "--engine", startEngine(t, s, engine.Config{Name: "a", Ledger: &ledger}).URL())
	b := s.Found(t, "b")
	d, ctx := newDriver(t), within(t, "a task from before the join")
	d.enqueue(ctx, b.Dial(t), "carried")
	if r := b.Myco(t, "join", a.Invite(t)); r.Code != 0 {
		t.Fatalf("%s", r)
	}
	harness.Settle(t, a, b)
	d.audit(ctx, b.Dial(t))
	if runs := ledger.Runs(); len(runs) != 1 || runs[0].Engine != "a" {
		t.Errorf("runs %+v, want one, on a", runs)
	}
}

// The observer sees the swarm's traffic and its nodes, and nothing with content; it changes
// nothing.
func TestObserverSeesMetadataOnly(t *testing.T) {
	t.Parallel()
	const secret = "a-secret-that-is-only-in-the-prompt"
	var ledger engine.Ledger
	s := harness.New(t, programs)
	a := s.Found(t, "a", "--engine", startEngine(t, s, engine.Config{Name: "a", Ledger: &ledger}).URL())
	b := s.Join(t, a, "b")
	harness.Settle(t, a, b)
	awaitModel(t, b, "a", engine.Model, true)

	nc := observe(t, b)
	refused := make(chan error, 64)
	nc.SetErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err })
	seen := make(chan *nats.Msg, 4096)
	if _, err := nc.ChanSubscribe(bus.SubjectAll, seen); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	ask(t, b, secret)
	ctx := within(t, "the events of a task")
	for done, beat := false, false; !done || !beat; {
		select {
		case m := <-seen:
			if strings.Contains(string(m.Data), secret) {
				t.Errorf("%s carries the prompt: %s", m.Subject, m.Data)
			}
			done = done || strings.HasSuffix(m.Subject, "."+string(bus.EventDone))
			beat = beat || strings.HasSuffix(m.Subject, ".heartbeat")
		case <-ctx.Done():
			t.Fatalf("done %v, heartbeat %v: want both on %s", done, beat, bus.SubjectAll)
		}
	}

	// One attempt after another, each refused by the server.
	for what, try := range map[string]func() error{
		"read content":   func() error { _, err := nc.SubscribeSync("payload.>"); return err },
		"read all":       func() error { _, err := nc.SubscribeSync(">"); return err },
		"fake a beat":    func() error { return nc.Publish(bus.SubjectHeartbeat(a.Info.NodeID), []byte("{}")) },
		"cancel a task":  func() error { return nc.Publish(bus.SubjectCancel(b.Info.NodeID, "x"), nil) },
		"submit a task":  func() error { return nc.Publish(bus.SubjectPayloadRPC(b.Info.NodeID, bus.VerbSubmit), nil) },
		"invite a node":  func() error { return nc.Publish(bus.SubjectPayloadRPC(b.Info.NodeID, bus.VerbInvite), nil) },
		"delete a queue": func() error { return nc.Publish("$JS.API.STREAM.DELETE.KV_peers", nil) },
	} {
		if err := try(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if err := nc.Flush(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		select {
		case err := <-refused:
			if !errors.Is(err, nats.ErrPermissionViolation) {
				t.Errorf("%s: %v, want it refused", what, err)
			}
		case <-ctx.Done():
			t.Fatalf("%s: not refused", what)
		}
	}
}

// Nobody is anonymous, on the bus or at the HTTP port.
func TestStrangersAreRefused(t *testing.T) {
	t.Parallel()
	s := harness.New(t, programs)
	a := s.Found(t, "a")
	if nc, err := nats.Connect(a.Info.BusURL); err == nil {
		nc.Close()
		t.Error("the bus let in a client without credentials")
	}
	for path, want := range map[string]int{"/health": 200, "/status": 401, "/peers": 401, "/identity": 401, "/task/x": 401} {
		if got := status(t, a.Info.HTTPURL+path, ""); got != want {
			t.Errorf("GET %s without a key: status %d, want %d", path, got, want)
		}
	}
	key, err := os.ReadFile(filepath.Join(a.Dir, bus.HTTPKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/status", "/peers", "/identity"} {
		if got := status(t, a.Info.HTTPURL+path, strings.TrimSpace(string(key))); got != 200 {
			t.Errorf("GET %s with the key: status %d, want 200", path, got)
		}
	}
}

// The daemon leaves a context for the NATS CLI: it works, and it is the observer's.
func TestNATSContext(t *testing.T) {
	t.Parallel()
	s := harness.New(t, programs)
	a := s.Found(t, "a")
	path := filepath.Join(a.Home, ".config", "nats", "context", "myco.json")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var c struct {
		URL  string `json:"url"`
		NKey string `json:"nkey"`
	}
	if err := json.Unmarshal(b, &c); err != nil || c.URL != a.Info.BusURL {
		t.Fatalf("context %s, error %v: want url %s", b, err, a.Info.BusURL)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("context: mode %v, error %v, want 0600", st.Mode(), err)
	}
	key, err := nats.NkeyOptionFromSeed(c.NKey)
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(c.URL, key, nats.CustomInboxPrefix(bus.ObserverInbox(a.Info.NodeID)))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	sub, err := nc.SubscribeSync(bus.SubjectAll)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sub.NextMsg(30 * time.Second); err != nil {
		t.Errorf("no traffic on %s: %v", bus.SubjectAll, err)
	}
}
