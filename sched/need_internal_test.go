package sched

import (
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

// The turns of a conversation have one affinity, and others another.
func TestAffinity(t *testing.T) {
	t.Parallel()
	of := func(model, payload string) uint64 {
		return affinityOf(&bus.Task{Type: bus.TypeInference, Model: model, Payload: []byte(payload)})
	}
	const first = `{"messages":[{"role":"system","content":"be kind"},{"role":"user","content":"hi"}]}`
	one := of("m", first)
	if one == 0 {
		t.Fatal("a conversation has no affinity")
	}
	own, err := bus.NewTask(bus.TypeInference, bus.InferenceRequest{Messages: []bus.Message{
		{Role: "system", Content: "be kind"}, {Role: "user", Content: "hi"}, {Role: "assistant", Content: "hello"}, {Role: "user", Content: "bye"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	own.Model = "m"
	for name, same := range map[string]uint64{
		"a request of this process": affinityOf(&own),
		"a later turn":              of("m", strings.TrimSuffix(first, "]}")+`,{"role":"assistant","content":"hello"},{"role":"user","content":"and now?"}]}`),
		"the model by another name": of("m:latest", first),
	} {
		if same != one {
			t.Errorf("%s: another affinity", name)
		}
	}
	for name, other := range map[string]uint64{
		"another model":      of("n", first),
		"another question":   of("m", strings.Replace(first, "hi", "ho", 1)),
		"another system":     of("m", strings.Replace(first, "kind", "rude", 1)),
		"a session of it":    of("m", strings.Replace(first, "{", `{"session":"s1",`, 1)),
		"what is no request": of("m", `"hi"`),
	} {
		if other == one {
			t.Errorf("%s: the same affinity", name)
		}
	}
	if got := of("m", `{"images":["x"]}`); got != 0 {
		t.Errorf("what has no text: %d", got)
	}
	if of("m", `{"session":"s","prompt":"a"}`) != of("m", `{"session":"s","prompt":"b"}`) {
		t.Error("one session: another affinity")
	}
}

// A host remembers the last conversations, and no more.
func TestWarmIsBounded(t *testing.T) {
	t.Parallel()
	w := newWarm()
	for i := uint64(1); i <= warmMost+2; i++ {
		w.put(i, "n1")
		w.put(1, "n2") // used all the time
	}
	if w.of(1) != "n2" || w.of(2) != "" || w.of(warmMost+2) != "n1" || w.of(0) != "" || len(w.by) != warmMost || w.order.Len() != warmMost {
		t.Errorf("%q %q %q, %d of %d", w.of(1), w.of(2), w.of(warmMost+2), len(w.by), warmMost)
	}
}

// Who comes back after a while is not far behind, and what was used is forgotten by and by.
func TestUsage(t *testing.T) {
	t.Parallel()
	u := newUsage()
	now := u.aged
	heads := []QueueHead{{Key: bus.Key{Share: 1}}, {Key: bus.Key{Share: 2}}, {}}
	u.spent(1, 100*usageLead)
	u.fill(heads, now)
	if heads[0].Used != 100*usageLead || heads[1].Used != 99*usageLead || heads[2].Used != 0 {
		t.Errorf("%v %v %v", heads[0].Used, heads[1].Used, heads[2].Used)
	}
	u.spent(2, -1000*usageLead)
	if u.by[2] != 0 {
		t.Errorf("less than nothing: %v", u.by[2])
	}
	u = newUsage()
	start := now.Add(usageHalf)
	u.age(start)
	u.spent(1, usageLead)
	u.age(start.Add(2 * usageHalf))
	if u.by[1] != usageLead/4 {
		t.Errorf("after two half-lives %v are left of %v", u.by[1], usageLead)
	}
	u.age(start.Add(20 * usageHalf))
	if len(u.by) != 0 {
		t.Errorf("after twenty there is %v", u.by)
	}
}
