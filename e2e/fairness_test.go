//go:build e2e && linux

package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
	"github.com/mycoswarm/mycoswarm/internal/protect"
	"github.com/mycoswarm/mycoswarm/sched"
)

// sharing is a node that is asked over HTTP, and one that answers what its gate lets through.
type sharing struct {
	asked  *harness.Node
	ledger engine.Ledger
	gate   chan struct{}
}

func newSharing(t *testing.T, slots int, without ...protect.Protection) *sharing {
	t.Helper()
	x := &sharing{gate: make(chan struct{})}
	s := harness.New(t, programs)
	if len(without) > 0 {
		s.Without(t, without...)
	}
	e := startEngine(t, s, engine.Config{Name: "b", Ledger: &x.ledger, Script: func(r engine.Request) engine.Script {
		if strings.HasPrefix(r.Marker, "person") {
			return engine.Script{}
		}
		return engine.Script{Gate: x.gate}
	}})
	x.asked = s.Found(t, "a")
	b := s.Join(t, x.asked, "b", "--engine", e.URL(), "--slots", fmt.Sprint(slots))
	harness.Settle(t, x.asked, b)
	awaitModel(t, x.asked, "b", engine.Model, true)
	return x
}

// key makes a key as an owner does.
func (x *sharing) key(t *testing.T, name string) string {
	t.Helper()
	var k bus.NewKey
	x.asked.JSON(t, &k, "key", "create", "--name", name)
	return k.Key
}

// waiting waits until n tasks are in the queue.
func (x *sharing) waiting(t *testing.T, n int) {
	t.Helper()
	harness.Poll(t, harness.Patience, fmt.Sprintf("%d tasks wait", n), func() string {
		var v topView
		if r := x.asked.JSON(t, &v, "top"); v.Waiting != n {
			return r.Stdout
		}
		return ""
	})
}

// begunOf is how many runs of tasks whose name begins so have begun.
func begunOf(runs []engine.Run, prefix string) int {
	return engine.Count(runs, func(r engine.Run) bool { return strings.HasPrefix(r.Marker, prefix) })
}

const (
	floodOf = 40 // requests of one key
	fewOf   = 5  // of another, after these
)

// floods returns how many requests of a flood with one key began before the last of a few that were made
// with another, after it.
func floods(t *testing.T, without ...protect.Protection) (before int) {
	t.Helper()
	x := newSharing(t, 2, without...)
	ctx := within(t, "two keys")
	var all sync.WaitGroup
	ask := func(key, marker string) {
		all.Go(func() {
			text, _, err := postChat(ctx, x.asked, "/v1/chat/completions", key, []map[string]string{{"role": "user", "content": engine.Prompt(marker)}})
			if err != nil || text != "done "+marker {
				t.Errorf("%s: %q, %v", marker, text, err)
			}
		})
	}
	flood, few := x.key(t, "flood"), x.key(t, "few")
	for i := range floodOf {
		ask(flood, fmt.Sprintf("flood-%d", i))
	}
	x.waiting(t, floodOf-2)
	for i := range fewOf {
		ask(few, fmt.Sprintf("few-%d", i))
	}
	x.waiting(t, floodOf-2+fewOf)
	close(x.gate)
	all.Wait()
	runs := x.ledger.Runs()
	if len(runs) != floodOf+fewOf {
		t.Errorf("%d runs, want %d", len(runs), floodOf+fewOf)
	}
	for i, r := range runs {
		if strings.HasPrefix(r.Marker, "few") {
			before = begunOf(runs[:i], "flood")
		}
	}
	return before
}

// One key floods, and another asks a few times after it: they take turns, and all are answered.
func TestKeysTakeTurns(t *testing.T) {
	t.Parallel()
	before, without := floods(t), floods(t, sched.ProtectShares)
	t.Logf("%d of %d requests of a flood went before the last of %d of another key, and %d where keys do not take turns", before, floodOf, fewOf, without)
	if before > 2*fewOf+2 { // two ran already
		t.Errorf("%d requests of a flood went before the last of %d of another key, want that they take turns", before, fewOf)
	}
	if without < floodOf-fewOf {
		t.Errorf("where keys do not take turns %d of %d requests of the flood go before: this shows nothing", without, floodOf)
	}
}

// Batch work fills a node but for the slot that is kept: whoever asks is answered at once.
func TestBatchLeavesRoom(t *testing.T) {
	t.Parallel()
	const slots, batch = 3, 8
	for name, without := range map[string][]protect.Protection{"with a reserved slot": nil, "without": {sched.ProtectReserved}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := newSharing(t, slots, without...)
			d, ctx := newDriver(t), within(t, "batch work")
			for i := range batch {
				id := fmt.Sprintf("batch-%d", i)
				body, err := json.Marshal(d.task(id))
				if err != nil {
					t.Fatal(err)
				}
				if r := httpDo(t, x.asked, http.MethodPost, "/task?durable=1", string(body)); r.status != http.StatusAccepted {
					t.Fatalf("%s: %+v", id, r)
				}
				d.durable[bus.TaskID(id)] = true
			}
			fills := slots - 1
			if without != nil {
				fills = slots
			}
			if _, err := x.ledger.Wait(ctx, func(runs []engine.Run) bool { return begunOf(runs, "batch") >= fills }); err != nil {
				t.Fatalf("batch work does not fill %d of %d slots: %v", fills, slots, err)
			}
			x.waiting(t, batch-fills)
			if without == nil {
				key := x.key(t, "person")
				for i := range 3 {
					marker := fmt.Sprintf("person-%d", i)
					text, _, err := postChat(ctx, x.asked, "/api/chat", key, []map[string]string{{"role": "user", "content": engine.Prompt(marker)}})
					if err != nil || text != "done "+marker {
						t.Errorf("a question beside batch work: %q, %v", text, err)
					}
				}
			}
			if n := begunOf(x.ledger.Runs(), "batch"); n != fills {
				t.Errorf("batch work has %d of %d slots, want %d", n, slots, fills)
			}
			close(x.gate)
			d.audit(ctx, x.asked.Dial(t))
		})
	}
}
