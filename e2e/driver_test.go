//go:build e2e && linux

package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sync/errgroup"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// driver hands over tasks and remembers what was accepted: its half of the ledger.
type driver struct {
	t *testing.T

	wg sync.WaitGroup
	mu sync.Mutex
	// durable are the accepted durable tasks, by id; attached what became of each attached one.
	durable  map[bus.TaskID]bool
	attached map[bus.TaskID]outcome
}

// outcome is what a client of an attached task saw.
type outcome struct {
	ends int
	text string
	err  error
}

func newDriver(t *testing.T) *driver {
	d := &driver{t: t, durable: map[bus.TaskID]bool{}, attached: map[bus.TaskID]outcome{}}
	t.Cleanup(d.wg.Wait)
	return d
}

// task makes the task called id: the scripted engines' ledger tells it by its prompt.
func (d *driver) task(id string) bus.Task {
	d.t.Helper()
	payload, err := json.Marshal(bus.InferenceRequest{Prompt: engine.Prompt(id)})
	if err != nil {
		d.t.Fatal(err)
	}
	return bus.Task{ID: bus.TaskID(id), Type: bus.TypeInference, Model: engine.Model, Payload: payload}
}

// enqueue hands over a durable task, and fails the test where it is not accepted.
func (d *driver) enqueue(ctx context.Context, c *bus.Conn, id string) {
	d.t.Helper()
	if err := d.tryEnqueue(ctx, c, id); err != nil {
		d.t.Fatal(err)
	}
}

func (d *driver) tryEnqueue(ctx context.Context, c *bus.Conn, id string) error {
	r, err := c.Enqueue(ctx, d.task(id))
	if err != nil || !r.Accepted || r.ID != bus.TaskID(id) {
		return fmt.Errorf("enqueue %s: receipt %+v, error %w", id, r, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.durable[r.ID] = true
	return nil
}

// enqueueAll hands over n durable tasks, eight at a time: each waits for the disks of two nodes.
func (d *driver) enqueueAll(ctx context.Context, n int, of func(i int) (*bus.Conn, string)) {
	d.t.Helper()
	var all errgroup.Group
	all.SetLimit(8)
	for i := range n {
		all.Go(func() error {
			c, id := of(i)
			return d.tryEnqueue(ctx, c, id)
		})
	}
	if err := all.Wait(); err != nil {
		d.t.Fatal(err)
	}
}

// submit hands over an attached task and reads its output in the background.
func (d *driver) submit(ctx context.Context, c *bus.Conn, id string) {
	d.t.Helper()
	s, err := c.Start(ctx, d.task(id))
	if err != nil {
		d.t.Fatalf("submit %s: %v", id, err)
	}
	d.mu.Lock()
	d.attached[bus.TaskID(id)] = outcome{}
	d.mu.Unlock()
	d.wg.Go(func() {
		var o outcome
		for chunk, err := range s.Chunks() {
			o.err = err
			if err == nil && chunk.End != nil {
				o.ends++
				r, err := bus.Result[bus.InferenceResult](*chunk.End)
				o.text, o.err = r.Text, err
			}
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		d.attached[bus.TaskID(id)] = o
	})
}

// audit waits for every accepted task and fails the test for each that did not end as done,
// once, with its own answer.
func (d *driver) audit(ctx context.Context, c *bus.Conn) {
	d.t.Helper()
	d.wg.Wait()
	for id, o := range d.attached {
		if o.ends != 1 || o.err != nil || o.text != "done "+string(id) {
			d.t.Errorf("attached task %s: %d ends, text %q, error %v", id, o.ends, o.text, o.err)
		}
	}
	for id := range d.durable {
		harness.Poll(d.t, harness.Patience, "durable task "+string(id)+" ends", func() string {
			info, err := c.Task(ctx, id)
			if err != nil {
				return err.Error()
			}
			if !info.State.Terminal() {
				return string(info.State)
			}
			r, err := bus.Result[bus.InferenceResult](info)
			if err != nil || r.Text != "done "+string(id) {
				d.t.Errorf("durable task %s: state %s, text %q, error %v", id, info.State, r.Text, err)
			}
			return ""
		})
	}
}

// observe connects to n's daemon with the observer's credentials.
func observe(t *testing.T, n *harness.Node) *nats.Conn {
	t.Helper()
	key, err := nats.NkeyOptionFromSeed(filepath.Join(n.Dir, bus.ObserverCred))
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(n.Info.BusURL, key, nats.CustomInboxPrefix(bus.ObserverInbox(n.Info.NodeID)), nats.NoReconnect())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// nextHost reports the moment when another node than old announces itself as queue host.
func nextHost(t *testing.T, n *harness.Node, old bus.NodeID) <-chan time.Time {
	t.Helper()
	found := make(chan time.Time, 1)
	_, err := observe(t, n).Subscribe(bus.SubjectHeartbeats, func(m *nats.Msg) {
		var b bus.Heartbeat
		if err := json.Unmarshal(m.Data, &b); err != nil || b.Node == old || b.Term == 0 {
			return
		}
		select {
		case found <- time.Now():
		default:
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// within returns a context that ends with the test or after the harness's patience.
func within(t *testing.T, what string) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), 2*harness.Patience, fmt.Errorf("%s: not within %v", what, 2*harness.Patience))
	t.Cleanup(cancel)
	return ctx
}
