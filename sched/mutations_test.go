package sched_test

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
	"github.com/mycoswarm/mycoswarm/sched/internal/sim"
)

// mutations has, for each protection and rule, a scenario that goes wrong without it.
var mutations = map[string]scenario{
	string(sched.ProtectHoldBack): {setup: parts(4, theWorker, theOther), play: func(s *swarm) {
		s.elected()
		k := s.enqueue(theSubmitter, script{MS: 2000})
		s.running(k)
		time.Sleep(500 * time.Millisecond)
		s.kill(theHost)
		time.Sleep(4 * time.Second)
		s.ranOnce("its worker lived on when the host died", k.id)
	}},
	string(sched.ProtectClaim): {setup: parts(3, theWorker), play: func(s *swarm) {
		s.elected()
		s.lose(1, func(m sim.Traffic) bool { return m.Op == "Ack" })
		k := s.enqueue(theSubmitter, script{MS: 50})
		time.Sleep(8 * time.Second)
		s.ranOnce("only its acknowledgement was lost", k.id)
	}},
	string(sched.ProtectShares): {setup: parts(3, theWorker), play: func(s *swarm) {
		s.elected()
		for range 60 {
			s.enqueue(theSubmitter, script{MS: 300})
		}
		time.Sleep(2 * time.Second)
		k := s.enqueue(theHost, script{MS: 300})
		time.Sleep(3 * time.Second)
		if i, err := s.nodes[theHost].now().node.Task(context.Background(), k.id); err != nil || i.State != bus.StateDone {
			s.note("the only task of a user waits behind all of another: %+v, error %v", i, err)
		}
		time.Sleep(20 * time.Second)
	}},
	string(sched.ProtectAffinity): {setup: setup{nodes: 4, slots: 1, rank: map[int]int{theHost: 3}, work: nobody}, play: turns},
	string(sched.ProtectReserved): {setup: withSlots(2, parts(3, theWorker)), play: fill},
	string(sched.ProtectCommit):   {setup: parts(4, theWorker, theOther), play: lateCommit},
	string(sim.RuleRevision):      {setup: parts(4, theWorker, theOther), play: lateCommit},
	string(sched.ProtectTellLost): {setup: parts(4, theWorker, theOther), play: func(s *swarm) {
		s.elected()
		k := s.submit(theSubmitter, script{MS: 5000})
		s.net.Link(nodeID(theSubmitter), nodeID(s.running(k)), false)
		time.Sleep(15 * time.Second) // its worker drops it, and another ends it
	}},
	string(sched.ProtectAckLast): {setup: parts(3, theWorker), play: func(s *swarm) {
		s.elected()
		dead := s.crashBefore(theWorker, "UpdateClaim")
		s.enqueue(theSubmitter, script{MS: 50})
		<-dead
		time.Sleep(time.Second)
		s.restart(theWorker)
	}},
	string(sched.ProtectKeepFirst): {setup: parts(4, theHost, theOther), play: func(s *swarm) {
		s.elected()
		s.net.Partition(s.ids(theHost, theSubmitter, theWorker, theOther))
		dead := s.crashBefore(theHost, "PutEnd")
		s.to(theSubmitter, isOut)
		s.enqueue(theSubmitter, script{MS: 300}, pin(nodeID(theHost)))
		<-dead
		time.Sleep(time.Second)
	}},
	string(sched.ProtectJournal): {setup: setup{nodes: 4}, play: func(s *swarm) {
		s.elected()
		s.enqueue(theSubmitter, script{MS: 60, Poison: true})
		for range 40 {
			time.Sleep(300 * time.Millisecond)
			for i := range s.nodes {
				s.restart(i)
			}
		}
	}},
	string(sched.ProtectTellBegin): {setup: setup{
		nodes: 5, slots: 1, rank: map[int]int{0: 4, theSubmitter: -1, 2: 3, 3: 2, 4: 1},
		work: func(i int) bool { return i == 0 },
	}, play: func(s *swarm) {
		// Whoever hosts runs it, and is dead in a moment: the records die with the runs.
		s.elected()
		k := s.enqueue(theSubmitter, script{MS: 2, Poison: true})
		for _, next := range []int{2, 3, 4} {
			time.Sleep(3 * time.Second)
			s.handle(next)
		}
		time.Sleep(3 * time.Second)
		if n := len(s.ledger.of(k.id)); n > maxCrashes {
			s.note("task %s killed %d nodes", k.id, n)
		}
		for i := range s.nodes {
			s.restart(i)
		}
		time.Sleep(3 * time.Second)
	}},
	string(sched.ProtectTellCrash): {setup: parts(6, 2, 3, 4, 5), play: func(s *swarm) {
		// A worker dies before a heartbeat has told what runs there; its host notices, and who gets
		// the task next does so a moment later.
		s.elected()
		for ms := range 8 {
			for i := 2; i < 6; i++ { // each looks at moments of its own
				s.kill(i)
				time.Sleep(12 * time.Millisecond)
				s.restart(i)
			}
			time.Sleep(time.Second)
			k := s.enqueue(theSubmitter, script{MS: 2 + 3*ms, Poison: true})
			time.Sleep(2 * time.Second)
			for i := range s.nodes {
				s.restart(i)
			}
			time.Sleep(2 * time.Second)
			if n := len(s.ledger.of(k.id)); n > maxCrashes {
				s.note("task %s killed %d nodes", k.id, n)
			}
		}
	}},
	string(sched.ProtectReturn): {setup: parts(4, theWorker, theOther), play: func(s *swarm) {
		// Two workers crash, and the third runs it to its end behind a link that is down.
		s.elected()
		k := s.enqueue(theSubmitter, script{MS: 5000})
		s.crashTwice(k, 500*time.Millisecond)
		w := s.running(k)
		time.Sleep(500 * time.Millisecond)
		for i := range s.nodes {
			if i != w {
				s.net.Link(nodeID(w), nodeID(i), false)
			}
		}
		time.Sleep(15 * time.Second)
	}},
	string(sched.ProtectAskRerun): {setup: setup{nodes: 6, slots: 1, rank: map[int]int{theHost: 3, theSubmitter: -1, 5: 2}, work: func(i int) bool { return 1 < i && i < 5 }}, play: comesBack},
	string(sched.ProtectSync): {setup: hasty(parts(5, theWorker)), play: func(s *swarm) {
		// It ends while both custodians are away; the stand-in that has the end is not host
		// when they return.
		s.elected()
		k := s.enqueue(theSubmitter, script{MS: 2000})
		s.running(k)
		time.Sleep(500 * time.Millisecond)
		s.kill(theHost, theSubmitter)
		time.Sleep(3 * time.Second)
		s.kill(theOther, theWorker)
		time.Sleep(3 * time.Second) // the fifth node hosts
		s.restart(theOther)
		s.handle(4) // who ran it, and has its end, too, stays away
		time.Sleep(2 * time.Second)
		s.restart(theSubmitter)
		time.Sleep(4 * time.Second)
		s.ranOnce("a stand-in knew its end", k.id)
	}},
	string(sched.ProtectExpect): {setup: parts(4, theWorker), play: func(s *swarm) {
		// Who knows its end is killed as its submitter comes back, and is there again in a moment.
		k := s.endsUnheard()
		s.restart(theSubmitter)
		time.Sleep(1500 * time.Millisecond)
		s.restart(theHost)
		time.Sleep(4 * time.Second)
		s.ranOnce("its custodian knew its end", k.id)
	}},
	string(sched.ProtectMeetAll): {setup: hasty(parts(5, theWorker)), play: func(s *swarm) {
		// As above, and the submitter meets the stand-in a moment after it has found the host.
		s.elected()
		k := s.enqueue(theSubmitter, script{MS: 2000})
		s.running(k)
		time.Sleep(500 * time.Millisecond)
		s.kill(theHost, theSubmitter)
		s.net.Link(nodeID(theSubmitter), nodeID(theOther), false)
		time.Sleep(3 * time.Second)
		s.kill(theOther, theWorker)
		time.Sleep(3 * time.Second)
		s.restart(theOther)
		s.handle(4) // who ran it, and has its end, too, stays away
		time.Sleep(2 * time.Second)
		s.restart(theSubmitter)
		time.Sleep(600 * time.Millisecond)
		s.net.Link(nodeID(theSubmitter), nodeID(theOther), true)
		time.Sleep(8 * time.Second)
		s.ranOnce("a stand-in that is met a moment later knew its end", k.id)
	}},
	string(sched.ProtectPreload): {setup: parts(4, theWorker), play: func(s *swarm) {
		s.elected()
		k := s.enqueue(theSubmitter, script{MS: 3000})
		s.running(k)
		s.kill(theHost) // its memory, and its role, but not what it keeps
		time.Sleep(1500 * time.Millisecond)
		s.restart(theHost)
		s.to(theSubmitter, func(m sim.Traffic) bool { return isEnd(m) || isInbox(m) })
		time.Sleep(2200 * time.Millisecond) // ended: the host of before knows, the submitter does not
		s.kill(theOther, theSubmitter, theWorker)
		s.restart(theSubmitter) // it knows of no attempt now,
		s.restart(theWorker)    // and neither does who runs it next
		time.Sleep(2 * time.Second)
		s.net.SetDrop(nil)
		time.Sleep(4 * time.Second)
		s.ranOnce("the new host kept its end", k.id)
	}},
	string(sched.ProtectRefeed): {setup: parts(3, theWorker), play: func(s *swarm) {
		s.elected()
		s.lose(1, func(m sim.Traffic) bool { return m.Op == "Feed" && !m.Answer })
		s.submit(theSubmitter, script{MS: 50})
		time.Sleep(2 * time.Second)
	}},
	string(sched.ProtectAskAgain): {setup: parts(3, theWorker), play: func(s *swarm) {
		s.elected()
		s.lose(1, isOut)
		s.submit(theSubmitter, script{MS: 50})
		time.Sleep(2 * time.Second)
	}},
	string(sched.ProtectNewTerm): {setup: setup{nodes: 1}, play: func(s *swarm) {
		s.elected()
		s.kill(0)
		s.restart(0)
		time.Sleep(3 * time.Second)
	}},
	string(sched.ProtectUnable): {setup: setup{nodes: 3, rank: map[int]int{0: 3, 1: 2}}, play: func(s *swarm) {
		// The next one in line cannot write down its term.
		s.elected()
		s.nodes[1].m.Fill(true)
		s.killForGood(0)
		if !s.until(10*time.Second, func() bool { return s.host() == 2 }) {
			s.note("no other hosts while the best one's disk is full")
		}
		s.submit(2, script{MS: 50})
		s.nodes[1].m.Fill(false)
	}},
	string(sched.ProtectStandIn): {setup: parts(4, theWorker), play: func(s *swarm) {
		s.elected()
		k := s.enqueue(theSubmitter, script{MS: 2000})
		s.running(k)
		time.Sleep(500 * time.Millisecond)
		s.kill(theHost, theSubmitter)
		time.Sleep(3 * time.Second)
		s.kill(theOther, theWorker) // with the record of the end, and the memory of it
		time.Sleep(time.Second)
		for _, i := range []int{theWorker, theOther, theHost, theSubmitter} {
			s.restart(i)
			time.Sleep(2 * time.Second)
		}
		s.ranOnce("it ended while both custodians were away", k.id)
	}},
	string(sched.ProtectHandBack): {setup: parts(4, theWorker), play: func(s *swarm) {
		s.elected()
		k := s.enqueue(theSubmitter, script{MS: 2000})
		s.running(k)
		time.Sleep(500 * time.Millisecond)
		s.kill(theHost, theSubmitter)
		time.Sleep(3 * time.Second)
		// The submitter is back, and those who know the end are gone before they are asked.
		s.net.SetDrop(func(m sim.Traffic) bool { return m.From == nodeID(theSubmitter) && m.Subject == bus.SubjectSync })
		s.restart(theSubmitter)
		time.Sleep(time.Second)
		s.kill(theOther, theWorker)
		s.net.SetDrop(nil)
		s.restart(theHost)
		time.Sleep(2 * time.Second)
		s.handle(theHost)
		time.Sleep(8 * time.Second)
		s.ranOnce("its end was with others while both custodians were away", k.id)
		s.restart(theOther)
		s.restart(theWorker)
		time.Sleep(2 * time.Second)
	}},
	string(sched.ProtectCustody): {setup: parts(4, theWorker), play: func(s *swarm) {
		s.elected()
		for range 3 {
			s.enqueue(theHost, script{MS: 300})
		}
		s.kill(theHost)
		time.Sleep(8 * time.Second)
		s.allEnded()
	}},
	string(sched.ProtectOrphans): {setup: parts(4, theWorker), play: func(s *swarm) {
		// The submitter's disk is damaged, and the queue is lost a moment later.
		s.elected()
		for range 3 {
			s.enqueue(theSubmitter, script{MS: 4000})
		}
		s.kill(theSubmitter)
		s.nodes[theSubmitter].m.Damage()
		s.restart(theSubmitter)
		time.Sleep(1500 * time.Millisecond)
		s.kill(theHost)
		time.Sleep(time.Second)
		s.restart(theHost)
		time.Sleep(25 * time.Second)
		s.allEnded()
	}},
	string(sched.ProtectCancelRepeat): {setup: parts(3, theWorker), play: func(s *swarm) {
		s.elected()
		k := s.submit(theSubmitter, script{MS: 8000})
		s.running(k)
		time.Sleep(500 * time.Millisecond)
		s.to(theWorker, func(m sim.Traffic) bool { return strings.HasSuffix(m.Subject, ".cancel") })
		if err := s.cancel(theSubmitter, k.id); err != nil {
			s.note("cancel: %v", err)
		}
		time.Sleep(200 * time.Millisecond)
		s.net.SetDrop(nil)
		time.Sleep(3 * time.Second)
	}},
	string(sched.ProtectNonce): {setup: parts(4, theWorker, theOther), play: func(s *swarm) {
		// Nobody hears that the task runs, and its host dies: it is started again, with the
		// same number.
		s.elected()
		k := s.submit(theSubmitter, script{MS: 6000, Chunks: 60})
		first := s.running(k)
		mute := s.nodes[first].id
		s.net.SetDrop(func(m sim.Traffic) bool {
			return m.From == mute && m.To != mute && (strings.HasSuffix(m.Subject, ".heartbeat") || isInbox(m))
		})
		time.Sleep(400 * time.Millisecond)
		s.kill(theHost)
		time.Sleep(3 * time.Second)
		s.kill(first)
		time.Sleep(8 * time.Second)
	}},
	string(sched.ProtectContinue): {setup: parts(4, theWorker, theOther), play: func(s *swarm) {
		s.elected()
		attached, durable := s.submit(theSubmitter, script{MS: 2000, Chunks: 20}), s.enqueue(theSubmitter, script{MS: 2000, Chunks: 20})
		for _, k := range []*tracked{attached, durable} {
			s.until(5*time.Second, func() bool { return s.pieces(k) > 5+s.rnd(5) })
		}
		s.kill(s.running(attached))
		s.until(20*time.Second, s.over)
		s.seamless(attached, durable)
	}},
	string(sched.ProtectFence): {setup: parts(4, theWorker, theOther), play: func(s *swarm) {
		// Who is thought dead wakes while the next one prepares to go on, and says more.
		s.elected()
		k := s.submit(theSubmitter, script{MS: 6000, Chunks: 20})
		s.until(5*time.Second, func() bool { return s.pieces(k) > 5 })
		first := s.nodes[s.running(k)].m
		first.Freeze()
		s.until(20*time.Second, func() bool { return len(s.ledger.of(k.id)) > 1 })
		time.Sleep(50 * time.Millisecond)
		first.Continue()
		s.until(20*time.Second, s.over)
		s.seamless(k)
	}},
	string(sched.ProtectSupervise): {setup: parts(4, theWorker, theOther), play: func(s *swarm) {
		s.elected()
		k := s.enqueue(theSubmitter, script{MS: 1500})
		w := s.running(k)
		s.kill(w)
		at := time.Now()
		time.Sleep(3 * time.Second)
		if rs := s.ledger.of(k.id); len(rs) < 2 || rs[1].began.Sub(at) > time.Second {
			s.note("task %s is not started again within a second of its worker's death: %v", k.id, rs)
		}
	}},
	string(sched.ProtectEnqueue): {setup: parts(4, theWorker, theOther), play: func(s *swarm) {
		s.elected()
		s.submit(theSubmitter, script{}) // the first of a queue makes its consumer
		time.Sleep(2 * time.Second)      // every slot has asked
		k := s.submit(theSubmitter, script{MS: 1500})
		w := s.running(k)
		s.kill(w)
		time.Sleep(4 * time.Second)
		if rs := s.ledger.of(k.id); len(rs) < 2 {
			s.note("task %s is not started again after its worker's death: %v", k.id, rs)
		}
	}},
	string(sched.ProtectWake): {setup: parts(3, theWorker), play: func(s *swarm) {
		s.elected()
		k := s.submit(theSubmitter, script{MS: 9000})
		w := s.running(k)
		s.nodes[w].m.Freeze()
		time.Sleep(5 * time.Second)
		s.nodes[w].m.Continue()
		time.Sleep(8 * time.Second)
		s.ranOnce("its submitter was there all the time, and no other worker", k.id)
	}},
	string(sched.ProtectGrantAge): {setup: parts(4, theWorker), play: func(s *swarm) {
		// It is claimed for a worker that stands still, and given to another meanwhile.
		s.elected()
		var once sync.Once
		s.net.SetCrash(func(st sim.Step) bool {
			if st.Node == nodeID(theWorker) && st.Op == "Await" && st.After {
				once.Do(s.nodes[theWorker].m.Freeze)
			}
			return false
		})
		k := s.enqueue(theSubmitter, script{MS: 50})
		time.Sleep(300 * time.Millisecond)
		s.handle(theOther)
		time.Sleep(6 * time.Second)
		s.nodes[theWorker].m.Continue()
		time.Sleep(3 * time.Second)
		s.ranOnce("another had run it when its worker went on", k.id)
	}},
	string(sched.ProtectOwner): {setup: kept(parts(3, theWorker)), play: func(s *swarm) {
		// Its host hands over nothing of others that is pinned to a closed machine, nor does that take it.
		s.elected()
		k := s.enqueue(theSubmitter, script{MS: 10}, pin(nodeID(theWorker)))
		own := s.enqueue(theWorker, script{MS: 10})
		time.Sleep(8 * time.Second)
		if rs := s.ledger.of(k.id); len(rs) > 0 {
			s.note("a closed machine ran what another had sent: %v", rs)
		}
		s.ranOnce("it is the owner's own", own.id)
		if err := s.cancel(theSubmitter, k.id); err != nil {
			s.note("cancel: %v", err)
		}
	}},
	string(sched.ProtectNamedHost): {setup: setup{nodes: 3}, play: func(s *swarm) {
		h := s.elected()
		s.net.Link(nodeID(h), nodeID(s.another(h)), false)
		time.Sleep(12 * time.Second)
		if n := len(s.net.Opened()); n > 2 {
			s.note("one broken link made %d hosts, want that of before and one that sees all", n)
		}
	}},
	string(sched.ProtectRollCall): {setup: parts(4, theWorker), play: func(s *swarm) {
		// The node that will be host can run the task, and has not heard that another does.
		s.elected()
		s.to(theOther, func(m sim.Traffic) bool {
			return m.From == nodeID(theWorker) && strings.HasSuffix(m.Subject, ".heartbeat")
		})
		k := s.enqueue(theSubmitter, script{MS: 3000})
		s.running(k)
		s.handle(theOther)
		time.Sleep(300 * time.Millisecond)
		s.kill(theHost)
		time.Sleep(1200 * time.Millisecond)
		s.net.SetDrop(nil)
		time.Sleep(3 * time.Second)
		s.ranOnce("its worker lived on when the host died", k.id)
	}},
	string(sched.ProtectAskFirst): {setup: parts(3), play: func(s *swarm) {
		s.elected()
		s.enqueue(theSubmitter, script{MS: 50}, timeout(2*time.Second))
		time.Sleep(500 * time.Millisecond)
		s.kill(theSubmitter)
		time.Sleep(3 * time.Second)
		s.to(theSubmitter, func(m sim.Traffic) bool { return isInbox(m) || m.Op == "PutEnd" }) // it asks, and is not answered
		s.restart(theSubmitter)
		time.Sleep(880 * time.Millisecond)
		s.net.SetDrop(nil)
		time.Sleep(2 * time.Second)
	}},
	string(sched.ProtectTwin): {setup: parts(3, theWorker), play: func(s *swarm) {
		s.elected()
		k := s.submit(theSubmitter, script{MS: 3000})
		s.running(k)
		(&twin{s: s, i: theSubmitter, via: theHost, boot: "another"}).beats(10)
		time.Sleep(3 * time.Second)
		s.ranOnce("its submitter was there all the time", k.id)
		if ends := s.ends(k); len(ends) != 1 || ends[0].End.State != bus.StateDone {
			s.note("task %s ended as %+v, want it done", k.id, ends)
		}
	}},
	string(sched.ProtectAskAwake): {setup: setup{nodes: 3, rank: map[int]int{0: 1}, work: nobody}, play: stoppedAlone(time.Second)},
	string(sim.RuleTwoMessages): {setup: unasked(parts(4, theWorker, theOther)), play: func(s *swarm) {
		// A run that was stopped ends when the claims are gone with their host, and asks nobody.
		s.elected()
		k := s.enqueue(theSubmitter, script{MS: 1500})
		w := s.running(k)
		s.nodes[w].m.Freeze()
		time.Sleep(6 * time.Second) // another runs it to its end
		s.kill(theHost)
		time.Sleep(2 * time.Second)
		s.nodes[w].m.Continue()
		time.Sleep(3 * time.Second)
	}},
	string(sim.RuleTaskFirst): {setup: parts(3, theWorker), play: func(s *swarm) {
		s.elected()
		for range 2 {
			s.wg.Go(func() { s.enqueue(theSubmitter, script{MS: 50}, named("same")) })
		}
		time.Sleep(2 * time.Second)
	}},
	string(sim.RuleOneASubject): {setup: parts(3), play: func(s *swarm) {
		s.elected()
		s.enqueue(theSubmitter, script{MS: 50})
		time.Sleep(8 * time.Second)
		if err := s.cancel(theSubmitter, bus.TaskID("t000")); err != nil {
			s.note("cancel: %v", err)
		}
	}},
}
