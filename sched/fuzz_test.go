package sched_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
	"github.com/mycoswarm/mycoswarm/sched/internal/sim"
)

// Whatever another node sends, a node neither ends nor hangs: it still tells what it knows.
func FuzzMessages(f *testing.F) {
	id, other := nodeID(0), nodeID(1)
	subjects := map[string]string{
		"beat": bus.SubjectHeartbeat(other), "bye": bus.SubjectBye(other), "next": bus.SubjectNext(id), "offer": bus.SubjectOffer(id),
		"out": bus.SubjectOut(id, "t1"), "sync": bus.SubjectSync, "find": bus.SubjectFind,
		"cancel": bus.SubjectCancel(id, "t1"), "resend": bus.SubjectResend(id, "t1"), "kept": "", "shown": bus.SubjectShown(id, "t1"),
	}
	seed := func(what string, v any) {
		b, err := json.Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(what, b)
	}
	task := bus.Task{ID: "t1", Type: "work", Payload: []byte(`{"n":1}`)}
	final := map[string]any{"task": "t1", "state": "done", "attempt": 1, "nonce": "x", "result": 1}
	seed("beat", bus.Heartbeat{
		Node: other, Boot: "b", Seq: 1, Wire: bus.ThisWire(), Term: 3, MaxTerm: 3, Host: other, Heir: id, Sees: []bus.NodeID{id, other},
		Running: []bus.Running{{Task: "t1", Submitter: id, Attempt: 2}}, Crashed: map[bus.TaskID]int{"t1": 3}, WallMS: 1,
		Info: &bus.NodeInfo{ID: other, Types: []string{"work"}, Slots: -1, Busy: 1 << 30},
	})
	seed("bye", bus.Heartbeat{Node: other})
	seed("next", map[string]any{"node": other, "class": "work", "slot": -1, "slots": -5, "missed": true})
	seed("offer", map[string]any{"term": 1, "key": "interactive-5.work._", "job": map[string]any{"task": task, "submitter": other}})
	seed("offer", map[string]any{"term": 1, "job": []int{}})
	seed("out", map[string]any{"nonce": "x", "attempt": 1, "seq": 0, "node": other, "data": "x"})
	seed("out", map[string]any{"nonce": "x", "attempt": -1, "seq": -7, "final": final})
	seed("sync", map[string]any{"from": other, "ids": []string{"t1", "", "a.b"}})
	seed("find", map[string]any{"id": "t1"})
	seed("cancel", bus.TaskRequest{ID: "t1"})
	seed("resend", map[string]any{"attempt": 1, "from": -3})
	seed("shown", map[string]any{"attempt": 2})
	seed("out", map[string]any{"nonce": "y", "attempt": 2, "seq": 0, "node": other, "data": map[string]any{}, "after": map[string]any{"attempt": 1, "chunks": math.MaxInt}})
	seed("kept", map[string]any{"job": map[string]any{"task": task, "submitter": id, "custodian": "none"}})
	seed("kept", map[string]any{"job": map[string]any{"task": task, "submitter": id}, "final": final})
	for _, blob := range []map[string]any{{"sha256": strings.Repeat("0a", 32), "size": 1 << 20}, {"sha256": "/../../x", "size": -1}} {
		seed("kept", map[string]any{"job": map[string]any{"task": task, "submitter": id, "blob": blob}})
		seed("kept", map[string]any{"job": map[string]any{"task": task, "submitter": id}, "final": map[string]any{"task": "t1", "state": "done", "blob": blob}})
	}

	f.Fuzz(func(t *testing.T, what string, data []byte) {
		machine := sim.New(sim.Config{}).Add(id)
		_, fx := machine.Start()
		defer machine.Kill()
		n := sched.New(sched.Config{ID: id}, fx)
		receive := n.Receivers()[what]
		if receive == nil {
			return
		}
		for range 2 { // the second time something is known
			receive(sched.Msg{Subject: subjects[what], Reply: "_INBOX.x", Data: data})
		}
		for _, i := range n.Nodes() {
			if _, err := json.Marshal(i); err != nil {
				t.Errorf("%s %q leaves a node that cannot be told: %v", what, data, err)
			}
		}
		key := bus.KeyOf(&bus.Task{Type: "work"})
		bid := sched.BidFor(&sched.Tender{Key: key}, &sched.Seat{})
		d := sched.ChooseHost(n.View(), sched.Candidacy{MaxTerm: 1}, time.Now())
		if _, err := json.Marshal([]any{bid, key, d}); err != nil {
			t.Error(err)
		}
	})
}
