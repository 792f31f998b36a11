package jet_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/mycoswarm/mycoswarm/bus/fabric/fabrictest"
	"github.com/mycoswarm/mycoswarm/sched"
)

// A scheduler tries again and again what a store refuses. The log tells it once, and again once the store
// refuses it for another reason.
func TestRefusalIsToldOnce(t *testing.T) {
	t.Parallel()
	var log logged
	n := &node{Node: fabrictest.Swarm(t, 1)[0], dir: t.TempDir(), log: slog.New(slog.NewTextHandler(&log, nil))}
	n.start(t)
	defer n.stop(t)
	awaitOutboxes(t, []*node{n})
	js, err := jetstream.New(n.store)
	check(t, err)
	const refusal = "a store refused"
	before := strings.Count(log.String(), refusal)
	refused := func(change func(*jetstream.StreamConfig)) (told int) {
		t.Helper()
		streams := js.ListStreams(t.Context())
		var c jetstream.StreamConfig
		for s := range streams.Info() {
			if strings.HasSuffix(s.Config.Name, string(n.ID)) {
				c = s.Config
			}
		}
		check(t, streams.Err())
		change(&c)
		_, err := js.UpdateStream(t.Context(), c)
		check(t, err)
		for range 5 {
			ctx, cancel := context.WithTimeout(t.Context(), fabrictest.Limit)
			p := n.jet.Effects().Outbox.Put(ctx, sched.Kept{Submitter: n.ID, Task: "t1", Data: make([]byte, 1000)}, true, 1)
			cancel()
			if p.Stores+p.Refused > 0 {
				t.Fatalf("it is stored: %+v", p)
			}
		}
		return strings.Count(log.String(), refusal) - before
	}
	if told := refused(func(c *jetstream.StreamConfig) { c.MaxMsgSize = 100 }); told != 1 {
		t.Errorf("told %d times that a message is too large:\n%s", told, log.String())
	}
	if told := refused(func(c *jetstream.StreamConfig) { c.MaxMsgSize, c.MaxBytes = -1, 500 }); told != 2 {
		t.Errorf("told %d times of two reasons:\n%s", told, log.String())
	}
}
