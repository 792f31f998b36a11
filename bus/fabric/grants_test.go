package fabric_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/bus/fabric/fabrictest"
	"github.com/mycoswarm/mycoswarm/bus/store"
)

const (
	forBoth = "user observer"
	forUser = "user"
	forNone = ""
)

// grants is who may do what. NODE is the own node, FAR another one.
var grants = []struct {
	op, subject, who string
}{
	{"sub", "swarm.>", forBoth},
	{"sub", "swarm.task.*.*.*", forBoth},
	{"sub", "swarm.node.*.heartbeat", forBoth},
	{"sub", ">", forNone},
	{"sub", "*.>", forNone},
	{"sub", "payload.>", forNone},
	{"sub", "payload.*.NODE.>", forNone},
	{"sub", "payload.work.>", forNone},
	{"sub", "payload.outbox.>", forNone},
	{"sub", "payload.rpc.NODE.>", forNone},
	{"sub", "payload.trust.>", forNone},
	{"sub", "payload.trust.NODE.offer", forNone},
	{"sub", "payload.task.NODE.>", forUser},
	{"sub", "payload.task.NODE.t1.out", forUser},
	{"sub", "payload.task.FAR.>", forNone},
	{"sub", "payload.task.*.*.out", forNone},
	{"sub", "payload.serve.NODE.>", forUser},
	{"sub", "payload.serve.FAR.>", forNone},
	{"sub", "_INBOX.>", forNone},
	{"sub", "_INBOX_USER.NODE.>", forUser},
	{"sub", "_INBOX_OBSERVER.NODE.>", "observer"},
	{"sub", "_INBOX_USER.>", forNone},
	{"sub", "_INBOX_USER.FAR.>", forNone},
	{"sub", "_INBOX_OBSERVER.>", forNone},
	{"sub", "_INBOX_OBSERVER.FAR.>", forNone},
	{"sub", "$KV.>", forNone},
	{"sub", "$JS.>", forNone},
	{"sub", "$SYS.>", forNone},

	{"pub", "swarm.rpc.NODE.ping", forUser},
	{"pub", "payload.rpc.NODE.submit", forUser},
	{"pub", "payload.serve.NODE.text", forUser},
	{"pub", "swarm.rpc.FAR.ping", forNone},
	{"pub", "payload.rpc.FAR.submit", forNone},
	{"pub", "payload.serve.FAR.text", forNone},
	{"pub", "swarm.node.NODE.heartbeat", forNone},
	{"pub", "swarm.roster", forNone},
	{"pub", "swarm.task.NODE.t1.cancel", forNone},
	{"pub", "swarm.queue.NODE.next", forNone},
	{"pub", "payload.work.NODE.1.a.b.c.d", forNone},
	{"pub", "payload.claim.NODE.1.t1", forNone},
	{"pub", "payload.outbox.NODE.none.t1", forNone},
	{"pub", "payload.task.NODE.t1.out", forNone},
	{"pub", "payload.sync", forNone},
	{"pub", "payload.trust.NODE.offer", forNone},
	{"pub", "payload.trust.NODE.take", forNone},
	{"pub", "payload.trust.FAR.take", forNone},
	{"pub", "payload.find", forNone},
	{"pub", "$KV.peers.x", forNone},
	{"pub", "_INBOX.a.b", forNone},
	{"pub", "_INBOX_USER.a.b", forNone},
	{"pub", "$JS.ACK.NODE.x.OUT.c.1.1.1.1.0", forNone},
	{"pub", "$JS.ACK.OUT.c.1.1.1.1.0", forNone},
	{"pub", "$SYS.REQ.SERVER.PING", forNone},

	{"pub", "payload.store.NODE.call.INFO", forUser},
	{"pub", "payload.store.NODE.call.STREAM.DELETE.SECRET", forNone},
	{"pub", "payload.store.FAR.call.INFO", forNone},
	{"sub", "payload.store.NODE.>", forNone},

	{"api", "INFO", forUser},
	{"api", "STREAM.NAMES", forUser},
	{"api", "STREAM.LIST", forUser},
	{"api", "STREAM.INFO.KV_peers", forBoth},
	{"api", "STREAM.INFO.SECRET", forUser},
	{"api", "STREAM.MSG.GET.KV_peers", forBoth},
	{"api", "STREAM.MSG.GET.SECRET", forUser},
	{"api", "DIRECT.GET.KV_peers", forBoth},
	{"api", "DIRECT.GET.KV_peers.$KV.peers.x", forBoth},
	{"api", "DIRECT.GET.SECRET", forUser},
	{"api", "DIRECT.GET.SECRET.payload.secret", forUser},
	{"api", "CONSUMER.NAMES.SECRET", forUser},
	{"api", "CONSUMER.LIST.SECRET", forUser},
	{"api", "CONSUMER.INFO.SECRET.c", forUser},
	{"api", "CONSUMER.INFO.KV_peers.c", forBoth},
	{"api", "CONSUMER.CREATE.SECRET", forNone},
	{"api", "CONSUMER.CREATE.SECRET.c", forNone},
	{"api", "CONSUMER.DURABLE.CREATE.SECRET.c", forNone},
	{"api", "CONSUMER.DURABLE.CREATE.KV_peers.c", forNone},
	{"api", "CONSUMER.MSG.NEXT.SECRET.c", forNone},
	{"api", "CONSUMER.DELETE.SECRET.c", forNone},
	{"api", "CONSUMER.PAUSE.SECRET.c", forNone},
	{"api", "STREAM.CREATE.NEW", forNone},
	{"api", "STREAM.UPDATE.SECRET", forNone},
	{"api", "STREAM.PURGE.SECRET", forNone},
	{"api", "STREAM.PURGE.KV_peers", forNone},
	{"api", "STREAM.DELETE.KV_peers", forNone},
	{"api", "STREAM.DELETE.SECRET", forNone},
	{"api", "STREAM.MSG.DELETE.SECRET", forNone},
	{"api", "STREAM.MSG.DELETE.KV_peers", forNone},
	{"api", "STREAM.SNAPSHOT.SECRET", forNone},
	{"api", "STREAM.RESTORE.SECRET", forNone},
	{"api", "ACCOUNT.PURGE.$G", forNone},
	{"api", "META.LEADER.STEPDOWN", forNone},
}

