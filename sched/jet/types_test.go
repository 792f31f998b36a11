package jet_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/bus/fabric/fabrictest"
)

// kindly runs tasks of one type, while on says that it can.
type kindly struct {
	typ string
	on  func() bool
	odd atomic.Int32 // tasks of another type that it was given
}

func (k *kindly) Capability(context.Context) (bus.Capability, error) {
	c := bus.Capability{Type: k.typ}
	if k.on() {
		c.Slots = 2
	}
	return c, nil
}

func (k *kindly) Handle(_ context.Context, t *bus.Task, _ bus.Emit) (any, error) {
	if t.Type != k.typ {
		k.odd.Add(1)
	}
	return k.typ, nil
}

// A node whose engine comes and goes opens and closes slots for several types. What its host hands to a
// slot that has just closed never runs in one of another type that was opened since.
func TestSlotsKeepTheirType(t *testing.T) {
	t.Parallel()
	s := run(t, swarm(t, 1, 0), 0)[0]
	ctx, cancel := context.WithTimeout(context.Background(), fabrictest.Limit)
	defer cancel()
	var gone atomic.Bool
	both := []*kindly{{typ: "first"}, {typ: "second"}}
	for _, k := range both {
		k.on = func() bool { return !gone.Load() }
		remove, err := s.Handle(ctx, k)
		check(t, err)
		defer remove()
	}
	engine := func(there bool) {
		gone.Store(!there)
		s.CapabilityChanged()
		fabrictest.Eventually(t, func() bool { return (len(s.Nodes()[0].Types) == 3) == there }, fmt.Sprintf("the engine is there: %v", there))
	}
	engine(true)
	for i := range 10 {
		engine(false)
		engine(true)
		var ids []bus.TaskID
		for n := range 4 * len(both) { // as many as slots wait, and have waited
			r, err := accept(ctx, s, bus.Task{ID: bus.TaskID(fmt.Sprintf("%d-%d", i, n)), Type: both[n%2].typ, Payload: json.RawMessage(`1`)}, 1)
			check(t, err)
			ids = append(ids, r.ID)
		}
		for _, id := range ids {
			var got bus.TaskInfo
			fabrictest.Eventually(t, func() (ended bool) {
				var err error
				got, err = s.Task(ctx, id)
				return err == nil && got.State.Terminal()
			}, "task "+string(id)+" ends")
			if want := fmt.Sprintf("%q", got.Type); got.State != bus.StateDone || string(got.Result) != want {
				t.Errorf("%s is %s with %s (%v), want %s", id, got.State, got.Result, got.Error, want)
			}
		}
	}
	for _, k := range both {
		if n := k.odd.Load(); n != 0 {
			t.Errorf("%d tasks of another type ran as %q", n, k.typ)
		}
	}
}
