package store_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/bus/fabric"
	"github.com/mycoswarm/mycoswarm/bus/fabric/fabrictest"
)

func domain(tb testing.TB, nc *nats.Conn, n *fabrictest.Node) jetstream.JetStream {
	tb.Helper()
	js, err := jetstream.NewWithDomain(nc, string(n.ID))
	check(tb, err)
	return js
}

func TestStreamOfAnotherNode(t *testing.T) {
	t.Parallel()
	nodes := fabrictest.Swarm(t, 2)
	a, b := nodes[0], nodes[1]
	ctx := within(t)
	nc := a.Conn(t)
	far := domain(t, nc, b)
	// Made from a in the store of b, written from a with an acknowledgement across the route.
	stream, err := far.CreateStream(ctx, jetstream.StreamConfig{Name: "OUT_" + string(b.ID), Subjects: []string{"payload.outbox." + string(b.ID) + ".>"}})
	check(t, err)
	ack, err := far.Publish(ctx, "payload.outbox."+string(b.ID)+".x.1", []byte("hello"))
	check(t, err)
	if ack.Domain != string(b.ID) || ack.Stream != "OUT_"+string(b.ID) || ack.Sequence != 1 {
		t.Fatalf("acknowledgement %+v, want stream and domain of %s, sequence 1", ack, b.ID)
	}
	// It is there for b's own connection, and only there.
	m, err := b.Store.JetStream().Stream(ctx, "OUT_"+string(b.ID))
	check(t, err)
	got, err := m.GetMsg(ctx, 1)
	check(t, err)
	if string(got.Data) != "hello" {
		t.Fatalf("stored %q", got.Data)
	}
	if _, err := a.Store.JetStream().Stream(ctx, "OUT_"+string(b.ID)); err == nil {
		t.Fatal("the stream is in the store of the wrong node")
	}
	// Fetched and acknowledged from a.
	cons, err := stream.CreateConsumer(ctx, jetstream.ConsumerConfig{Durable: "c", AckPolicy: jetstream.AckExplicitPolicy})
	check(t, err)
	msg, err := cons.Next(jetstream.FetchContext(ctx))
	check(t, err)
	if !strings.HasPrefix(msg.Reply(), "$JS.ACK."+string(b.ID)+".") {
		t.Fatalf("ack subject %q does not name the domain", msg.Reply())
	}
	check(t, msg.DoubleAck(ctx))
}

// Equal names of stream and consumer in two domains: the ack of one must not touch the other.
func TestAcksStayInTheirDomain(t *testing.T) {
	t.Parallel()
	nodes := fabrictest.Swarm(t, 2)
	ctx := within(t)
	nc := nodes[0].Conn(t)
	var cons [2]jetstream.Consumer
	for i, n := range nodes {
		js := domain(t, nc, n)
		s, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "SAME", Subjects: []string{"payload.same." + string(n.ID)}, Retention: jetstream.WorkQueuePolicy})
		check(t, err)
		cons[i], err = s.CreateConsumer(ctx, jetstream.ConsumerConfig{Durable: "same", AckPolicy: jetstream.AckExplicitPolicy})
		check(t, err)
		_, err = js.Publish(ctx, "payload.same."+string(n.ID), []byte(n.ID))
		check(t, err)
	}
	var msgs [2]jetstream.Msg
	for i := range nodes {
		var err error
		msgs[i], err = cons[i].Next(jetstream.FetchContext(ctx))
		check(t, err)
	}
	check(t, msgs[0].DoubleAck(ctx))
	info, err := cons[1].Info(ctx)
	check(t, err)
	if info.NumAckPending != 1 {
		t.Fatalf("the other domain has %d messages unacknowledged, want 1", info.NumAckPending)
	}
	check(t, msgs[1].DoubleAck(ctx))
	info, err = cons[1].Info(ctx)
	check(t, err)
	if info.NumAckPending != 0 {
		t.Fatalf("%d messages unacknowledged after the ack, want 0", info.NumAckPending)
	}
}

func TestPeersBucketIsPerNode(t *testing.T) {
	t.Parallel()
	nodes := fabrictest.Swarm(t, 2)
	ctx := within(t)
	for _, n := range nodes {
		kv, err := n.Store.Peers(ctx)
		check(t, err)
		_, err = kv.Put(ctx, "who", []byte(n.ID))
		check(t, err)
	}
	for _, n := range nodes {
		kv, err := n.Store.Peers(ctx)
		check(t, err)
		e, err := kv.Get(ctx, "who")
		check(t, err)
		if string(e.Value()) != string(n.ID) || e.Revision() != 1 {
			t.Fatalf("store of %s holds %q at revision %d", n.ID, e.Value(), e.Revision())
		}
	}
	// A plain client of the fabric gets its own node's store.
	js, err := jetstream.New(nodes[1].Client(t, nodes[1].User, bus.UserInbox(nodes[1].ID)))
	check(t, err)
	kv, err := js.KeyValue(ctx, "peers")
	check(t, err)
	e, err := kv.Get(ctx, "who")
	check(t, err)
	if string(e.Value()) != string(nodes[1].ID) {
		t.Fatalf("the default domain is %q, want the own store's", e.Value())
	}
}

