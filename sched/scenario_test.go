package sched_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched/internal/sim"
)

// scenario is one story of a swarm in which the invariants must hold.
type scenario struct {
	name  string
	setup setup
	play  func(*swarm)
}

// seedsEach is how many seeds each scenario is played with, unless SIM_SEEDS says otherwise.
const seedsEach = 4

func number(env string, def int) int {
	if n, err := strconv.Atoi(os.Getenv(env)); err == nil {
		return n
	}
	return def
}

func TestScenarios(t *testing.T) {
	t.Parallel()
	for _, sc := range scenarios {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			for seed := range number("SIM_SEEDS", seedsEach) {
				c := sc.setup
				c.seed = uint64(seed + 1)
				for _, b := range simulate(t, c, sc.play) {
					t.Errorf("seed %d: %s", c.seed, b)
				}
			}
		})
	}
}

var scenarios = []scenario{
	{"host killed under load, 3 nodes", setup{nodes: 3}, hostKilled},
	{"host killed under load, 2 nodes", setup{nodes: 2}, hostKilled},
	{"a worker drops what its submitter waits for, and cannot say so", parts(3, theWorker), func(s *swarm) {
		s.elected()
		w := s.running(s.submit(theSubmitter, script{MS: 8000}))
		s.net.Partition(nil, s.ids(w))
		time.Sleep(3050 * time.Millisecond) // it has just given the submitter up
		s.net.Heal()
	}},
	{"host killed five times", setup{nodes: 3}, func(s *swarm) {
		for range 5 {
			hostKilled(s)
			time.Sleep(2 * time.Second)
			for i := range s.nodes {
				s.restart(i)
			}
		}
	}},
	{"worker killed", setup{nodes: 3}, func(s *swarm) {
		h := s.elected()
		s.load(12, 200, h, s.another(h))
		s.pass(300)
		w := s.another(h, s.another(h))
		alive := s.surviving(w)
		s.kill(w)
		time.Sleep(3 * time.Second)
		s.ranOnce("its worker lived", alive...)
	}},
	{"submitter killed", setup{nodes: 3}, func(s *swarm) {
		h := s.elected()
		w := s.another(h)
		s.load(12, 200, w)
		s.pass(300)
		s.kill(w)
		at := time.Now()
		time.Sleep(6 * time.Second)
		s.allEnded()
		for _, k := range s.tasks {
			for _, r := range s.ledger.of(k.id) {
				if !k.durable && (r.how == "" || r.ended.Sub(at) > time.Second) {
					s.note("attached task %s ran on though its submitter was dead: %v", k.id, r)
				}
			}
		}
	}},
	{"submitter gone for good", setup{nodes: 3}, func(s *swarm) {
		h := s.elected()
		w := s.another(h)
		s.load(12, 200, w)
		s.pass(300)
		s.killForGood(w)
	}},
	{"host gone for good", setup{nodes: 3}, func(s *swarm) {
		h := s.elected()
		s.load(12, 200, s.another(h), h)
		s.pass(300)
		s.killForGood(h)
	}},
	{"submitter and host killed", setup{nodes: 3, twoEnds: true}, func(s *swarm) {
		h := s.elected()
		w := s.another(h)
		s.load(12, 200, w)
		s.pass(300)
		s.kill(h)
		s.pass(20)
		s.kill(w)
		time.Sleep(3 * time.Second)
	}},
	{"host, worker and submitter killed", setup{nodes: 4, twoEnds: true}, func(s *swarm) {
		h := s.elected()
		a := s.another(h)
		b := s.another(h, a)
		s.load(12, 200, a)
		s.pass(300)
		for _, i := range []int{h, a, b} {
			s.kill(i)
			s.pass(20)
		}
		time.Sleep(3 * time.Second)
	}},
	{"all killed at once", setup{nodes: 3, twoEnds: true}, func(s *swarm) {
		s.elected()
		s.load(12, 200, 0, 1, 2)
		s.pass(300)
		s.kill(0, 1, 2)
		time.Sleep(time.Second)
	}},
	{"both custodians die after the end, and return", setup{nodes: 4}, custodiansReturn},
	{"both custodians die under load, and return", setup{nodes: 4, twoEnds: true}, func(s *swarm) {
		h := s.elected()
		w := s.another(h)
		s.load(12, 200, w)
		s.pass(600)
		s.kill(w, h)
		time.Sleep(time.Duration(s.rnd(5000)) * time.Millisecond)
		s.restart([]int{w, h}[s.rnd(2)])
		s.pass(2000)
	}},
	{"partition and heal", setup{nodes: 4, split: true}, func(s *swarm) {
		h := s.elected()
		a, b := h, s.another(h)
		var rest []int
		for i := range s.nodes {
			if i != a && i != b {
				rest = append(rest, i)
			}
		}
		s.load(16, 300, 0, 1, 2, 3)
		s.pass(300)
		s.net.Partition(s.ids(a, b), s.ids(rest...))
		time.Sleep(time.Duration(1000+s.rnd(14000)) * time.Millisecond)
		s.load(8, 300, 0, 1, 2, 3)
		s.pass(1000)
		s.net.Heal()
		if !s.until(10*time.Second, func() bool { return s.over() && s.host() >= 0 }) {
			s.note("not one swarm 10 s after the partition was healed")
		}
	}},
	{"short partitions", setup{nodes: 3, split: true}, func(s *swarm) {
		s.elected()
		for range 4 {
			s.load(6, 300, 0, 1, 2)
			s.net.Partition(s.ids(0), s.ids(1, 2))
			time.Sleep(time.Duration(s.rnd(4000)) * time.Millisecond)
			s.net.Partition(s.ids(0, 1, 2))
			time.Sleep(time.Duration(s.rnd(2000)) * time.Millisecond)
		}
	}},
	{"frozen worker goes on", setup{nodes: 3}, func(s *swarm) {
		h := s.elected()
		w := s.another(h)
		s.load(10, 400, h)
		s.freezes(w)
	}},
	{"frozen submitter goes on", setup{nodes: 3}, func(s *swarm) {
		h := s.elected()
		w := s.another(h)
		s.load(10, 400, w)
		s.freezes(w)
	}},
	{"frozen worker meets the others a moment later", setup{
		nodes: 4, slots: 1, rank: map[int]int{theHost: 1}, work: func(i int) bool { return i == theWorker || i == theOther },
	}, func(s *swarm) {
		s.elected()
		w := s.running(s.enqueue(theSubmitter, script{MS: 400}))
		s.nodes[w].m.Freeze()
		for i := range s.nodes {
			if i != w {
				s.net.Link(nodeID(w), nodeID(i), false)
			}
		}
		time.Sleep(6 * time.Second) // another runs it to its end
		s.nodes[w].m.Continue()
		time.Sleep(2 * time.Second)
		if hosts := s.net.Opened(); len(hosts) != 1 {
			s.note("who woke is a host: %v", hosts)
		}
		for i := range s.nodes {
			if i != w {
				s.net.Link(nodeID(w), nodeID(i), true)
			}
		}
		time.Sleep(4 * time.Second)
	}},
	{"custodian is frozen before it has an outbox of the submitter", setup{nodes: 2}, func(s *swarm) {
		h := s.elected()
		other := s.another(h)
		s.nodes[h].m.Freeze()
		if k := s.enqueue(other, script{MS: 10}); !k.accepted {
			s.note("refused, although the own disk is well: %v", k.err)
		}
		s.nodes[h].m.Continue()
		time.Sleep(4 * time.Second)
	}},
	{"a submitter returns with a slow disk to a custodian that knows many ends", setup{
		nodes: 5, slots: 1, rank: map[int]int{theHost: 3, theSubmitter: -1, theWorker: -1, theOther: 2}, net: sim.Config{Sync: 20 * time.Millisecond},
		work: nobody,
	}, func(s *swarm) {
		s.elected()
		s.enqueueAll(theSubmitter, 60, script{MS: 10})
		s.kill(theSubmitter)
		s.handle(theWorker)
		s.until(30*time.Second, s.over)
		time.Sleep(time.Second)
		s.kill(theHost, theWorker)
		time.Sleep(3 * time.Second) // another hosts, who has not heard of them
		s.restart(theHost)
		s.handle(4)
		time.Sleep(3 * time.Second)
		s.restart(theSubmitter)
		time.Sleep(6 * time.Second)
		for _, k := range s.tasks {
			s.ranOnce("its custodian knew its end", k.id)
		}
	}},
	{"the own disk misses a durable task, and its end", setup{nodes: 3, work: func(i int) bool { return i == theWorker }, rank: map[int]int{theHost: 1}}, func(s *swarm) {
		s.elected()
		s.lose(1, func(m sim.Traffic) bool { return m.Op == "PutTask" && m.To == nodeID(theSubmitter) && !m.Answer })
		k := s.enqueue(theSubmitter, script{MS: 500})
		s.to(theSubmitter, func(m sim.Traffic) bool { return m.Op == "PutEnd" && !m.Answer })
		if !s.until(5*time.Second, func() bool { return len(s.ends(k)) > 0 }) {
			s.note("who has submitted task %s waits for its end, which others have", k.id)
		}
	}},
	{"frozen host goes on", setup{nodes: 3, split: true}, func(s *swarm) {
		h := s.elected()
		s.load(10, 400, 0, 1, 2)
		s.freezes(h)
	}},
	{"poison", setup{nodes: 4}, func(s *swarm) {
		h := s.elected()
		s.submit(h, script{MS: 60, Poison: true})
		s.enqueue(h, script{MS: 60, Poison: true})
		s.load(6, 100, h)
		for range 60 {
			time.Sleep(300 * time.Millisecond)
			for i := range s.nodes {
				s.restart(i)
			}
		}
	}},
	{"restart of the host at once", setup{nodes: 3}, func(s *swarm) {
		for range 4 {
			h := s.elected()
			s.load(6, 200, 0, 1, 2)
			s.pass(300)
			s.kill(h)
			s.restart(h)
			time.Sleep(500 * time.Millisecond)
		}
	}},
	{"leave in good order", setup{nodes: 3}, func(s *swarm) {
		h := s.elected()
		s.load(8, 200, s.another(h), s.another(h, s.another(h)))
		s.pass(300)
		alive := s.surviving()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		s.nodes[h].now().node.Leave(ctx)
		cancel()
		s.kill(h)
		time.Sleep(2 * time.Second)
		s.ranOnce("its worker left in good order", alive...)
	}},
	{"failures and retries", setup{nodes: 3}, func(s *swarm) {
		h := s.elected()
		for range 3 {
			s.enqueue(h, script{MS: 20, Fail: true})
			s.submit(h, script{MS: 20, Chunks: 2, Retry: string(s.nodes[s.another(h)].id)})
			s.enqueue(h, script{MS: 20, Chunks: 2, Retry: string(s.nodes[h].id)})
		}
	}},
	{"engines that hang", setup{nodes: 3}, func(s *swarm) {
		h := s.elected()
		for i := range s.nodes {
			for _, from := range []int{h, s.another(h)} {
				s.submit(from, script{MS: 100, Chunks: 3, Hang: string(nodeID(i))})
				s.enqueue(from, script{MS: 100, Chunks: 3, Hang: string(nodeID(i)), Late: true})
			}
		}
		if !s.until(15*time.Second, s.over) {
			s.note("not all is done 15 s after engines began to hang")
		}
	}},
	{"a node drains", setup{nodes: 3}, func(s *swarm) {
		h := s.elected()
		w := s.another(h)
		s.load(12, 200, h)
		s.pass(200)
		s.nodes[w].now().node.Drain(true)
		time.Sleep(100 * time.Millisecond)
		alive := s.surviving()
		at := time.Now()
		s.load(12, 200, h)
		time.Sleep(3 * time.Second)
		for _, k := range s.tasks {
			for _, r := range s.ledger.of(k.id) {
				if r.node == nodeID(w) && r.began.After(at) {
					s.note("task %s was started on a node that drains", k.id)
				}
			}
		}
		s.nodes[w].now().node.Drain(false)
		s.ranOnce("its worker drained", alive...)
	}},
	{"deadlines", setup{nodes: 3, slots: 1, work: func(i int) bool { return i > 0 }}, func(s *swarm) {
		h := s.elected()
		s.load(8, 1500, h, s.another(h))
		for range 4 {
			s.enqueue(h, script{MS: 700}, timeout(time.Second))
			s.submit(s.another(h), script{MS: 700, Chunks: 2}, timeout(time.Duration(500+s.rnd(2500))*time.Millisecond))
		}
		s.pass(1500)
		if s.rnd(2) == 0 {
			s.kill(h)
		}
		time.Sleep(4 * time.Second)
	}},
	{"cancels", setup{nodes: 3, slots: 1}, func(s *swarm) {
		h := s.elected()
		s.load(12, 900, h, s.another(h))
		s.pass(1500)
		for k := range 12 {
			i := s.rnd(3)
			s.wg.Go(func() { _ = s.cancel(i, bus.TaskID(fmt.Sprintf("t%03d", k))) })
		}
		s.pass(50)
		if s.rnd(2) == 0 {
			s.kill(h)
		}
		time.Sleep(4 * time.Second)
	}},
	{"one broken link", setup{nodes: 3}, func(s *swarm) {
		h := s.elected()
		s.load(9, 200, 0, 1, 2)
		s.net.Link(s.nodes[h].id, s.nodes[s.another(h)].id, false)
		time.Sleep(20 * time.Second)
		s.load(9, 200, 0, 1, 2)
		time.Sleep(5 * time.Second)
	}},
	{"lossy network", setup{nodes: 3, net: sim.Config{Loss: 0.02, Repeat: 0.02, Deaf: 0.1, MinDelay: 100 * time.Microsecond, MaxDelay: 5 * time.Millisecond}}, func(s *swarm) {
		s.elected()
		s.load(30, 100, 0, 1, 2)
		time.Sleep(10 * time.Second)
	}},
	{"lost answers", setup{nodes: 3}, func(s *swarm) {
		s.elected()
		for _, op := range []string{"Feed", "CreateClaim", "UpdateClaim", "PutEnd", "PutTask", "Fetch", "GetClaim", "Ensure"} {
			s.lose(2, func(m sim.Traffic) bool { return m.Answer && m.Op == op && m.From != m.To })
			s.load(6, 60, 0, 1, 2)
			time.Sleep(3 * time.Second)
		}
	}},
	{"lost requests", setup{nodes: 3}, func(s *swarm) {
		s.elected()
		for _, op := range []string{"Feed", "CreateClaim", "UpdateClaim", "PutEnd", "PutTask", "Fetch", "Ack", "Nak", "Progress"} {
			s.lose(2, func(m sim.Traffic) bool { return !m.Answer && m.Op == op && m.From != m.To })
			s.load(6, 60, 0, 1, 2)
			time.Sleep(3 * time.Second)
		}
	}},
	{"lost messages", setup{nodes: 3}, func(s *swarm) {
		s.elected()
		for _, end := range []string{".out", ".next", ".cancel", ".resend"} {
			s.lose(3, func(m sim.Traffic) bool { return strings.HasSuffix(m.Subject, end) && m.From != m.To })
			s.load(8, 60, 0, 1, 2)
			time.Sleep(3 * time.Second)
		}
	}},
}

