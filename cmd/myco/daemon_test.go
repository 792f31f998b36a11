package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"github.com/mycoswarm/mycoswarm/bus"
)

const (
	self  = bus.NodeID("myco-0123456789ab")
	other = bus.NodeID("myco-ba9876543210")
	limit = 30 * time.Second // of anything that a test waits for
)

// daemon is a stand-in for mycod: a NATS server with a user credential, a table of nodes, and
// the verbs that a test gives it.
type daemon struct {
	t     *testing.T
	dir   string
	nc    *nats.Conn
	end   func()                         // as when mycod is killed
	nodes atomic.Pointer[[]bus.NodeInfo] // its table
}

// setup starts a daemon of a swarm of two.
func setup(t *testing.T) *daemon {
	t.Helper()
	d := &daemon{t: t, dir: t.TempDir()}
	d.nodes.Store(&nodes)
	seed, public := newUser(t)
	must(t, os.WriteFile(filepath.Join(d.dir, bus.UserCreds), seed, 0o600))
	srv, err := server.NewServer(&server.Options{
		ServerName: string(self), Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true,
		JetStream: true, StoreDir: t.TempDir(),
		Nkeys: []*server.NkeyUser{{Nkey: public}}, Users: []*server.User{{Username: "daemon", Password: "daemon"}},
	})
	must(t, err)
	srv.Start()
	d.end = srv.Shutdown
	if !srv.ReadyForConnections(limit) {
		t.Fatal("the NATS server does not start")
	}
	closed := make(chan struct{})
	d.nc, err = nats.Connect("", nats.InProcessServer(srv), nats.UserInfo("daemon", "daemon"), nats.Timeout(limit), nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	must(t, err)
	t.Cleanup(func() {
		if srv.Running() {
			must(t, d.nc.Drain()) // what a command has left is answered first
		} else {
			d.nc.Close()
		}
		<-closed
		srv.Shutdown()
		srv.WaitForShutdown()
	})
	info, err := json.Marshal(bus.DaemonInfo{NodeID: self, BusURL: srv.ClientURL()})
	must(t, err)
	must(t, os.WriteFile(filepath.Join(d.dir, bus.DaemonFile), info, 0o600))
	d.peers()
	on(d, bus.SubjectRPC(self, bus.VerbStatus), func(struct{}) any {
		return bus.Status{
			Node: (*d.nodes.Load())[0], Nodes: *d.nodes.Load(), Swarm: bus.SwarmInfo{ID: "s1", Name: "home", QueueHost: other, Term: 3},
			Nearby: []bus.NearbySwarm{{NodeID: "myco-ffffffffffff", Name: "foreign", JoinAddr: "192.0.2.9:7423"}},
		}
	})
	return d
}

// nodes are the table of nodes.
var nodes = []bus.NodeInfo{
	{
		ID: self, Name: "laptop", State: bus.NodeSuspect, Tier: "light", GPUTier: "none", Types: []string{"ping"},
		Slots: 1, Version: "v1",
	},
	{
		ID: other, Name: "tower", State: bus.NodeReady, Tier: "executive", GPUTier: "ultra", Capabilities: []string{"gpu_inference"},
		Models: []bus.ModelInfo{
			{Name: "gemma3:27b", Loaded: true, SizeBytes: 17e9},
			{Name: "a"},
			{Name: "b"},
			{Name: "c"},
			{Name: "d"},
		},
		Types: []string{"ping", "inference"}, Slots: 4, Busy: 2, QueueHost: true, Version: "v1",
	},
}

func (d *daemon) peers() {
	d.t.Helper()
	js, err := jetstream.New(d.nc)
	must(d.t, err)
	kv, err := js.CreateKeyValue(d.t.Context(), jetstream.KeyValueConfig{Bucket: bus.BucketPeers, Storage: jetstream.MemoryStorage})
	must(d.t, err)
	for _, n := range nodes {
		d.put(kv, n)
	}
}

// put has a node in the table of nodes.
func (d *daemon) put(kv jetstream.KeyValue, n bus.NodeInfo) {
	d.t.Helper()
	b, err := json.Marshal(n)
	must(d.t, err)
	_, err = kv.Put(d.t.Context(), string(n.ID), b)
	must(d.t, err)
}

// newUser makes a credential.
func newUser(t *testing.T) (seed []byte, public string) {
	t.Helper()
	k, err := nkeys.CreateUser()
	must(t, err)
	seed, err = k.Seed()
	must(t, err)
	public, err = k.PublicKey()
	must(t, err)
	return seed, public
}

// on answers a verb whose request is a Req. A *bus.Error goes out as one; nil is no answer.
func on[Req any](d *daemon, subject string, answer func(Req) any) {
	d.t.Helper()
	_, err := d.nc.Subscribe(subject, func(m *nats.Msg) {
		var req Req
		if err := json.Unmarshal(m.Data, &req); err != nil {
			d.t.Errorf("decode a request on %s: %v", subject, err)
		}
		v := answer(req)
		if v == nil {
			return
		}
		out := nats.NewMsg(m.Reply)
		if e, ok := v.(*bus.Error); ok {
			out.Header.Set(bus.HeaderError, fmt.Sprint(e.Code.HTTPStatus()))
		}
		var err error
		if out.Data, err = json.Marshal(v); err != nil {
			d.t.Error(err)
		}
		if err := m.RespondMsg(out); err != nil {
			d.t.Error(err)
		}
	})
	must(d.t, err)
	must(d.t, d.nc.Flush())
}

func payload(verb string) string { return bus.SubjectPayloadRPC(self, verb) }

// send publishes chunks.
func (d *daemon) send(inbox string, chunks ...bus.Chunk) {
	for _, c := range chunks {
		b, err := json.Marshal(c)
		if err == nil {
			err = d.nc.Publish(inbox, b)
		}
		if err != nil {
			d.t.Error(err)
		}
	}
}

// receive waits for a value.
func receive[T any](t *testing.T, ch <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(limit):
		t.Fatalf("waited %v for %s", limit, what)
		panic("unreachable")
	}
}

// outcome is what one run of the command left behind.
type outcome struct {
	code     int
	out, err string
}

// myco runs the command against d.
func (d *daemon) myco(args ...string) outcome {
	return d.mycoIn(d.t.Context(), "", args...)
}

// mycoIn runs the command with something piped in. Its hints name d's directory, and outcome has them as
// they are where that is the usual one; see TestHintsNameTheDataDirectory.
func (d *daemon) mycoIn(ctx context.Context, in string, args ...string) outcome {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 2*limit)
	defer cancel()
	var out, errs bytes.Buffer
	code := run(ctx, append([]string{"--data-dir", d.dir}, args...), streams{
		in: strings.NewReader(in), out: &out, err: &errs, piped: in != "", environ: []string{"XDG_STATE_HOME=" + d.dir},
	})
	usual := strings.NewReplacer("myco --data-dir "+d.dir+" ", "myco ", "myco --data-dir "+strings.ReplaceAll(d.dir, `\`, `\\`)+" ", "myco ")
	return outcome{code, usual.Replace(out.String()), usual.Replace(errs.String())}
}

// want fails unless the command ended with code, and its error output holds all of says. Another code ends the test: who
// waits for what the command leaves behind would wait in vain.
func (o outcome) want(t *testing.T, code int, says ...string) outcome {
	t.Helper()
	if o.code != code {
		t.Fatalf("exit code %d, want %d\n%s%s", o.code, code, o.out, o.err)
	}
	for _, s := range says {
		if !strings.Contains(o.err, s) {
			t.Errorf("standard error does not say %q:\n%s", s, o.err)
		}
	}
	return o
}
