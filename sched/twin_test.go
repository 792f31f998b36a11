package sched_test

import (
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
)

// twin is another process that speaks in the name of node i, by way of the machine of node via.
type twin struct {
	s        *swarm
	i, via   int
	boot     string
	uptimeMS int64
	seq      uint64
}

// beat sends one heartbeat.
func (w *twin) beat() {
	w.seq++
	id := nodeID(w.i)
	b := bus.Heartbeat{
		Wire: bus.ThisWire(),
		Node: id, Boot: w.boot, Seq: w.seq, Sees: []bus.NodeID{id}, UptimeMS: w.uptimeMS, WallMS: time.Now().UnixMilli(),
		Info: &bus.NodeInfo{ID: id, Name: "n", Host: "copy", FabricAddr: "192.0.2.7:7422"},
	}
	data, err := json.Marshal(b)
	if err == nil {
		err = w.s.nodes[w.via].now().fx.Publish(sched.Msg{Subject: bus.SubjectHeartbeat(id), Data: data})
	}
	if err != nil {
		w.s.note("beat of a twin: %v", err)
	}
}

// beats sends n heartbeats, 200 ms apart.
func (w *twin) beats(n int) {
	for range n {
		w.beat()
		time.Sleep(200 * time.Millisecond)
	}
}

// Two processes with one identity: the others notice, tell both, and the one that has run for
// less time gives up.
func TestTwins(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		uptimeMS int64
		stops    bool
	}{
		"the twin started later":   {1, false},
		"the twin started earlier": {1e9, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var stopped atomic.Pointer[bus.Instance]
			play(t, setup{nodes: 3, twin: func(i int, o bus.Instance) {
				if i == theWorker {
					stopped.Store(&o)
				}
			}}, func(s *swarm) {
				s.elected()
				w := &twin{s: s, i: theWorker, via: theHost, boot: "another", uptimeMS: c.uptimeMS}
				start := time.Now()
				for len(s.nodes[theSubmitter].now().node.Twins()) == 0 {
					if w.beats(1); time.Since(start) > 5*time.Second {
						s.note("nobody notices")
						return
					}
				}
				time.Sleep(10 * time.Millisecond)
				if o := stopped.Load(); (o != nil) != c.stops || c.stops && (o.Boot != "another" || o.Host != "copy") {
					s.note("the node is told to give up for %+v, want that: %t", o, c.stops)
				}
				twins := s.nodes[theSubmitter].now().node.Twins()
				if got := fmt.Sprint(twins[0].Seen[1]); len(twins) != 1 || twins[0].Node != nodeID(theWorker) || got != "host copy (192.0.2.7:7422)" {
					s.note("twins %+v", twins)
				}
				time.Sleep(15 * time.Second)
				if twins := s.nodes[theSubmitter].now().node.Twins(); len(twins) != 0 {
					s.note("after a while of silence: twins %+v", twins)
				}
			})
		})
	}
}

// A restart is no twin, however short it is.
func TestRestartIsNoTwin(t *testing.T) {
	t.Parallel()
	play(t, setup{nodes: 3, twin: func(i int, o bus.Instance) { t.Errorf("node %d is to give up for %+v", i, o) }}, func(s *swarm) {
		s.elected()
		for i := range s.nodes {
			for _, pause := range []time.Duration{0, 150 * time.Millisecond, time.Second} {
				s.kill(i)
				time.Sleep(pause)
				s.restart(i)
				for range 40 {
					time.Sleep(50 * time.Millisecond)
					for _, n := range s.nodes {
						if twins := n.now().node.Twins(); len(twins) > 0 {
							s.note("node %d restarted after %v: twins %+v", i, pause, twins)
						}
					}
				}
			}
		}
	})
}
