package bus_test

import (
	"context"
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
