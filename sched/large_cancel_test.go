package sched_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched/internal/sim"
)

// A task is cancelled while its worker looks for the payload, fetches it, or hands the result over, and no
// node answers that: its slot runs the next task at once, and it has ended as cancelled.
func TestLargeCancelledUnderWay(t *testing.T) {
	t.Parallel()
	for _, op := range []string{"HasBlob", "GetBlob", "PutBlob"} {
		for _, durable := range []bool{true, false} {
			play(t, setup{nodes: 4}, func(s *swarm) {
				from, w := mirrored(s)
				var under atomic.Bool
				s.net.SetDrop(func(t sim.Traffic) bool {
					if t.Op != op || t.Task != "large" || t.From != s.nodes[w].id {
						return false
					}
					under.Store(true)
					return true
				})
				p := s.nodes[from].now()
				if durable {
					s.accept(from, "large")
				} else if _, _, err := p.node.Submit(bus.Task{ID: "large", Type: "mirror", Payload: big}); err != nil {
					s.note("submit: %v", err)
				}
				if !s.until(30*time.Second, under.Load) {
					s.note("%s is not under way", op)
				}
				began := time.Now()
				if info, err := p.node.Cancel(p.life, "large"); err != nil || info.State != bus.StateCancelled {
					s.note("cancelled during %s: it is %q, %v", op, info.State, err)
				}
				s.accept(from, "next")
				s.wholeAt(from, "next")
				if long := time.Since(began); long > time.Second {
					s.note("cancelled during %s, durable %v: its slot was free after %v", op, durable, long)
				}
				if info, err := p.node.Task(p.life, "large"); durable && (err != nil || info.State != bus.StateCancelled) {
					s.note("cancelled during %s: it is %q, %v", op, info.State, err)
				}
			})
		}
	}
}
