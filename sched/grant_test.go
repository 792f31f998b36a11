package sched_test

import (
	"sync"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
	"github.com/mycoswarm/mycoswarm/sched/internal/sim"
)

// check reports what is wrong after a scenario.
func check(t *testing.T, c setup, play func(*swarm)) {
	t.Helper()
	for _, b := range simulate(t, c, play) {
		t.Error(b)
	}
}

// A new host has not heard of a worker that another worker hears: what is granted to that one is
// declined, and the first commits what it has run once the host hears it.
func TestGrantIsDeclinedForWhatRuns(t *testing.T) {
	t.Parallel()
	const submitter, worker, heir, other = 1, 2, 3, 4
	c := setup{nodes: 5, slots: 1, rank: map[int]int{0: 4, submitter: -1, worker: -1, heir: 3, other: -1}, work: func(i int) bool { return i == worker }}
	check(t, c, func(s *swarm) {
		s.elected()
		s.net.Link(nodeID(worker), nodeID(heir), false)
		time.Sleep(4 * time.Second)
		k := s.enqueue(submitter, script{MS: 4000})
		s.running(k)
		s.handle(other)
		time.Sleep(500 * time.Millisecond)
		s.killForGood(0)
		time.Sleep(2 * time.Second)
		s.net.Link(nodeID(worker), nodeID(heir), true)
		time.Sleep(8 * time.Second)
		s.ranOnce("its worker lived on when the host died", k.id)
	})
}

// One message is lost on its way to a slot for which it is claimed: nobody has crashed, and the task
// is run as if it were the first time.
func TestGrantIsLost(t *testing.T) {
	t.Parallel()
	check(t, parts(3, theWorker), func(s *swarm) {
		s.elected()
		var once sync.Once
		s.net.SetDrop(func(m sim.Traffic) (lost bool) {
			if m.Op == "Hand" && m.Ack != "" {
				once.Do(func() { lost = true })
			}
			return lost
		})
		k := s.enqueue(theSubmitter, script{MS: 3000})
		s.running(k)
		time.Sleep(500 * time.Millisecond)
		fx := s.nodes[theHost].now()
		q, _ := fx.node.Host()
		data, _, err := fx.fx.GetClaim(fx.life, q, k.id)
		var r sched.Record
		if err != nil || bus.Unmarshal(data, &r) != nil || r.Attempt != 1 || len(r.Crashes) > 0 {
			s.note("the record is %s, %v; want attempt 1 without a crash", data, err)
		}
		time.Sleep(6 * time.Second)
		s.ranOnce("nobody had begun it", k.id)
	})
}

// A worker declines what its submitter could not hear of, and is handed what is behind it at once.
func TestDeclinedTaskHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	check(t, parts(4, theWorker), func(s *swarm) {
		s.elected()
		s.net.Link(nodeID(theSubmitter), nodeID(theWorker), false)
		time.Sleep(4 * time.Second)
		s.handle(theOther)
		time.Sleep(1500 * time.Millisecond)
		long := s.submit(theHost, script{MS: 6000}, pin(nodeID(theOther)))
		s.running(long)
		time.Sleep(100 * time.Millisecond)
		first := s.submit(theSubmitter, script{MS: 1})
		time.Sleep(20 * time.Millisecond)
		at := time.Now()
		s.running(s.submit(theHost, script{MS: 1}))
		if took := time.Since(at); took > 500*time.Millisecond {
			s.note("what was behind a declined task began after %v", took)
		}
		s.net.Link(nodeID(theSubmitter), nodeID(theWorker), true)
		time.Sleep(8 * time.Second)
		if ends := s.ends(first); len(ends) != 1 {
			s.note("the declined task ended %d times", len(ends))
		}
	})
}

// What a worker declined goes to another that is free, though the first is the better one for it.
func TestDeclinedTaskGoesElsewhere(t *testing.T) {
	t.Parallel()
	check(t, parts(4, theWorker), func(s *swarm) {
		s.elected()
		s.net.Link(nodeID(theSubmitter), nodeID(theWorker), false)
		time.Sleep(4 * time.Second)
		s.handle(theOther) // theWorker's slot has waited for longer, and is asked first
		time.Sleep(1500 * time.Millisecond)
		for range 3 {
			at := time.Now()
			k := s.submit(theSubmitter, script{MS: 1})
			for len(s.ends(k)) == 0 && time.Since(at) < 20*time.Second {
				time.Sleep(10 * time.Millisecond)
			}
			if took := time.Since(at); took > 1200*time.Millisecond {
				s.note("a task that one worker declined took %v with another that is free", took)
			}
			time.Sleep(1500 * time.Millisecond)
		}
	})
}

// A worker whose end is known to it finishes what it is handed without running it.
func TestGrantOfWhatHasEnded(t *testing.T) {
	t.Parallel()
	check(t, parts(4, theWorker), func(s *swarm) {
		// The submitter and its custodian are away when it ends, and only its worker knows.
		s.elected()
		k := s.enqueue(theSubmitter, script{MS: 1000})
		s.running(k)
		s.kill(theHost, theSubmitter)
		time.Sleep(3 * time.Second)
		s.net.SetDrop(func(m sim.Traffic) bool { // nobody asks, and nobody is told
			return m.Subject == bus.SubjectSync || m.Op == "PutEnd" && m.From == nodeID(theOther)
		})
		s.restart(theSubmitter)
		time.Sleep(4 * time.Second)
		s.net.SetDrop(nil)
		s.restart(theHost)
		time.Sleep(4 * time.Second)
		s.ranOnce("it had ended", k.id)
	})
}
