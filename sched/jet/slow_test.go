package jet_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/bus/fabric/fabrictest"
	"github.com/mycoswarm/mycoswarm/sched/jet"
)

// A store on a slow disk takes seconds to make a stream, and the start waits for it.
func TestStartOnASlowDisk(t *testing.T) {
	t.Parallel()
	n := fabrictest.Swarm(t, 1)[0]
	fabric, err := n.Fabric.Conn("jet")
	check(t, err)
	defer fabric.Close()
	srv, err := server.NewServer(&server.Options{DontListen: true, NoLog: true, NoSigs: true})
	check(t, err)
	srv.Start()
	defer srv.WaitForShutdown()
	defer srv.Shutdown()
	dial := func() *nats.Conn {
		nc, err := nats.Connect("", nats.InProcessServer(srv))
		check(t, err)
		return nc
	}
	disk, store := dial(), dial() // disk answers in the store's place
	defer disk.Close()
	defer store.Close()
	_, err = disk.Subscribe("$JS.API.STREAM.CREATE.*", func(m *nats.Msg) {
		made, _ := json.Marshal(jetstream.StreamInfo{Config: jetstream.StreamConfig{Name: "OUTBOX_" + string(n.ID)}}) // strings
		time.AfterFunc(6*time.Second, func() { _ = m.Respond(made) })                                                 // nats.go itself waits for 5
	})
	check(t, err)
	check(t, disk.Flush())

	j, err := jet.New(jet.Config{Node: n.ID, Fabric: fabric, Store: store, Dir: t.TempDir(), Logger: fabrictest.Logger(t, n.Key)})
	check(t, err)
	ctx, made := context.WithCancel(t.Context())
	defer made()
	_, err = fabric.Subscribe(bus.SubjectOutboxes+">", func(*nats.Msg) { made() }) // it looks for what was made
	check(t, err)
	if err := j.Start(ctx); err == nil || !strings.Contains(err.Error(), "reach own outbox") {
		t.Errorf("the start ends with %v, want it to have made the outbox", err)
	}
	check(t, j.Close())
}
