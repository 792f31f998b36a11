package sched_test

import (
	"context"
	"encoding/json"
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

// The content of a dead task stays as long as the task, however large it is: whoever hands it over again needs it.
func TestLargeDeadTaskKeepsItsContent(t *testing.T) {
	t.Parallel()
	play(t, setup{nodes: 4, retention: time.Minute}, func(s *swarm) {
		from := s.another(s.elected())
		payload, err := json.Marshal(map[string]any{"MS": 60, "Poison": true, "Beside": string(big)})
		if err != nil {
			s.note("%v", err)
		}
		p := s.nodes[from].now()
		if r, err := p.node.Enqueue(p.life, bus.Task{ID: "poison", Type: "work", Payload: payload}, 2); err != nil || r.Copies != 2 {
			s.note("enqueue: %+v, %v", r, err)
		}
		if ended := s.untilDead(from, "poison"); ended.State != bus.StateDead {
			s.note("it ended as %+v", ended)
		}
		time.Sleep(30 * time.Minute) // the retention, and some looks for what nobody needs
		s.awake()
		s.wantBlobs(2, 0)
		r, err := s.nodes[from].now().node.Retry(context.Background(), "poison")
		if err != nil || !r.Accepted {
			s.note("retry: %+v, %v", r, err)
			return
		}
		if again := s.untilDead(from, r.ID); again.State != bus.StateDead || again.Attempts != maxCrashes {
			s.note("handed over again it ended as %+v", again)
		}
	})
}
