package sched_test

import (
	"slices"
	"strings"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched/internal/sim"
)

// Parts of the nodes in the scenarios below: each has one, and node 0 is host where it can.
const (
	theHost = iota
	theSubmitter
	theWorker
	theOther
)

// parts is a swarm of n nodes with workers only where it says.
func parts(n int, workers ...int) setup {
	return setup{nodes: n, slots: 1, rank: map[int]int{theHost: 3, theSubmitter: -1, theWorker: -1, theOther: 2}, work: func(i int) bool {
		return slices.Contains(workers, i)
	}}
}

func nobody(int) bool { return false }

// withSlots is c where each node runs n tasks at once.
func withSlots(n int, c setup) setup {
	c.slots = n
	return c
}

// kept closes the worker of c to others.
func kept(c setup) setup {
	c.owner = func(i int) *bus.OwnerUse {
		if i != theWorker {
			return nil
		}
		return &bus.OwnerUse{Closed: true, Why: "until 17:00"}
	}
	return c
}

// running waits until a task runs, and returns the index of the node that runs it.
func (s *swarm) running(k *tracked) int {
	for range 20_000 {
		for _, r := range s.ledger.of(k.id) {
			for _, n := range s.nodes {
				if r.how == "" && n.id == r.node {
					return n.i
				}
			}
		}
		time.Sleep(500 * time.Microsecond)
	}
	s.note("task %s does not run", k.id)
	return theWorker
}

// endsUnheard has a task of the submitter end while that is down, and kills all that know the end. Another node works
// from then on.
func (s *swarm) endsUnheard() *tracked {
	s.elected()
	k := s.enqueue(theSubmitter, script{MS: 1000})
	s.running(k)
	s.kill(theSubmitter)
	s.endsAs(theHost, k, bus.StateDone, 5*time.Second)
	s.kill(theHost, theWorker)
	time.Sleep(time.Second)
	s.handle(theOther)
	return k
}

// crashTwice kills a worker of k, once it has run it for so long, and the next one; each is back a moment later.
func (s *swarm) crashTwice(k *tracked, after time.Duration) {
	for range 2 {
		w := s.running(k)
		time.Sleep(after)
		s.kill(w)
		time.Sleep(300 * time.Millisecond)
		s.restart(w)
	}
}

// comesBack has two workers of a task crash, and the third end it where only its submitter hears it, which has
// replaced its custodian meanwhile. That of before still keeps the task on the other side, where it is held
// back until the third is heard again. Their host is of the later term: they do not ask anew then.
func comesBack(s *swarm) {
	s.elected()
	k := s.enqueue(theSubmitter, script{MS: 14_000})
	s.crashTwice(k, 300*time.Millisecond)
	w := s.running(k)
	time.Sleep(time.Second)
	s.net.Partition(nil, s.ids(theSubmitter, w)) // from all others
	for _, host := range []int{theHost, 5} {
		time.Sleep(2 * time.Second)
		s.kill(host)
		time.Sleep(2 * time.Second)
		s.restart(host)
	}
	time.Sleep(6500 * time.Millisecond)
	s.enqueue(theSubmitter, script{MS: 8000}, pin(nodeID(w))) // so that others get what is held back
	time.Sleep(time.Second)                                   // and the custodian of before has just asked
	s.net.Heal()
	time.Sleep(6 * time.Second)
	if n := len(s.ledger.of(k.id)); n != 3 {
		s.note("task %s ran %d times: who had ended it was back", k.id, n)
	}
}

// crashBefore kills a node before an effect, the next time.
func (s *swarm) crashBefore(i int, op string) (dead <-chan struct{}) {
	c := make(chan struct{})
	s.net.SetCrash(func(st sim.Step) bool {
		select {
		case <-c:
			return false
		default:
		}
		if st.Node != nodeID(i) || st.Op != op || st.After {
			return false
		}
		close(c)
		return true
	})
	return c
}

// to loses what goes to node i and matches.
func (s *swarm) to(i int, match func(sim.Traffic) bool) {
	s.net.SetDrop(func(m sim.Traffic) bool { return m.To == nodeID(i) && m.From != m.To && match(m) })
}

func isOut(m sim.Traffic) bool   { return strings.HasSuffix(m.Subject, ".out") }
func isInbox(m sim.Traffic) bool { return strings.HasPrefix(m.Subject, "_INBOX") }
func isEnd(m sim.Traffic) bool   { return isOut(m) || m.Op == "PutEnd" && !m.Answer }
