package jet_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/bus/fabric/fabrictest"
	"github.com/mycoswarm/mycoswarm/sched"
)

// echo answers with its payload, after a chunk that says so and one with the payload.
type echo struct{ slots int }

func (e echo) Capability(context.Context) (bus.Capability, error) {
	return bus.Capability{Type: "echo", Slots: e.slots}, nil
}

func (e echo) Handle(_ context.Context, t *bus.Task, emit bus.Emit) (any, error) {
	if err := emit("one"); err != nil {
		return nil, err
	}
	if err := emit(t.Payload); err != nil {
		return nil, err
	}
	return t.Payload, nil
}

// run starts a scheduler on each node; workers have the echo handler.
func run(tb testing.TB, nodes []*node, workers ...int) []*sched.Node {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	tb.Cleanup(func() { cancel(); wg.Wait() })
	var out []*sched.Node
	for i, n := range nodes {
		s := sched.New(sched.Config{ID: n.ID, Rank: len(nodes) - i, Log: fabrictest.Logger(tb, n.Key)}, n.jet.Effects())
		for _, w := range workers {
			if w == i {
				_, err := s.Handle(ctx, echo{slots: 2})
				check(tb, err)
			}
		}
		wg.Go(func() {
			if err := s.Run(ctx); err != nil {
				tb.Error(err)
			}
		})
		out = append(out, s)
	}
	for _, s := range out {
		fabrictest.Eventually(tb, func() bool {
			q, ok := s.Host()
			known := 0
			for _, i := range s.Nodes() {
				known += len(i.Types)
			}
			return ok && q.Host != "" && known >= len(workers)
		}, "a queue host is known, and all workers")
	}
	return out
}

// ask submits an echo and returns its end.
func ask(ctx context.Context, s *sched.Node, id bus.TaskID, payload string) (end bus.TaskInfo, chunks int, err error) {
	out, _, err := s.Submit(bus.Task{ID: id, Type: "echo", Payload: json.RawMessage(payload)})
	if err != nil {
		return end, 0, err
	}
	for {
		c, err := out.Next(ctx)
		switch {
		case errors.Is(err, io.EOF):
			return end, chunks, nil
		case err != nil:
			return end, chunks, err
		case c.End != nil:
			end = *c.End
		case c.Seq == 1 && string(c.Data) != payload:
			return end, chunks, fmt.Errorf("the output of %s has the piece %s", payload, c.Data)
		default:
			chunks++
		}
	}
}

// accept hands over a task, and hands it over again where no store answers in time, as on a busy machine: it may have the task
// by then, and not have told of it yet.
func accept(ctx context.Context, s *sched.Node, t bus.Task, copies int) (bus.Receipt, error) {
	t.ID = cmp.Or(t.ID, bus.NewTaskID())
	for slow := false; ; slow = true {
		r, err := s.Enqueue(ctx, t, copies)
		if err == nil || ctx.Err() != nil {
			return r, err
		}
		switch bus.AsError(err).Code {
		case bus.CodeUnavailable:
			continue
		case bus.CodeConflict:
			if slow {
				continue
			}
		}
		return r, err
	}
}

// enqueue hands over tasks like t until one is on two disks as it is accepted: a second one that takes longer than a
// second, as on a busy machine, gets its copy later.
func enqueue(ctx context.Context, tb testing.TB, s *sched.Node, t bus.Task) (r bus.Receipt) {
	tb.Helper()
	fabrictest.Eventually(tb, func() bool {
		var err error
		r, err = accept(ctx, s, t, 2)
		check(tb, err)
		if !r.Accepted {
			tb.Fatalf("receipt %+v", r)
		}
		return r.Copies == 2
	}, "a task is accepted with two copies")
	return r
}

func TestSwarmAnswersAnAttachedTask(t *testing.T) {
	t.Parallel()
	nodes := swarm(t, 3, 0)
	s := run(t, nodes, 2)
	ctx, cancel := context.WithTimeout(context.Background(), fabrictest.Limit)
	defer cancel()
	for i := range 20 {
		payload := fmt.Sprintf(`"%d < %d"`, i, i+1) // what a page of HTML may not hold
		end, chunks, err := ask(ctx, s[1], "", payload)
		check(t, err)
		if end.State != bus.StateDone || string(end.Result) != payload || end.NodeID != nodes[2].ID || chunks != 2 || end.Attempts != 1 {
			t.Fatalf("task %d ended as %+v after %d chunks", i, end, chunks)
		}
	}
}

