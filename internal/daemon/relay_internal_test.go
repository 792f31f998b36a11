package daemon

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
)

// A node that is lost once it has been asked answers never, and is not waited for.
func TestAskEndsWithWhoIsAsked(t *testing.T) {
	t.Parallel()
	s, err := server.NewServer(&server.Options{DontListen: true, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	nc, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	asked := make(chan struct{}, 1)
	for subject, f := range map[string]nats.MsgHandler{
		"lost":  func(*nats.Msg) { asked <- struct{}{} },
		"lives": func(m *nats.Msg) { _ = m.Respond([]byte("here")) }, // else the one who asked fails the test
	} {
		if _, err := nc.Subscribe(subject, f); err != nil {
			t.Fatal(err)
		}
	}
	there := func() bool {
		select {
		case <-asked:
			return false
		default:
			return true
		}
	}
	if m, err := ask(t.Context(), nc, there, "lost", nil); !errors.Is(err, context.Canceled) || t.Context().Err() != nil {
		t.Errorf("a node that is lost answers %v, error %v", m, err)
	}
	if m, err := ask(t.Context(), nc, func() bool { return true }, "lives", nil); err != nil || string(m.Data) != "here" {
		t.Errorf("a node that lives answers %v, error %v", m, err)
	}
}

// Output of a node comes to an end with that start of it.
func TestSourceIsOneStart(t *testing.T) {
	t.Parallel()
	const at bus.NodeID = "myco-0123456789ab"
	now := time.Now()
	for what, c := range map[string]struct {
		peers map[bus.NodeID]sched.Peer
		ended time.Duration // for how long nothing was heard of a task that has ended
		there bool
	}{
		"it lives":              {map[bus.NodeID]sched.Peer{at: {State: bus.NodeReady, Beat: bus.Heartbeat{Boot: "first"}}}, 0, true},
		"it is silent":          {map[bus.NodeID]sched.Peer{at: {State: bus.NodeSuspect, Beat: bus.Heartbeat{Boot: "first"}}}, 0, true},
		"it is lost":            {map[bus.NodeID]sched.Peer{at: {State: bus.NodeLost, Beat: bus.Heartbeat{Boot: "first"}}}, 0, false},
		"it has started anew":   {map[bus.NodeID]sched.Peer{at: {State: bus.NodeReady, Beat: bus.Heartbeat{Boot: "second"}}}, 0, false},
		"it was never heard of": {nil, 0, false},
		"it tells of an end":    {map[bus.NodeID]sched.Peer{at: {State: bus.NodeReady, Beat: bus.Heartbeat{Boot: "first"}}}, endedWait / 2, true},
		"what it told is lost":  {map[bus.NodeID]sched.Peer{at: {State: bus.NodeReady, Beat: bus.Heartbeat{Boot: "first"}}}, endedWait, false},
	} {
		s := source{at: at, boot: "first", ended: c.ended > 0, heard: now.Add(-c.ended)}
		if got := s.in(sched.View{Peers: c.peers}, now); got != c.there {
			t.Errorf("%s: there %t, want %t", what, got, c.there)
		}
	}
}
