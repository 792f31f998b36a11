package sched_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched/internal/sim"
)

// A custodian's store is not reached in the moment that it returns, and the submitter's, which has the
// end already, is: the end is handed back all the same.
func TestStandInTriesAgain(t *testing.T) {
	t.Parallel()
	check(t, parts(4, theWorker), func(s *swarm) {
		s.elected()
		k := s.enqueue(theSubmitter, script{MS: 2000})
		s.running(k)
		s.kill(theHost) // its custodian
		time.Sleep(4 * time.Second)
		asks := func(m sim.Traffic) bool { return m.From == nodeID(theHost) && m.Subject == bus.SubjectSync }
		s.net.SetDrop(func(m sim.Traffic) bool {
			return asks(m) || m.To == nodeID(theHost) && m.From != m.To && m.Op == "PutEnd"
		})
		s.restart(theHost)
		time.Sleep(400 * time.Millisecond)
		s.net.SetDrop(asks) // it does not hear of the end by asking
		time.Sleep(1500 * time.Millisecond)
		s.kill(theSubmitter, theOther, theWorker)
		s.net.SetDrop(nil)
		s.handle(theHost)
		time.Sleep(8 * time.Second)
		s.ranOnce("its end was handed back", k.id)
		for _, i := range []int{theSubmitter, theOther, theWorker} {
			s.restart(i)
		}
		time.Sleep(2 * time.Second)
	})
}

// A task ends while both of its custodians are away, at a worker that is the queue host, too. Another node keeps the end
// with it: the worker dies, and the submitter, which is back, does not have the task run again.
func TestEndIsKeptBesideItsWorker(t *testing.T) {
	t.Parallel()
	c := parts(4, theWorker)
	c.rank = map[int]int{theHost: 3, theWorker: 2, theSubmitter: -1, theOther: 1}
	play(t, c, func(s *swarm) {
		s.elected()
		k := s.enqueue(theSubmitter, script{MS: 2000})
		s.running(k)
		s.kill(theHost, theSubmitter)
		s.endsAs(theWorker, k, bus.StateDone, 10*time.Second)
		time.Sleep(time.Second)
		s.kill(theWorker)
		s.handle(theOther)
		s.restart(theSubmitter)
		s.endsAs(theSubmitter, k, bus.StateDone, 10*time.Second)
		s.ranOnce("another node knew its end", k.id)
	})
}

// A custodian comes back with an empty disk, and has lost the outboxes that others made there: they make them again, for what
// is open and what comes.
func TestCustodianComesBackEmpty(t *testing.T) {
	t.Parallel()
	play(t, parts(2), func(s *swarm) {
		s.elected()
		s.enqueue(theSubmitter, script{})
		s.kill(theHost) // its custodian
		s.nodes[theHost].m.Damage()
		s.restart(theHost)
		s.elected()
		first := s.enqueue(theSubmitter, script{MS: 10})
		time.Sleep(20 * time.Second)
		next := s.enqueue(theSubmitter, script{MS: 10})
		for _, k := range []*tracked{first, next} {
			if info, err := s.nodes[theSubmitter].now().node.Task(context.Background(), k.id); info.Copies != 2 {
				s.note("task %s is on %d disks (%v)", k.id, info.Copies, err)
			}
		}
		s.handle(theHost)
	})
}

// endsWithoutCustodian has a task end while its custodian, the host, is away, so that another keeps the end for it.
func (s *swarm) endsWithoutCustodian() *tracked {
	k := s.enqueue(theSubmitter, script{MS: 2000})
	s.running(k)
	s.kill(theHost)
	s.endsAs(theSubmitter, k, bus.StateDone, 10*time.Second)
	time.Sleep(time.Second)
	return k
}

// countEnds counts, from now on, how often an end is sent to a store in a message that is meant.
func (s *swarm) countEnds(meant func(sim.Traffic) bool) *atomic.Int64 {
	puts := new(atomic.Int64)
	s.net.SetDrop(func(m sim.Traffic) bool {
		if m.Op == "PutEnd" && !m.Answer && meant(m) {
			puts.Add(1)
		}
		return false
	})
	return puts
}