func TestSwarmKeepsADurableTask(t *testing.T) {
	t.Parallel()
	nodes := swarm(t, 3, 0)
	s := run(t, nodes, 2)
	ctx, cancel := context.WithTimeout(context.Background(), fabrictest.Limit)
	defer cancel()
	r := enqueue(ctx, t, s[1], bus.Task{Type: "echo", Payload: json.RawMessage(`"x"`)})
	for _, n := range s {
		var got bus.TaskInfo
		fabrictest.Eventually(t, func() bool {
			var err error
			got, err = n.Task(ctx, r.ID)
			return err == nil && got.State == bus.StateDone
		}, "every node tells that the task is done")
		if string(got.Result) != `"x"` || !got.Durable {
			t.Fatalf("%+v", got)
		}
	}
}

// A client hands over a task, is cut off, and hands it over again before the first try is done: it is one task. Where the
// machine is so busy that the store does not answer, or tell of what it has, within the time that it is given, it is handed
// over once more, as clients do: what is wrong is told at once.
func TestSwarmTakesTheSameTaskTwiceAtOnce(t *testing.T) {
	t.Parallel()
	s := run(t, swarm(t, 2, 0))
	const storeWait = time.Second // as sched gives it
	payload := json.RawMessage(`"` + strings.Repeat("x", 500<<10) + `"`)
	for i, atOnce := 0, 0; i < 20 || atOnce == 0; i++ {
		ctx, cancel := context.WithTimeout(t.Context(), fabrictest.Limit)
		var both errgroup.Group
		var late atomic.Bool
		for range 2 {
			both.Go(func() error {
				for {
					began := time.Now()
					_, err := s[0].Enqueue(ctx, bus.Task{ID: bus.TaskID(fmt.Sprintf("t%d", i)), Type: "echo", Payload: payload}, 2)
					if err == nil || time.Since(began) < storeWait || ctx.Err() != nil {
						return err
					}
					late.Store(true)
				}
			})
		}
		err := both.Wait()
		cancel()
		check(t, err)
		if !late.Load() {
			atOnce++
		}
	}
}

// What nobody can run leaves its queue once it has ended: nobody comes for it who would settle it.
func TestEndedTaskLeavesItsQueue(t *testing.T) {
	t.Parallel()
	nodes := swarm(t, 2, 0)
	s := run(t, nodes)
	ctx, cancel := context.WithTimeout(context.Background(), fabrictest.Limit)
	defer cancel()
	r, err := accept(ctx, s[1], bus.Task{Type: "echo", Payload: json.RawMessage(`"x"`)}, 1)
	check(t, err)
	waiting := func() (n int) {
		for i, node := range nodes {
			q, _ := s[i].Host()
			if q.Host != node.ID {
				continue
			}
			all, err := node.jet.Counts(ctx, q)
			check(t, err)
			for _, c := range all {
				n += c.Pending
			}
		}
		return n
	}
	fabrictest.Eventually(t, func() bool { return waiting() == 1 }, "the task is in the queue")
	_, err = s[1].Cancel(ctx, r.ID)
	check(t, err)
	fabrictest.Eventually(t, func() bool { return waiting() == 0 }, "it is gone from there")
}

// BenchmarkAsk times one attached no-op task, submitter, host and worker on one node and on
// three.
func BenchmarkAsk(b *testing.B) {
	for _, at := range []struct {
		name                    string
		nodes, submitter, works int
	}{{"one node", 1, 0, 0}, {"three nodes", 3, 1, 2}} {
		b.Run(at.name, func(b *testing.B) {
			s := run(b, swarm(b, at.nodes, 0), at.works)
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			for b.Loop() {
				if _, _, err := ask(ctx, s[at.submitter], "", "1"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
