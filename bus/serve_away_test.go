package bus_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

// A handler that returns while the daemon takes the connection anew, and says nothing, has ended all the same: its program
// goes on, and is told to stop.
func TestServeDoesNotWaitForADialUnderWay(t *testing.T) {
	t.Parallel()
	addr, came := silent(t)
	d := startDaemon(t)
	c, _ := dialLogged(t, d, bus.WithLimit(2*limit))
	started, dialled := make(chan struct{}), make(chan struct{})
	s := serveOn(t, d, c, func(ctx context.Context, _ *bus.Task, _ bus.Emit) (any, error) {
		close(started)
		<-ctx.Done()
		<-came
		close(dialled)
		return nil, ctx.Err()
	})
	s.run("t1")
	receive(t, started, "the start")
	d.write(bus.DaemonInfo{NodeID: self, BusURL: "nats://" + addr})
	d.stop()
	receive(t, dialled, "the dial")
	s.cancel()
	must(t, receive(t, s.ended, "the end of Serve"))
}

// Who asks something else for what it can run, which does not answer, is told to stop all the same.
func TestServeEndsWhileAHandlerIsAsked(t *testing.T) {
	t.Parallel()
	d, c := setup(t)
	on(d, payload(bus.VerbServe), func(bus.ServeRequest) any { return bus.ServeReply{Jobs: jobs, Cancels: stop} })
	h := &waits{asked: make(chan struct{}, 100)}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Serve(ctx, h) }()
	for range 2 {
		receive(t, h.asked, "the question what it can run")
	}
	cancel()
	must(t, receive(t, ended, "the end of Serve"))
}

// waits is a Handler that cannot tell, after the first time, what it can run.
type waits struct {
	times atomic.Int32
	asked chan struct{}
}

func (w *waits) Capability(ctx context.Context) (bus.Capability, error) {
	w.asked <- struct{}{}
	if w.times.Add(1) > 1 {
		<-ctx.Done()
		return bus.Capability{}, ctx.Err()
	}
	return bus.Capability{Type: "echo", Slots: 1}, nil
}

func (*waits) Handle(context.Context, *bus.Task, bus.Emit) (any, error) { return nil, nil }