func TestGrants(t *testing.T) {
	t.Parallel()
	n := fabrictest.Swarm(t, 1)[0]
	ctx := within(t)
	_, err := n.Store.JetStream().CreateStream(ctx, jetstream.StreamConfig{Name: "SECRET", Subjects: []string{"payload.secret"}, AllowDirect: true})
	check(t, err)
	_, err = n.Store.JetStream().Publish(ctx, "payload.secret", []byte("a prompt"))
	check(t, err)
	for _, who := range []string{"user", "observer"} {
		t.Run(who, func(t *testing.T) {
			t.Parallel()
			kp, inbox := n.User, bus.UserInbox(n.ID)
			if who == "observer" {
				kp, inbox = n.Observer, bus.ObserverInbox(n.ID)
			}
			for _, g := range grants {
				want := slices.Contains(strings.Fields(g.who), who)
				subjects := []string{g.subject}
				if g.op == "api" { // in the default domain; naming a domain goes past the check
					subjects = []string{"$JS.API." + g.subject, "$JS.NODE.API." + g.subject, "$JS.FAR.API." + g.subject}
				}
				for i, s := range subjects {
					s = strings.NewReplacer("NODE", string(n.ID), "FAR", "myco-ffffffffffff").Replace(s)
					if got := allowed(t, n.Client(t, kp, inbox), g.op, s); got != (want && i == 0) {
						t.Errorf("%s %s %s: allowed %v, want %v", who, g.op, s, got, want && i == 0)
					}
				}
			}
		})
	}
}

