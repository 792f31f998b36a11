package daemon

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
)

// alone connects to a server of its own.
func alone(t *testing.T) *nats.Conn {
	t.Helper()
	s, err := server.NewServer(&server.Options{DontListen: true, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	nc, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// A node that is lost once it has been asked answers never, and is not waited for.
func TestAskEndsWithWhoIsAsked(t *testing.T) {
	t.Parallel()
	nc := alone(t)
	asked := make(chan struct{}, 1)
	for subject, f := range map[string]nats.MsgHandler{
		"lost":  func(*nats.Msg) { asked <- struct{}{} },
		"lives": func(m *nats.Msg) { _ = m.Respond([]byte("here")) }, // else the one who asked fails the test
	} {
		if _, err := nc.Subscribe(subject, f); err != nil {
			t.Fatal(err)
		}
	}
	there := func() bool {
		select {
		case <-asked:
			return false
		default:
			return true
		}
	}
	if m, err := ask(t.Context(), nc, there, "lost", nil); !errors.Is(err, context.Canceled) || t.Context().Err() != nil {
		t.Errorf("a node that is lost answers %v, error %v", m, err)
	}
	if m, err := ask(t.Context(), nc, func() bool { return true }, "lives", nil); err != nil || string(m.Data) != "here" {
		t.Errorf("a node that lives answers %v, error %v", m, err)
	}
}

// Output of a node comes to an end with that start of it.
func TestSourceIsOneStart(t *testing.T) {
	t.Parallel()
	const at bus.NodeID = "myco-0123456789ab"
	now := time.Now()
	for what, c := range map[string]struct {
		peers map[bus.NodeID]sched.Peer
		ended time.Duration // for how long nothing was heard of a task that has ended
		there bool
	}{
		"it lives":              {map[bus.NodeID]sched.Peer{at: {State: bus.NodeReady, Beat: bus.Heartbeat{Boot: "first"}}}, 0, true},
		"it is silent":          {map[bus.NodeID]sched.Peer{at: {State: bus.NodeSuspect, Beat: bus.Heartbeat{Boot: "first"}}}, 0, true},
		"it is lost":            {map[bus.NodeID]sched.Peer{at: {State: bus.NodeLost, Beat: bus.Heartbeat{Boot: "first"}}}, 0, false},
		"it has started anew":   {map[bus.NodeID]sched.Peer{at: {State: bus.NodeReady, Beat: bus.Heartbeat{Boot: "second"}}}, 0, false},
		"it was never heard of": {nil, 0, false},
		"it tells of an end":    {map[bus.NodeID]sched.Peer{at: {State: bus.NodeReady, Beat: bus.Heartbeat{Boot: "first"}}}, endedWait / 2, true},
		"what it told is lost":  {map[bus.NodeID]sched.Peer{at: {State: bus.NodeReady, Beat: bus.Heartbeat{Boot: "first"}}}, endedWait, false},
	} {
		s := source{at: at, boot: "first", ended: c.ended > 0, heard: now.Add(-c.ended)}
		if got := s.in(sched.View{Peers: c.peers}, now); got != c.there {
			t.Errorf("%s: there %t, want %t", what, got, c.there)
		}
	}
}

// What is lost between two nodes is asked for again, and so is what comes after a node was lost and is back. What nobody has is
// told at the end.
func TestRelayAsksAgain(t *testing.T) {
	t.Parallel()
	const at bus.NodeID = "myco-0123456789ab"
	// has are the pieces that who ran it has yet.
	has := map[string][]int{"who ran it has the rest": {1, 2}, "who ran it has no more": {}, "who ran it has the rest after a hole": {3}}
	for name, c := range map[string]struct {
		lost  bool    // the node is, once its first piece was read, and back where it is asked once more
		sends [][]int // what is sent to each who asks: numbers of pieces; 100 and more is the end of so many; nil: no answer
		asks  []int   // from which piece on it is asked for
		warns string
		reads []int
	}{
		"nothing is lost":      {false, [][]int{{0, 1, 102}}, []int{0}, "", []int{0, 1}},
		"one is lost":          {false, [][]int{{0, 2, 103}, {1, 2, 103}}, []int{0, 1}, "", []int{0, 1, 2}},
		"the last is lost":     {false, [][]int{{0, 102}, {1, 102}}, []int{0, 1}, "", []int{0, 1}},
		"the end is lost":      {false, [][]int{{0, 1}, {102}}, []int{0, 2}, "", []int{0, 1}},
		"all are lost":         {false, [][]int{{}, {0, 1, 102}}, []int{0, 0}, "", []int{0, 1}},
		"no answer comes":      {false, [][]int{nil, {0, 1, 102}}, []int{0, 0}, "", []int{0, 1}},
		"the first is lost":    {false, [][]int{{1, 102}, {0, 1, 102}}, []int{0, 0}, "", []int{0, 1}},
		"the first is gone":    {false, [][]int{{1, 102}, {1, 102}}, []int{0, 0}, "1 of 2 pieces of the output are missing", []int{1}},
		"all before the end":   {false, [][]int{{102}, {0, 1, 102}}, []int{0, 0}, "", []int{0, 1}},
		"one is gone":          {false, [][]int{{0, 2, 103}, {2, 103}}, []int{0, 1}, "1 of 3 pieces of the output are missing", []int{0, 2}},
		"the rest is gone":     {false, [][]int{{0, 103}, {103}}, []int{0, 1}, "2 of 3 pieces of the output are missing", []int{0}},
		"it is lost, and back": {true, [][]int{{0}, {1, 102}}, []int{0, 1}, "", []int{0, 1}},
		"it is lost":           {true, [][]int{{0}}, []int{0}, "pieces of the output may be missing: node c, through which they came, was lost", []int{0}},

		"who ran it has the rest":              {true, [][]int{{0}}, []int{0}, "", []int{0, 1, 2}},
		"who ran it has no more":               {true, [][]int{{0}}, []int{0}, "", []int{0}},
		"who ran it has the rest after a hole": {true, [][]int{{0, 2}, {2}}, []int{0, 1}, "1 of 4 pieces of the output are missing", []int{0, 2, 3}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			nc := alone(t)
			var asks []int
			var lost atomic.Bool
			check := func(err error) {
				if err != nil {
					t.Error(err)
				}
			}
			_, err := nc.Subscribe(bus.SubjectPayloadRPC(at, bus.VerbAttach), func(m *nats.Msg) {
				var req bus.AttachRequest
				check(bus.Unmarshal(m.Data, &req))
				if len(asks) >= len(c.sends) {
					t.Errorf("asked once more, from %d", req.From)
					return
				}
				sends := c.sends[len(asks)]
				if asks = append(asks, req.From); sends == nil {
					return
				}
				for _, n := range sends {
					chunk := bus.Chunk{Attempt: 1, Seq: n, Node: "worker"}
					if n >= 100 {
						chunk.Seq, chunk.End = n-100, &bus.TaskInfo{State: bus.StateDone}
					}
					data, err := bus.Marshal(chunk)
					check(err)
					check(nc.Publish(req.Inbox, data))
				}
				check(m.Respond([]byte("{}"))) // last: so it has all of it when it looks
			})
			if err != nil {
				t.Fatal(err)
			}
			task := bus.TaskInfo{Submitter: at, State: bus.StateRunning}
			silent := time.Minute
			switch name {
			case "all are lost", "the end is lost", "no answer comes": // which is known by the silence alone
				silent = time.Second
			}
			r := &relay{nc: nc, nameOf: func(bus.NodeID) string { return "c" }, silent: silent}
			r.source = func(bus.TaskInfo) *source {
				return &source{at: at, view: func() sched.View {
					if lost.Load() {
						return sched.View{}
					}
					return sched.View{Peers: map[bus.NodeID]sched.Peer{at: {State: bus.NodeReady}}}
				}}
			}
			r.task = func(context.Context, bus.TaskID) (bus.TaskInfo, error) {
				if back := lost.Load() && len(asks) < len(c.sends); back {
					lost.Store(false)
				} else if lost.Load() {
					task.State = bus.StateDone
				}
				return task, nil
			}
			var reads []int
			r.said = func(_ context.Context, _ bus.TaskInfo, at bus.Place, before bus.NodeID) (next []bus.Chunk, ok bool) {
				if at.Attempt != 1 || at.Next != reads[len(reads)-1]+1 || before != "worker" {
					t.Errorf("who ran it is asked for what comes after %+v, by %s", at, before)
				}
				for _, n := range has[name] {
					next = append(next, bus.Chunk{Attempt: 1, Seq: n})
				}
				return next, has[name] != nil
			}
			after := 1
			if name == "who ran it has the rest after a hole" {
				after = 2
			}
			r.hand = func(m *nats.Msg, got bus.Chunk) error {
				var sent bus.Chunk
				if err := bus.Unmarshal(m.Data, &sent); err != nil || sent.Seq != got.Seq {
					t.Errorf("piece %d comes as %s, %v", got.Seq, m.Data, err)
				}
				reads = append(reads, got.Seq)
				lost.Store(c.lost && len(reads) == after)
				return nil
			}
			end, _, err := r.run(t.Context(), task)
			if err != nil || end.End == nil || end.End.State != bus.StateDone || end.End.Warning != c.warns {
				t.Fatalf("ends with %+v, error %v, want the warning %q", end.End, err, c.warns)
			}
			if !slices.Equal(reads, c.reads) || !slices.Equal(asks, c.asks) {
				t.Errorf("read %v, asked from %v, want %v and %v", reads, asks, c.reads, c.asks)
			}
		})
	}
}

// Where more comes than may wait, what waits is read, and then what comes after the hole.
func TestRelayReadsWhatWaits(t *testing.T) {
	t.Parallel()
	nc := alone(t)
	sub, err := nc.SubscribeSync("output")
	if err != nil {
		t.Fatal(err)
	}
	if err := sub.SetPendingLimits(2, -1); err != nil {
		t.Fatal(err)
	}
	send := func(all ...string) {
		for _, m := range all {
			if err := nc.Publish("output", []byte(m)); err != nil {
				t.Fatal(err)
			}
		}
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	s := &source{view: func() sched.View { return sched.View{} }}
	send("0", "1", "2")
	for _, want := range []string{"0", "1", "3"} {
		if want == "3" {
			send("3")
		}
		if m, err := s.next(t.Context(), sub, time.Minute); err != nil || string(m.Data) != want {
			t.Fatalf("read %+v, error %v, want %s", m, err, want)
		}
	}
}
