package jet_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/bus/fabric/fabrictest"
	"github.com/mycoswarm/mycoswarm/sched"
)

// The server refuses consumer 1001 of a stream that names no limit.
func TestQueueTakesManyKeys(t *testing.T) {
	t.Parallel()
	n := swarm(t, 1, time.Hour)[0]
	fx := n.jet.Effects()
	q := sched.QueueID{Host: n.ID, Term: 1}
	check(t, fx.Open(t.Context(), q))
	for i := range 1001 {
		check(t, fx.AddKey(t.Context(), q, bus.Key{Lane: bus.Batch, Priority: 1, Class: "inference", Model: fmt.Sprint("m", i)}))
	}
	check(t, fx.Drop(t.Context(), q))
}

// One message, or one consumer, that is of no key must not hide the others.
func TestOddKeysArePassedOver(t *testing.T) {
	t.Parallel()
	var log logged
	n := &node{Node: fabrictest.Swarm(t, 1)[0], dir: t.TempDir(), log: slog.New(slog.NewTextHandler(&log, nil))}
	n.start(t)
	defer n.stop(t)
	fx, q := n.jet.Effects(), sched.QueueID{Host: n.ID, Term: 1}
	check(t, fx.Open(t.Context(), q))
	key := bus.Key{Lane: bus.Batch, Priority: 1, Class: "inference", Model: "m"}
	stray := bus.Key{Lane: bus.Batch, Priority: 1, Class: "inference", Model: "stray"}
	check(t, fx.AddKey(t.Context(), q, key))
	js, err := jetstream.New(n.store)
	check(t, err)
	odd := bus.SubjectWork(q.Host, q.Term, "odd.")
	_, err = js.Publish(t.Context(), odd+"one", nil)
	check(t, err)
	names := js.StreamNames(t.Context(), jetstream.WithStreamListSubject(odd+"one"))
	_, err = js.CreateConsumer(t.Context(), <-names.Name(), jetstream.ConsumerConfig{
		Durable: "odd", FilterSubject: odd + "*", AckPolicy: jetstream.AckExplicitPolicy,
	})
	check(t, err)
	check(t, fx.Feed(t.Context(), q, key, "task", sched.Need{}, nil))
	check(t, fx.Feed(t.Context(), q, stray, "task", sched.Need{}, nil))
	fabrictest.Eventually(t, func() bool { // a consumer hears of a message a moment after it is stored
		keys, err := fx.Keys(t.Context(), q)
		check(t, err)
		return slices.Equal(keys, []bus.Key{key})
	}, "the keys are not %v alone", key)
	counts, err := fx.Counts(t.Context(), q)
	check(t, err)
	if len(counts) != 2 || counts[0].Key != key || counts[1].Key != stray || counts[0].Pending != 1 || counts[1].Pending != 1 {
		t.Errorf("counts %+v, want one task of each of two keys", counts)
	}
	if !strings.Contains(log.String(), "no key") {
		t.Errorf("nothing is said of what was passed over:\n%s", log.String())
	}
}

// Six bytes for each '<' would make a message of nearly 2 MiB of a payload, or a result, within its limit.
func TestPayloadOfAngleBracketsFits(t *testing.T) {
	t.Parallel()
	s := run(t, swarm(t, 2, 0), 1)
	ctx, cancel := context.WithTimeout(context.Background(), fabrictest.Limit)
	defer cancel()
	payload := json.RawMessage(`"` + strings.Repeat("<", 300<<10) + `"`)
	enqueue(ctx, t, s[0], bus.Task{Type: "echo", Payload: payload})
	out, _, err := s[0].Submit(bus.Task{Type: "echo", Payload: payload})
	check(t, err)
	for {
		c, err := out.Next(ctx)
		check(t, err)
		if c.End == nil {
			continue
		}
		if c.End.State != bus.StateDone || !bytes.Equal(c.End.Result, payload) {
			t.Fatalf("ended as %s: %v, with a result of %d bytes", c.End.State, c.End.Error, len(c.End.Result))
		}
		return
	}
}
