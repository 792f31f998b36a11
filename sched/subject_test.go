package sched_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
)

// Who may speak is decided by subjects: what is said below one node's subject in the name of another counts for nothing.
func TestNobodySpeaksForAnother(t *testing.T) {
	t.Parallel()
	c := parts(4, theWorker)
	c.twin = func(i int, o bus.Instance) { t.Errorf("node %d is to give up for %+v", i, o) }
	play(t, c, func(s *swarm) {
		s.elected()
		k := s.submit(theSubmitter, script{MS: 3000})
		s.running(k)
		say := func(subject string, v any) {
			data, err := json.Marshal(v)
			if err == nil {
				err = s.nodes[theOther].now().fx.Publish(sched.Msg{Subject: subject, Data: data})
			}
			if err != nil {
				s.note("publish: %v", err)
			}
		}
		say(bus.SubjectCancel(nodeID(theOther), k.id), bus.TaskRequest{ID: k.id})
		id := nodeID(theWorker)
		for seq := range uint64(25) { // an older process of the worker, at which it would give up
			say(bus.SubjectHeartbeat(nodeID(theOther)), bus.Heartbeat{
				Node: id, Boot: "another", Seq: seq + 1, Sees: []bus.NodeID{id}, UptimeMS: 1e9, WallMS: time.Now().UnixMilli(),
				Info: &bus.NodeInfo{ID: id, Name: "n", Host: "copy", FabricAddr: "192.0.2.7:7422"},
			})
			time.Sleep(200 * time.Millisecond)
		}
		s.ranOnce("nobody who may has cancelled it", k.id)
		if rs := s.ledger.of(k.id); len(rs) != 1 || rs[0].how != "done" {
			s.note("it ran as %v", rs)
		}
	})
}
