package jet_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/bus/fabric/fabrictest"
	"github.com/mycoswarm/mycoswarm/sched"
)

// What the store did not tell of is read from it: with the next message that it tells of, and once a connection that was cut
// is there again.
func TestWatchMissesNothing(t *testing.T) {
	t.Parallel()
	n := swarm(t, 1, 0)[0]
	ctx, cancel := context.WithTimeout(t.Context(), fabrictest.Limit)
	defer cancel()
	out := n.jet.Effects().Outbox
	_, err := out.Load(ctx)
	check(t, err)
	put := func(id bus.TaskID) {
		t.Helper()
		k := sched.Kept{Submitter: n.ID, Custodian: bus.NoCustodian, Task: id, Data: []byte("x")}
		if p := out.Put(ctx, k, true, 1); p.Stores != 1 {
			t.Fatalf("put %s: %+v", id, p)
		}
	}
	seen := make(chan bus.TaskID, 100)
	watch := func() (stop func()) {
		t.Helper()
		stop, err := out.Watch(func(k sched.Kept) { seen <- k.Task })
		check(t, err)
		return stop
	}
	wants := func(want ...bus.TaskID) {
		t.Helper()
		var got []bus.TaskID
		for len(got) < len(want) {
			select {
			case id := <-seen:
				got = append(got, id)
			case <-ctx.Done():
				t.Fatalf("told of %v, want %v", got, want)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("told of %v, want %v", got, want)
		}
	}
	put("t1") // nobody hears of it
	put("t2")
	stop := watch()
	put("t3")
	wants("t1", "t2", "t3")
	put("t4")
	wants("t4")
	stop()
	put("t5")
	stop = watch()
	check(t, n.store.ForceReconnect())
	wants("t5")
	put("t6")
	wants("t6")
	stop()
}

// Of one stream that cannot be read the others do not wait for what the store has not told of.
func TestWatchReadsTheOtherStreams(t *testing.T) {
	t.Parallel()
	n := swarm(t, 1, 0)[0]
	ctx, cancel := context.WithTimeout(t.Context(), fabrictest.Limit)
	defer cancel()
	out := n.jet.Effects().Outbox
	_, err := out.Load(ctx)
	check(t, err)
	if p := out.Put(ctx, sched.Kept{Submitter: n.ID, Custodian: bus.NoCustodian, Task: "t1", Data: []byte("x")}, true, 1); p.Stores != 1 {
		t.Fatalf("%+v", p)
	}
	js, err := jetstream.New(n.store)
	check(t, err)
	// It is the first of the list, and does not answer.
	_, err = js.CreateStream(ctx, jetstream.StreamConfig{Name: "CUSTODY_0", Subjects: []string{"broken"}, Storage: jetstream.MemoryStorage})
	check(t, err)
	_, err = js.Publish(ctx, "broken", nil)
	check(t, err)
	seen := make(chan bus.TaskID, 100)
	stop, err := out.Watch(func(k sched.Kept) { seen <- k.Task })
	check(t, err)
	defer stop()
	check(t, n.store.ForceReconnect())
	select {
	case id := <-seen:
		if id != "t1" {
			t.Errorf("told of %s", id)
		}
	case <-ctx.Done():
		t.Error("what was missed is not told of")
	}
}

// hanging is a node with a stream that never answers who reads it: asked has a value for each question. told returns a
// message of it as the store tells of it, after one that is missing.
func hanging(ctx context.Context, t *testing.T) (n *node, asked chan struct{}, told func(seq int) (rest string, m *nats.Msg)) {
	t.Helper()
	const stream = "CUSTODY_0"
	n = swarm(t, 1, 0)[0]
	_, err := n.jet.Effects().Outbox.Load(ctx)
	check(t, err)
	js, err := jetstream.New(n.store)
	check(t, err)
	_, err = js.CreateStream(ctx, jetstream.StreamConfig{Name: stream, Subjects: []string{"broken"}, Storage: jetstream.MemoryStorage})
	check(t, err)
	_, err = js.Publish(ctx, "broken", nil)
	check(t, err)
	asked = make(chan struct{}, 100)
	_, err = n.store.Subscribe("$JS.API.DIRECT.GET."+stream, func(*nats.Msg) { asked <- struct{}{} })
	check(t, err)
	return n, asked, func(seq int) (string, *nats.Msg) {
		return string(n.ID) + "." + string(bus.NoCustodian) + ".t" + strconv.Itoa(seq), &nats.Msg{Header: nats.Header{
			jetstream.StreamHeader: {stream}, jetstream.SequenceHeader: {strconv.Itoa(seq)},
			jetstream.TimeStampHeaer: {time.Now().Format(time.RFC3339Nano)},
		}}
	}
}

// Of a stream that hangs what was missed is read once, and not for each message that is told of: all others wait meanwhile.
func TestWatchWaitsOnceForAStreamThatHangs(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), fabrictest.Limit)
	defer cancel()
	n, asked, told := hanging(ctx, t)
	var got []bus.TaskID
	hear, stop := n.jet.Hearing(2*time.Second, func(k sched.Kept) { got = append(got, k.Task) })
	defer stop()
	for seq := 3; seq < 8; seq++ {
		if err := hear(told(seq)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a message after one that cannot be read: %v", err)
		}
	}
	if !slices.Equal(got, []bus.TaskID{"t3", "t4", "t5", "t6", "t7"}) || len(asked) != 1 {
		t.Errorf("told of %v, and asked %d times, want once", got, len(asked))
	}
}

// That a daemon stops while it reads what it has missed is no fault of its store.
func TestWatchThatIsStoppedComplainsOfNothing(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), fabrictest.Limit)
	defer cancel()
	n, asked, told := hanging(ctx, t)
	hear, stop := n.jet.Hearing(fabrictest.Limit, func(sched.Kept) {})
	go func() {
		defer stop()
		select {
		case <-asked:
		case <-ctx.Done():
		}
	}()
	if err := hear(told(3)); err != nil {
		t.Error(err)
	}
}
