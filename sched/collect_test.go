package sched_test

import (
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
)

// What a crash leaves behind belongs to no task, and goes after a while: a result after all who may
// know its end have forgotten it.
func TestLargeLeftovers(t *testing.T) {
	t.Parallel()
	play(t, setup{nodes: 2, retention: 20 * time.Minute}, func(s *swarm) {
		s.elected()
		p := s.nodes[0].now()
		b := bus.BlobOf(big)
		for _, result := range []bool{false, true} {
			id := sched.BlobID{Task: "nobodys", Result: result, SHA256: b.SHA256, Size: b.Size}
			if err := p.fx.PutBlob(p.life, s.nodes[0].id, id, false, big); err != nil {
				s.note("put: %v", err)
			}
		}
		time.Sleep(5 * time.Minute)
		s.wantBlobs(1, 1)
		time.Sleep(6 * time.Minute)
		s.wantBlobs(0, 1)
		time.Sleep(20 * time.Minute)
		s.wantBlobs(0, 0)
	})
}
