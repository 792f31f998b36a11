package bus_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/mycoswarm/mycoswarm/bus"
)

// A program that hands over more at once than the daemon takes in is held up, and does not drown what others ask.
func TestAFloodOfLargeRequestsWaits(t *testing.T) {
	t.Parallel()
	d, c := setup(t)
	const tasks, most = 20, 4 << 20
	on(d, bus.SubjectRPC(self, bus.VerbPing), func(struct{}) any { return bus.PingReply{NodeID: self} })
	came := make(chan *nats.Msg, tasks)
	_, err := d.nc.ChanSubscribe(payload(bus.VerbEnqueue), came)
	must(t, err)
	must(t, d.nc.Flush())
	task := bus.Task{Type: "ping", Payload: []byte(`"` + strings.Repeat("x", 700<<10) + `"`)}
	var all sync.WaitGroup
	for range tasks {
		all.Go(func() {
			if _, err := c.Enqueue(t.Context(), task); err != nil {
				t.Error(err)
			}
		})
	}
	var open []*nats.Msg
	bytes := 0
	for answered := 0; answered < tasks; {
		select {
		case m := <-came:
			open, bytes = append(open, m), bytes+len(m.Data)
			if bytes > most {
				t.Errorf("%d requests of %d bytes are without an answer, want %d bytes at most", len(open), bytes, most)
			}
			continue
		case <-time.After(200 * time.Millisecond): // no more come
		}
		check(t, bus.PingReply{NodeID: self})(c.Ping(t.Context())) // what is small waits behind none
		for _, m := range open {
			must(t, m.Respond([]byte(`{"accepted":true}`)))
			answered++
		}
		open, bytes = nil, 0
	}
	all.Wait()
}