// RePublish is the way a store tells what it stored; the grant of the leaf must let it through.
func TestRePublishCrossesTheLeaf(t *testing.T) {
	t.Parallel()
	nodes := fabrictest.Swarm(t, 2)
	a, b := nodes[0], nodes[1]
	ctx := within(t)
	nc := a.Conn(t)
	sub, err := nc.SubscribeSync("swarm.queue." + string(b.ID) + ".stored.>")
	check(t, err)
	check(t, nc.Flush())
	js := domain(t, nc, b)
	_, err = js.CreateStream(ctx, jetstream.StreamConfig{
		Name: "W", Subjects: []string{"payload.work." + string(b.ID) + ".>"}, Storage: jetstream.MemoryStorage,
		RePublish: &jetstream.RePublish{Source: "payload.work." + string(b.ID) + ".>", Destination: "swarm.queue." + string(b.ID) + ".stored.>", HeadersOnly: true},
	})
	check(t, err)
	fabrictest.Eventually(t, func() bool { return b.Fabric.Interest("swarm.queue." + string(b.ID) + ".stored.1.x") }, "interest at b")
	_, err = js.Publish(ctx, "payload.work."+string(b.ID)+".1.x", []byte("secret"))
	check(t, err)
	m, err := sub.NextMsgWithContext(ctx)
	check(t, err)
	if m.Subject != "swarm.queue."+string(b.ID)+".stored.1.x" || len(m.Data) != 0 || m.Header.Get("Nats-Sequence") != "1" {
		t.Fatalf("got %s %q %v", m.Subject, m.Data, m.Header)
	}
}

// A client that names a subject of others as its reply does not get the store to publish there.
func TestStoreDoesNotAnswerOutsideInboxes(t *testing.T) {
	t.Parallel()
	n := fabrictest.Swarm(t, 1)[0]
	ctx := within(t)
	nc := n.Conn(t)
	victim, err := nc.SubscribeSync("swarm.task.>")
	check(t, err)
	daemon, err := nc.SubscribeSync("_INBOX.>") // an observer sees the reply subjects of daemons
	check(t, err)
	inbox := bus.UserInbox(n.ID) + ".a"
	sub, err := nc.SubscribeSync(inbox)
	check(t, err)
	check(t, nc.PublishRequest("$JS.API.STREAM.INFO.KV_peers", "swarm.task.a.b.cancel", nil))
	check(t, nc.PublishRequest("$JS.API.STREAM.INFO.KV_peers", "_INBOX.a.b", nil))
	check(t, nc.PublishRequest("$JS.API.STREAM.INFO.KV_peers", inbox, nil))
	// The second answer comes after the first would have.
	m, err := sub.NextMsgWithContext(ctx)
	check(t, err)
	var info struct{ Type string }
	check(t, json.Unmarshal(m.Data, &info))
	if n, _, _ := victim.Pending(); n != 0 {
		t.Fatalf("%d answers reached a subject that is no inbox", n)
	}
	if n, _, _ := daemon.Pending(); n != 0 {
		t.Fatalf("%d answers reached the inbox of a daemon", n)
	}
}

func TestDefaultDomainAndClientsSurviveReloads(t *testing.T) {
	t.Parallel()
	nodes := fabrictest.Swarm(t, 2)
	a := nodes[0]
	ctx := within(t)
	cut := make(chan struct{}, 8)
	nc := a.Conn(t, nats.DisconnectErrHandler(func(*nats.Conn, error) { cut <- struct{}{} }))
	user := a.Client(t, a.User, bus.UserInbox(a.ID), nats.DisconnectErrHandler(func(*nats.Conn, error) { cut <- struct{}{} }))
	linked := a.Store.Linked()
	third := fabrictest.NewKey(t)
	a.Roster.Add(third)
	check(t, a.Fabric.SetPinned(a.Roster.Pinned()))
	check(t, a.Fabric.SetPeers(nil))
	check(t, a.Fabric.SetPeers([]fabric.Peer{nodes[1].Peer()}))
	fabrictest.AwaitMesh(t, nodes...)
	js, err := jetstream.New(user)
	check(t, err)
	kv, err := js.KeyValue(ctx, "peers")
	check(t, err)
	_, err = kv.Status(ctx)
	check(t, err)
	for _, c := range []*nats.Conn{nc, user} {
		check(t, c.FlushTimeout(10*time.Second))
	}
	if len(cut) > 0 || !linked || !a.Store.Linked() {
		t.Fatalf("reloading cut %d clients, leaf linked %v", len(cut), a.Store.Linked())
	}
}

// Whoever may watch the bucket of peers must not be able to fill the memory with watches.
func TestClientsCannotMakeConsumersWithoutEnd(t *testing.T) {
	t.Parallel()
	n := fabrictest.Swarm(t, 1)[0]
	ctx := within(t)
	nc := n.Client(t, n.Observer, bus.ObserverInbox(n.ID))
	made, refused := 0, 0
	for range 300 {
		name := nats.NewInbox()[len(nats.InboxPrefix):]
		req := `{"stream_name":"KV_peers","config":{"name":"` + name + `","ack_policy":"none","filter_subject":"$KV.peers.>","inactive_threshold":300000000000}}`
		m, err := nc.RequestWithContext(ctx, "$JS.API.CONSUMER.CREATE.KV_peers."+name+".$KV.peers.>", []byte(req))
		check(t, err)
		var r struct {
			Error *struct{ Code int }
		}
		check(t, json.Unmarshal(m.Data, &r))
		switch {
		case r.Error == nil:
			made++
		case r.Error.Code == 403:
			refused++
		default:
			t.Fatalf("refused with code %d", r.Error.Code)
		}
	}
	if made != 256 || refused != 44 {
		t.Fatalf("%d consumers made and %d refused, want 256 and 44", made, refused)
	}
}