// A custodian comes back with an empty disk, and no outbox for the end that another keeps for it: that one makes it again,
// and does not hand the end back, which the submitter has, for as long as it is kept.
func TestEndIsHandedBackToAnEmptyDisk(t *testing.T) {
	t.Parallel()
	play(t, parts(4, theWorker), func(s *swarm) {
		s.elected()
		k := s.endsWithoutCustodian()
		s.nodes[theHost].m.Damage()
		s.restart(theHost)
		s.elected()
		time.Sleep(5 * time.Second)
		if len(s.nodes[theHost].endsAt(k.id)) != 1 {
			s.note("the end of %s was not handed back", k.id)
		}
		puts := s.countEnds(func(sim.Traffic) bool { return true })
		time.Sleep(10 * time.Second)
		if n := puts.Load(); n > 0 {
			s.note("an end that is there was written %d times more", n)
		}
	})
}

// A custodian is there, and does not take an end, for its disk is full perhaps: it is asked more and more rarely.
func TestEndThatIsNotTakenIsSeldomHandedBack(t *testing.T) {
	t.Parallel()
	play(t, parts(4, theWorker), func(s *swarm) {
		s.elected()
		k := s.endsWithoutCustodian()
		puts := s.countEnds(func(m sim.Traffic) bool { return m.To == nodeID(theHost) && m.From != m.To })
		s.nodes[theHost].m.Fill(true)
		s.restart(theHost)
		time.Sleep(2 * time.Minute)
		if n := puts.Load(); n == 0 || n > 12 {
			s.note("an end that is not taken was handed back %d times in two minutes", n)
		}
		s.nodes[theHost].m.Fill(false)
		if !s.until(40*time.Second, func() bool { return len(s.nodes[theHost].endsAt(k.id)) > 0 }) {
			s.note("an end that may be taken is not handed back")
		}
	})
}

// The disk of who is to stand in is full. That the submitter's takes the end once more makes no second one of it.
func TestEndIsOnTwoDisksThoughOneIsFull(t *testing.T) {
	t.Parallel()
	play(t, parts(4, theWorker), func(s *swarm) {
		s.elected()
		k := s.enqueue(theSubmitter, script{MS: 4000})
		s.running(k)
		s.kill(theHost) // its custodian
		s.until(3*time.Second, func() bool { return s.host() == theOther })
		s.nodes[theOther].m.Fill(true)
		s.endsAs(theSubmitter, k, bus.StateDone, 10*time.Second)
		time.Sleep(time.Second)
		if len(s.nodes[theWorker].endsAt(k.id)) != 1 {
			s.note("the end of %s is on one disk", k.id)
		}
		s.nodes[theOther].m.Fill(false)
		s.restart(theHost)
	})
}

// The submitter is not heard at the worker, and its store answers all the same, before the others: the end is kept on two more
// disks, and not on each that there is.
func TestEndIsOnNoMoreDisksThanItNeeds(t *testing.T) {
	t.Parallel()
	c := parts(6, theWorker)
	for seed := range uint64(4) { // the stores answer in another order with each
		c.seed = seed + 1
		check(t, c, func(s *swarm) {
			s.elected()
			k := s.enqueue(theSubmitter, script{MS: 6000})
			s.running(k)
			s.kill(theHost) // its custodian
			s.net.SetDrop(func(m sim.Traffic) bool {
				return m.From == nodeID(theSubmitter) && m.To == nodeID(theWorker) && m.Subject == bus.SubjectHeartbeat(nodeID(theSubmitter))
			})
			s.endsAs(theOther, k, bus.StateDone, 15*time.Second)
			time.Sleep(time.Second)
			disks := 0
			for i, n := range s.nodes {
				if i != theSubmitter && len(n.endsAt(k.id)) > 0 {
					disks++
				}
			}
			if disks > 2 {
				s.note("the end of %s is on %d disks beside its submitter's", k.id, disks)
			}
			s.net.SetDrop(nil)
			s.restart(theHost)
		})
	}
}
