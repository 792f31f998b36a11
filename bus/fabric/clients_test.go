package fabric_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/bus/fabric"
	"github.com/mycoswarm/mycoswarm/bus/fabric/fabrictest"
)

// rotate replaces the clients' credentials of n, and returns the new ones.
func rotate(t *testing.T, n *fabrictest.Node) (user, observer nkeys.KeyPair) {
	t.Helper()
	check(t, n.Fabric.RotateClients(func(userSeed, observerSeed string) error {
		var err error
		if user, err = nkeys.FromSeed([]byte(userSeed)); err != nil {
			return err
		}
		observer, err = nkeys.FromSeed([]byte(observerSeed))
		return err
	}))
	return user, observer
}

// Credentials are taken back: the old ones let nobody in any more, and who is inside with them is
// cut, after what was sent to him. The new ones work, also over a change of routes, and what is
// not a client stays.
func TestClientKeysAreReplaced(t *testing.T) {
	t.Parallel()
	n := fabrictest.Swarm(t, 1)[0]
	cutoff := make(chan string, 4)
	noReconnect := func(who string) []nats.Option {
		return []nats.Option{nats.NoReconnect(), nats.ClosedHandler(func(*nats.Conn) { cutoff <- who })}
	}
	user := n.Client(t, n.User, bus.UserInbox(n.ID), noReconnect("user")...)
	observer := n.Client(t, n.Observer, bus.ObserverInbox(n.ID), noReconnect("observer")...)
	inside := n.Conn(t)
	last := make(chan *nats.Msg, 1)
	_, err := user.ChanSubscribe(bus.UserInbox(n.ID)+".x", last)
	check(t, err)
	check(t, user.Flush())

	full := errors.New("the disk is full")
	if err := n.Fabric.RotateClients(func(_, _ string) error { return full }); !errors.Is(err, full) {
		t.Errorf("keys that cannot be kept: %v, want the failure", err)
	}
	n.Client(t, n.User, bus.UserInbox(n.ID)) // still good
	newUser, newObserver := rotate(t, n)
	for who, kp := range map[string]nkeys.KeyPair{"user": n.User, "observer": n.Observer} {
		pub, err := kp.PublicKey()
		check(t, err)
		if nc, err := nats.Connect(n.Fabric.ClientURL(), nats.Nkey(pub, kp.Sign), nats.Timeout(fabrictest.Limit)); !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("the old %s: %v, want an authorization violation", who, err)
			if err == nil {
				nc.Close()
			}
		}
	}
	later := n.Client(t, newUser, bus.UserInbox(n.ID), noReconnect("new user")...)
	newer := n.Client(t, newObserver, bus.ObserverInbox(n.ID), noReconnect("new observer")...)
	check(t, n.Fabric.SetPeers([]fabric.Peer{{Addr: "127.0.0.1:1"}})) // a reload
	if !user.IsConnected() || !observer.IsConnected() {
		t.Error("who was inside was cut before it was asked for")
	}

	check(t, inside.Publish(bus.UserInbox(n.ID)+".x", []byte("the last word")))
	check(t, inside.Flush())
	if cut, err := n.Fabric.CutStaleClients(); cut != 3 || err != nil {
		t.Errorf("cut %d, %v; want 3", cut, err)
	}
	ctx, got := within(t), map[string]bool{}
	for len(got) < 2 {
		select {
		case who := <-cutoff:
			got[who] = true
		case <-ctx.Done():
			t.Fatalf("cut off: %v, want two", got)
		}
	}
	if !got["user"] || !got["observer"] {
		t.Errorf("cut off: %v, want the old user and the old observer", got)
	}
	if m := <-last; string(m.Data) != "the last word" {
		t.Errorf("%s, want what was sent before the cut", m.Data)
	}
	check(t, later.Flush())
	check(t, newer.Flush())
	check(t, inside.Flush())
	if cut, err := n.Fabric.CutStaleClients(); cut != 0 || err != nil {
		t.Errorf("cut %d more, %v; want none", cut, err)
	}
	if _, err := n.Store.JetStream().AccountInfo(within(t)); err != nil {
		t.Errorf("the store after the cut: %v", err)
	}
}

// A program that uses package bus is cut, reads the new file, and is back.
func TestProgramsComeBackWithTheNewFile(t *testing.T) {
	t.Parallel()
	k := fabrictest.NewKey(t)
	n := fabrictest.StartFabric(t, k, fabrictest.NewRoster(k))
	creds := filepath.Join(t.TempDir(), bus.UserCreds)
	write := func(kp nkeys.KeyPair) {
		seed, err := kp.Seed()
		check(t, err)
		check(t, os.WriteFile(creds, seed, 0o600))
	}
	write(n.User)
	inside := n.Conn(t)
	_, err := inside.Subscribe(bus.SubjectRPC(n.ID, bus.VerbPing), func(m *nats.Msg) { _ = m.Respond([]byte(`{}`)) })
	check(t, err)
	check(t, inside.Flush())
	c, err := bus.Dial(within(t), bus.WithURL(n.Fabric.ClientURL(), creds))
	check(t, err)
	t.Cleanup(c.Close)
	_, err = c.Ping(within(t))
	check(t, err)

	user, _ := rotate(t, n)
	write(user)
	if cut, err := n.Fabric.CutStaleClients(); cut != 1 || err != nil {
		t.Fatalf("cut %d, %v; want 1", cut, err)
	}
	ctx := within(t)
	fabrictest.Eventually(t, func() bool {
		_, err := c.Ping(ctx)
		return err == nil
	}, "the program is back")
}

// Whoever rotates without end is told to restart, and what was there stays good.
func TestRotationsAreBounded(t *testing.T) {
	t.Parallel()
	k := fabrictest.NewKey(t)
	n := fabrictest.StartFabric(t, k, fabrictest.NewRoster(k))
	seen := map[string]bool{}
	var last string
	var err error
	for err == nil {
		err = n.Fabric.RotateClients(func(user, observer string) error {
			if seen[user] || seen[observer] || user == observer {
				t.Fatal("a credential comes a second time")
			}
			seen[user], seen[observer], last = true, true, user
			return nil
		})
	}
	if !errors.Is(err, &bus.Error{Code: bus.CodeUnavailable}) || len(seen) < 32 {
		t.Errorf("after %d credentials: %v, want CodeUnavailable", len(seen), err)
	}
	kp, err := nkeys.FromSeed([]byte(last))
	check(t, err)
	n.Client(t, kp, bus.UserInbox(n.ID))
}
