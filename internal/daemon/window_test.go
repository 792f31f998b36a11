package daemon_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/mycoswarm/mycoswarm/bus"
)

// talker emits pieces of a kibibyte, as many as its task says; of another task a little, and then the
// payload as its result.
type talker struct{}

func (talker) Capability(context.Context) (bus.Capability, error) {
	return bus.Capability{Type: "talk", Slots: 2}, nil
}

func (talker) Handle(_ context.Context, t *bus.Task, emit bus.Emit) (any, error) {
	var n int
	if err := json.Unmarshal(t.Payload, &n); err != nil {
		return t.Payload, emit("a little, and then the whole")
	}
	for range n {
		if err := emit(strings.Repeat("x", 1<<10)); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// talks has n serve what a talker does, until the test ends.
func (n *node) talks() {
	ctx, cancel := context.WithCancel(n.t.Context())
	served := make(chan error, 1)
	go func() { served <- n.conn.Serve(ctx, talker{}) }()
	n.t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil && !errors.Is(err, context.Canceled) {
			n.t.Error(err)
		}
	})
}

// A reader that reads nothing gets no more than its window, whatever is made for it; another reads on
// beside it; and the first gets the rest once it reads.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	n := start(t, "a")
	n.talks()

	const pieces, window = 700, 64 << 10
	nc := raw(t, n)
	inbox := nc.NewInbox()
	sub, err := nc.SubscribeSync(inbox)
	check(t, err)
	check(t, sub.SetPendingLimits(-1, -1))
	ask, err := json.Marshal(bus.SubmitRequest{Task: bus.Task{ID: "slow", Type: "talk", Payload: []byte("700")}, Inbox: inbox, Window: window})
	check(t, err)
	m, err := nc.Request(bus.SubjectPayloadRPC(n.id(), bus.VerbSubmit), ask, limit)
	check(t, err)
	if m.Header.Get(bus.HeaderError) != "" {
		t.Fatalf("refused: %s", m.Data)
	}
	eventually(t, "the task is done", func() string {
		info, err := n.conn.Task(n.ctx(), "slow")
		check(t, err)
		if info.State != bus.StateDone {
			return string(info.State)
		}
		return ""
	})
	if r := last(t, n, bus.Task{Type: "talk", Payload: []byte("700")}); string(r.Result) != "700" {
		t.Errorf("beside a slow reader another one got %+v", r)
	}
	check(t, nc.Flush())
	_, waiting, err := sub.Pending()
	check(t, err)
	if waiting == 0 || waiting > window {
		t.Errorf("%d bytes wait for a reader with a window of %d", waiting, window)
	}

	next := func() (*nats.Msg, bus.Chunk) {
		t.Helper()
		m, err := sub.NextMsg(limit)
		check(t, err)
		var c bus.Chunk
		check(t, json.Unmarshal(m.Data, &c))
		ack, err := json.Marshal(bus.ReadAck{Bytes: len(m.Data)})
		check(t, err)
		check(t, nc.Publish(m.Reply, ack))
		return m, c
	}
	for want := 0; ; want++ {
		m, c := next()
		if !strings.HasPrefix(m.Reply, bus.SubjectPayloadRPC(n.id(), bus.VerbRead)+".") {
			t.Fatalf("a piece names %q for what was read", m.Reply)
		}
		if c.End != nil {
			if want != pieces || string(c.End.Result) != "700" {
				t.Errorf("the end comes after %d pieces of %d: %+v", want, pieces, c.End)
			}
			break
		}
		if c.Seq != want {
			t.Fatalf("piece %d came where %d was due", c.Seq, want)
		}
	}
}

// A result larger than what is left of the window arrives: the reader has read all there was.
func TestLargeResultAfterSmallOutput(t *testing.T) {
	t.Parallel()
	n := start(t, "a")
	n.talks()
	large, err := json.Marshal(strings.Repeat("y", 700<<10))
	check(t, err)
	if r := last(t, n, bus.Task{Type: "talk", Payload: large}); len(r.Result) != len(large) {
		t.Errorf("a result of %d bytes, want %d", len(r.Result), len(large))
	}
}