// allowed tries, and reports whether the server saw no violation. It closes nc.
func allowed(t *testing.T, nc *nats.Conn, op, subject string) bool {
	t.Helper()
	defer nc.Close()
	nc.SetErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})
	if op == "sub" {
		_, err := nc.SubscribeSync(subject)
		check(t, err)
	} else {
		check(t, nc.PublishRequest(subject, nc.NewInbox(), nil))
	}
	check(t, nc.FlushTimeout(fabrictest.Limit)) // the server's answer comes before the pong
	err := nc.LastError()
	if err != nil && !errors.Is(err, nats.ErrPermissionViolation) {
		t.Fatalf("%s %s: %v", op, subject, err)
	}
	return err == nil
}

// What people do with the two credentials: nats kv watch peers, kv get, kv ls, stream ls.
func TestReadPeersWithEachCredential(t *testing.T) {
	t.Parallel()
	n := fabrictest.Swarm(t, 1)[0]
	ctx := within(t)
	own, err := n.Store.Peers(ctx)
	check(t, err)
	_, err = own.Put(ctx, "a", []byte("1"))
	check(t, err)
	for who, kp := range map[string]nkeys.KeyPair{bus.UserInbox(n.ID): n.User, bus.ObserverInbox(n.ID): n.Observer} {
		nc := n.Client(t, kp, who, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			t.Errorf("%s: %v", who, err)
		}))
		js, err := jetstream.New(nc)
		check(t, err)
		kv, err := js.KeyValue(ctx, bus.BucketPeers)
		check(t, err)
		e, err := kv.Get(ctx, "a")
		check(t, err)
		keys, err := kv.Keys(ctx)
		check(t, err)
		if string(e.Value()) != "1" || !slices.Equal(keys, []string{"a"}) {
			t.Fatalf("%s: value %q, keys %v", who, e.Value(), keys)
		}
		w, err := kv.WatchAll(ctx)
		check(t, err)
		if e := <-w.Updates(); e == nil || e.Key() != "a" {
			t.Fatalf("%s: first update %v", who, e)
		}
		if e := <-w.Updates(); e != nil {
			t.Fatalf("%s: second update %v, want the end of what there was", who, e)
		}
		_, err = own.Put(ctx, "a", []byte("1"))
		check(t, err)
		if e := <-w.Updates(); e == nil || string(e.Value()) != "1" {
			t.Fatalf("%s: update %v", who, e)
		}
		check(t, w.Stop())
		if who == bus.UserInbox(n.ID) {
			names := []string{}
			for s := range js.StreamNames(ctx).Name() {
				names = append(names, s)
			}
			if !slices.Equal(names, []string{"KV_peers"}) {
				t.Fatalf("streams %v", names)
			}
		}
	}
}