// lose loses the first n messages that match.
func (s *swarm) lose(n int, match func(sim.Traffic) bool) {
	s.net.SetDrop(func(m sim.Traffic) bool {
		if n > 0 && match(m) {
			n--
			return true
		}
		return false
	})
}

func hostKilled(s *swarm) {
	h := s.elected()
	time.Sleep(50 * time.Millisecond) // all have seen their routes
	var from []int
	for i := range s.nodes {
		if i != h {
			from = append(from, i)
		}
	}
	s.load(20, 200, from...)
	s.pass(400)
	alive := s.surviving(h)
	s.kill(h)
	at := time.Now()
	next := s.submit(from[0], script{MS: 20}, func(t *bus.Task) { t.Priority = 10 })
	time.Sleep(3 * time.Second)
	s.ranOnce("its worker and submitter survived the host", alive...)
	if rs := s.ledger.of(next.id); len(rs) == 0 || rs[0].began.Sub(at) > time.Second {
		s.note("task %s, new when the host died, waits for longer than a second: %v", next.id, rs)
	}
}

// custodiansReturn has tasks end, both of their custodians die, a third node take over, and the
// custodians come back.
func custodiansReturn(s *swarm) {
	h := s.elected()
	w := s.another(h)
	s.enqueueAll(w, 8, script{MS: 30})
	s.until(20*time.Second, s.over)
	s.pass(500)
	s.kill(w, h)
	time.Sleep(time.Duration(1+s.rnd(5)) * time.Second)
	order := []int{w, h}
	if s.rnd(2) == 0 {
		order = []int{h, w}
	}
	for _, i := range order {
		s.restart(i)
		s.pass(1500)
	}
	time.Sleep(5 * time.Second)
	for _, k := range s.tasks {
		s.ranOnce("it had ended before both custodians died", k.id)
	}
}

// allEnded notes the durable tasks that no living node knows as ended.
func (s *swarm) allEnded() {
	s.mu.Lock()
	tasks := append([]*tracked(nil), s.tasks...)
	s.mu.Unlock()
next:
	for _, k := range tasks {
		if !k.durable || !k.accepted {
			continue
		}
		for _, n := range s.nodes {
			if n.m.Running() && len(n.endsAt(k.id)) > 0 {
				continue next
			}
		}
		s.note("durable task %s does not end while its submitter is away", k.id)
	}
}
