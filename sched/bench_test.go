package sched_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
)

// 1,000 tasks wait in 40 queues, and 50 nodes have one slot free each.
func BenchmarkMatch(b *testing.B) {
	var heads []sched.QueueHead
	var models []bus.ModelInfo
	for i := range 20 {
		name := fmt.Sprintf("model-%d:latest", i)
		models = append(models, bus.ModelInfo{Name: name, Loaded: i == 0})
		for _, lane := range []bus.Lane{bus.Interactive, bus.Batch} {
			h := head(lane, 5, name, 25, time.Duration(i)*time.Second)
			for range 25 {
				h.Items = append(h.Items, sched.HeadItem{Since: h.Oldest, Need: sched.Need{Prompt: 100 * i}})
			}
			heads = append(heads, h)
		}
	}
	info := &bus.NodeInfo{Types: []string{"inference"}, Models: models}
	seats := make([]sched.Seat, 50)
	b.ReportAllocs()
	for b.Loop() {
		for i := range seats {
			seats[i] = sched.Seat{Node: bus.NodeID(fmt.Sprint("n", i%10)), State: bus.NodeReady, Info: info, Class: "inference", Slots: 1, Free: 1}
		}
		if got, _ := sched.Match(heads, seats, sched.Rules{Hold: time.Second, Reserved: 1}, t0); len(got) != 50 {
			b.Fatalf("%d of 50 slots were given work", len(got))
		}
	}
}
