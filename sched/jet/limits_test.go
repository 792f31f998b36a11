package jet_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

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

// Six bytes for each '<' would make a message of 4 MiB of a payload within its limit.
func TestPayloadOfAngleBracketsFits(t *testing.T) {
	t.Parallel()
	s := run(t, swarm(t, 2, 0), 1)
	ctx, cancel := context.WithTimeout(context.Background(), fabrictest.Limit)
	defer cancel()
	payload := json.RawMessage(`"` + strings.Repeat("<", 700<<10) + `"`)
	r, err := s[0].Enqueue(ctx, bus.Task{Type: "echo", Payload: payload}, 2)
	check(t, err)
	if !r.Accepted || r.Copies != 2 {
		t.Fatalf("receipt %+v", r)
	}
	out, _, err := s[0].Submit(bus.Task{Type: "echo", Payload: payload})
	check(t, err)
	for {
		c, err := out.Next(ctx)
		check(t, err)
		if c.End == nil {
			continue
		}
		// The result is written by Go, which escapes: it is over the limit, and says so.
		if c.End.State != bus.StateFailed || c.End.Error.Code != bus.CodeTooLarge {
			t.Fatalf("ended as %s: %v", c.End.State, c.End.Error)
		}
		return
	}
}
