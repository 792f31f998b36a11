package bus_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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
	limit = 30 * time.Second // of anything that a test waits for
)

// daemon is a stand-in for mycod: a NATS server with a user credential, and the verbs that a
// test gives it.
type daemon struct {
	t    *testing.T
	dir  string
	opts *server.Options
	srv  *server.Server
	nc   *nats.Conn // with full rights
	verb map[string]nats.MsgHandler
}

// setup starts a daemon and connects to it as a user.
func setup(t *testing.T) (*daemon, *bus.Conn) {
	t.Helper()
	d := startDaemon(t)
	c, err := bus.Dial(t.Context(), bus.WithDataDir(d.dir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return d, c
}

func startDaemon(t *testing.T) *daemon {
	t.Helper()
	d := &daemon{t: t, dir: t.TempDir(), verb: map[string]nats.MsgHandler{}}
	user, err := nkeys.CreateUser()
	must(t, err)
	seed, err := user.Seed()
	must(t, err)
	public, err := user.PublicKey()
	must(t, err)
	must(t, os.WriteFile(filepath.Join(d.dir, bus.UserCreds), seed, 0o600))
	d.opts = &server.Options{
		ServerName: string(self), Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true,
		JetStream: true, StoreDir: t.TempDir(),
		Nkeys: []*server.NkeyUser{{Nkey: public, Permissions: userPermissions()}},
		Users: []*server.User{{Username: "daemon", Password: "daemon"}},
	}
	d.run()
	t.Cleanup(d.stop)
	return d
}

// userPermissions are those that a user credential needs, and no more.
func userPermissions() *server.Permissions {
	return &server.Permissions{
		Publish: &server.SubjectPermission{Allow: []string{
			"swarm.rpc." + string(self) + ".>", "payload.rpc." + string(self) + ".>",
			"payload.serve." + string(self) + ".>",
			"$JS.API.INFO", "$JS.API.STREAM.INFO.*", "$JS.API.CONSUMER.CREATE.KV_peers.>",
			"$JS.API.CONSUMER.DELETE.KV_peers.>", "$JS.API.DIRECT.GET.KV_peers.>", "$JS.FC.>",
		}},
		Subscribe: &server.SubjectPermission{Allow: []string{
			bus.SubjectAll, bus.UserInbox(self) + ".>", "payload.serve." + string(self) + ".>",
		}},
	}
}

// run starts the server, and answers the verbs there are.
func (d *daemon) run() {
	d.t.Helper()
	var err error
	d.srv, err = server.NewServer(d.opts.Clone())
	must(d.t, err)
	d.srv.Start()
	if !d.srv.ReadyForConnections(limit) {
		d.t.Fatal("the NATS server does not start")
	}
	d.nc, err = nats.Connect("", nats.InProcessServer(d.srv), nats.UserInfo("daemon", "daemon"))
	must(d.t, err)
	d.write(bus.DaemonInfo{NodeID: self, BusURL: d.srv.ClientURL()})
	for subject, h := range d.verb {
		_, err := d.nc.Subscribe(subject, h)
		must(d.t, err)
	}
	must(d.t, d.nc.Flush())
}

func (d *daemon) stop() {
	d.nc.Close()
	d.srv.Shutdown()
	d.srv.WaitForShutdown()
}

func (d *daemon) write(info bus.DaemonInfo) {
	d.t.Helper()
	b, err := json.Marshal(info)
	must(d.t, err)
	must(d.t, os.WriteFile(filepath.Join(d.dir, bus.DaemonFile), b, 0o600))
}

// send publishes v as JSON.
func (d *daemon) send(subject string, v any) {
	b, err := json.Marshal(v)
	if err == nil {
		err = d.nc.Publish(subject, b)
	}
	if err != nil {
		d.t.Error(err)
	}
}

// peers writes nodes into the table of nodes.
func (d *daemon) peers(ctx context.Context) jetstream.KeyValue {
	d.t.Helper()
	js, err := jetstream.New(d.nc)
	must(d.t, err)
	kv, err := js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: bus.BucketPeers, Storage: jetstream.MemoryStorage})
	must(d.t, err)
	return kv
}

// on answers a verb whose request is a Req. An answer that is a *bus.Error goes out as one; nil
// leaves the request without an answer.
func on[Req any](d *daemon, subject string, answer func(Req) any) {
	d.t.Helper()
	h := func(m *nats.Msg) {
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
		if err := m.RespondMsg(out); err != nil && !errors.Is(err, nats.ErrConnectionClosed) { // the daemon may be stopping
			d.t.Error(err)
		}
	}
	d.verb[subject] = h
	_, err := d.nc.Subscribe(subject, h)
	must(d.t, err)
	must(d.t, d.nc.Flush())
}

func payload(verb string) string { return bus.SubjectPayloadRPC(self, verb) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
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

// wantCode fails unless err is a bus.Error of this code with a hint.
func wantCode(t *testing.T, err error, code bus.Code) {
	t.Helper()
	if e := bus.AsError(err); e == nil || e.Code != code {
		t.Fatalf("error %v with code %q, want %q", err, codeOf(err), code)
	}
}

func codeOf(err error) bus.Code {
	if e := bus.AsError(err); e != nil {
		return e.Code
	}
	return ""
}