// A consumer's deliver subject is free: it must not make the store speak for an observer.
func TestObserverCannotSteerTheStore(t *testing.T) {
	t.Parallel()
	n := fabrictest.Swarm(t, 1)[0]
	ctx := within(t)
	js := n.Store.JetStream()
	_, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "SECRET", Subjects: []string{"payload.secret"}})
	check(t, err)
	kv, err := n.Store.Peers(ctx)
	check(t, err)
	_, err = kv.Put(ctx, "a", []byte("1"))
	check(t, err)
	obs := n.Client(t, n.Observer, bus.ObserverInbox(n.ID))
	victim, err := n.Conn(t).SubscribeSync("swarm.task.>")
	check(t, err)
	create := func(name, deliver string) string {
		t.Helper()
		req, err := json.Marshal(map[string]any{"stream_name": "KV_peers", "config": map[string]any{
			"name": name, "deliver_subject": deliver, "headers_only": true, "ack_policy": "none", "deliver_policy": "all",
			"filter_subject": "$KV.peers.>", "replay_policy": "instant", "mem_storage": true,
		}})
		check(t, err)
		m, err := obs.RequestWithContext(ctx, "$JS.API.CONSUMER.CREATE.KV_peers."+name+".$KV.peers.>", req)
		check(t, err)
		return string(m.Data)
	}
	for name, deliver := range map[string]string{
		"delete": "$JS.API.STREAM.DELETE.SECRET",
		"purge":  "$JS.API.STREAM.PURGE.SECRET",
		"write":  "payload.secret",
		"cancel": "swarm.task.a.b.cancel",
		"all":    "_INBOX_OBSERVER",
	} {
		if got := create(name, deliver); !strings.Contains(got, `"code":403`) {
			t.Errorf("a consumer that delivers to %s: %s", deliver, got)
		}
	}
	// The same by the reply subject of other calls: the store's answer would be stored.
	for _, call := range []string{"STREAM.INFO.KV_peers", "STREAM.MSG.GET.KV_peers", "DIRECT.GET.KV_peers.$KV.peers.a", "CONSUMER.INFO.KV_peers.x", "CONSUMER.DELETE.KV_peers.x", "CONSUMER.CREATE.KV_peers.x"} {
		for _, reply := range []string{"payload.secret", "swarm.task.a.b.cancel", "$JS.API.STREAM.DELETE.SECRET"} {
			check(t, obs.PublishRequest("$JS.API."+call, reply, nil))
			check(t, obs.PublishRequest("$JS."+string(n.ID)+".API."+call, reply, nil))
		}
	}
	inbox := obs.NewInbox()
	sub, err := obs.SubscribeSync(inbox)
	check(t, err)
	check(t, obs.Flush())
	create("proper", inbox) // made last: what the others would do, they have done
	_, err = sub.NextMsgWithContext(ctx)
	check(t, err)
	s, err := js.Stream(ctx, "SECRET")
	check(t, err)
	if got := s.CachedInfo().State.LastSeq; got != 0 {
		t.Fatalf("the observer wrote %d messages", got)
	}
	if got, _, _ := victim.Pending(); got != 0 {
		t.Fatalf("the observer sent %d cancels", got)
	}
}

func TestStrangersAreRefused(t *testing.T) {
	t.Parallel()
	n := fabrictest.Swarm(t, 1)[0]
	stranger, err := nkeys.CreateUser()
	check(t, err)
	leaf, err := nkeys.FromSeed([]byte(n.Fabric.LeafSeed()))
	check(t, err)
	sign := func(kp nkeys.KeyPair) nats.Option {
		pub, err := kp.PublicKey()
		check(t, err)
		return nats.Nkey(pub, kp.Sign)
	}
	userPub, err := n.User.PublicKey()
	check(t, err)
	for name, opts := range map[string][]nats.Option{
		"nobody":                      nil,
		"a password":                  {nats.UserInfo("app", "app")},
		"a token":                     {nats.Token("x")},
		"an unknown key":              {sign(stranger)},
		"a known key, wrongly proven": {nats.Nkey(userPub, stranger.Sign)},
		"the store's key":             {sign(leaf)},
	} {
		nc, err := nats.Connect(n.Fabric.ClientURL(), append(opts, nats.Timeout(fabrictest.Limit))...)
		if err == nil {
			nc.Close()
		}
		if !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("%s: %v, want an authorization violation", name, err)
		}
	}
	// A client's key does not do for a store.
	seed, err := n.User.Seed()
	check(t, err)
	s, err := store.New(store.Config{
		ID: "myco-000000000000", Dir: t.TempDir(), LeafURL: n.Fabric.LeafURL(), LeafSeed: string(seed), Logger: fabrictest.Logger(t, n.Key),
		StartLimit: 2 * time.Second,
	})
	check(t, err)
	if err := s.Start(t.Context()); !errors.Is(err, &bus.Error{Code: bus.CodeUnavailable}) {
		t.Fatalf("a store with a client's key: %v, want unavailable", err)
	}
}
