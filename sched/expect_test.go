package sched_test

import (
	"testing"
	"time"
)

// Who knows the end of a task is back while its submitter, which started a moment before, waits for the answer of another
// that gives none. It is asked, too, before the task is fed.
func TestKeeperIsBackWhileOthersAreAsked(t *testing.T) {
	t.Parallel()
	play(t, parts(5, theWorker), func(s *swarm) {
		k := s.endsUnheard()
		s.nodes[4].m.Freeze()
		s.restart(theSubmitter)
		time.Sleep(300 * time.Millisecond)
		s.restart(theHost)
		time.Sleep(2 * time.Second)
		s.nodes[4].m.Continue()
		time.Sleep(4 * time.Second)
		s.ranOnce("its custodian knew its end", k.id)
	})
}
