package identity_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/mycoswarm/mycoswarm/internal/identity"
)

// fabric starts a routed server with a store's trust, that dials routes.
func fabric(t *testing.T, s *identity.Store, routes ...string) (*server.Server, *server.Options) {
	t.Helper()
	o := &server.Options{
		ServerName: string(s.NodeID()), Host: "127.0.0.1", Port: -1, NoLog: true, NoSigs: true,
		Cluster: server.ClusterOpts{
			Name: "swarm", Host: "127.0.0.1", Port: -1, PoolSize: -1,
			TLSConfig: s.RouteTLS(), TLSTimeout: 30, TLSPinnedCerts: s.Pinned(),
		},
	}
	for _, r := range routes {
		o.Routes = append(o.Routes, server.RoutesFromStr("nats-route://"+r)...)
	}
	srv, err := server.NewServer(o.Clone())
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(patience) {
		t.Fatal("the server does not start")
	}
	return srv, o
}

// TestServerRoutes: nats-server takes the configuration and the pinned set as they
// are, on accepted and on solicited routes, and a revocation cuts a live one.
func TestServerRoutes(t *testing.T) {
	t.Parallel()
	h, foreign := newHost(t, "host"), newHost(t, "foreign")
	s := h.joined(t, "guest")
	accepting, opts := fabric(t, h.Store)
	addr := accepting.ClusterAddr().String()
	soliciting, _ := fabric(t, s, addr)
	fabric(t, foreign.Store, addr)

	until(t, "the members' route", func() bool { return accepting.NumRoutes() > 0 && soliciting.NumRoutes() > 0 })
	z, err := accepting.Routez(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range z.Routes {
		if r.RemoteName != string(s.NodeID()) {
			t.Errorf("a route to %s", r.RemoteName)
		}
	}

	if err := h.Revoke(s.NodeID()); err != nil {
		t.Fatal(err)
	}
	o := opts.Clone()
	o.Cluster.Port = accepting.ClusterAddr().Port
	o.Port = -1
	o.Cluster.TLSPinnedCerts = h.Pinned()
	if err := accepting.ReloadOptions(o); err != nil {
		t.Fatal(err)
	}
	until(t, "the end of the revoked node's route", func() bool { return accepting.NumRoutes() == 0 && soliciting.NumRoutes() == 0 })
}

// until looks again every few milliseconds: the server tells nobody about its routes.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	end := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("%s did not come", what)
		}
	}
}
