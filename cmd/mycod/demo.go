package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/alecthomas/kong"

	"github.com/mycoswarm/mycoswarm/bus"
)

// demoCmd shows a swarm.
type demoCmd struct {
	Keep bool `help:"Leave the folders with data and logs, and say where they are."`
}

// demo is one showing.
type demo struct {
	out   io.Writer
	begin time.Time

	host, worker, asker *demoNode
}

// Run implements the command.
func (c *demoCmd) Run(ctx context.Context, s streams, given *kong.Context) (err error) {
	for _, p := range given.Path { // a node's flags may stand before any command, and behind it
		if f := p.Flag; f != nil && !p.Resolved && f.Name != "keep" {
			return bus.Errorf(bus.CodeInvalid, "mycod demo does not take --%s: its nodes are as they are", f.Name).WithHint("mycod demo --help")
		}
	}
	root, err := os.MkdirTemp("", "mycoswarm-demo-")
	if err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	d := &demo{out: s.out, begin: time.Now()}
	defer func() {
		for _, n := range d.nodes() {
			n.kill()
		}
		if c.Keep {
			d.say("data and logs are left in %s", root)
			return
		}
		if cleaning := os.RemoveAll(root); cleaning != nil {
			err = errors.Join(err, fmt.Errorf("clean up: %w", cleaning))
			return
		}
		d.say("cleaned up: no process and no file is left")
		if err == nil {
			fmt.Fprintln(d.out, "\nFor real: mycod on one machine, then myco invite there, and mycod --join TOKEN on the next (README.md).")
		}
	}()
	for _, step := range []func(context.Context) error{
		func(ctx context.Context) error { return d.start(ctx, root) }, d.join, d.ask, d.loseHost,
	} {
		err := step(ctx)
		if ctx.Err() != nil {
			return bus.Errorf(bus.CodeCancelled, "interrupted") // and not what each of its calls says of that
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) nodes() []*demoNode {
	return slices.DeleteFunc([]*demoNode{d.host, d.worker, d.asker}, func(n *demoNode) bool { return n == nil })
}

// say prints a line with the time since the start.
func (d *demo) say(format string, args ...any) {
	fmt.Fprintf(d.out, "%5.1fs  %s\n", time.Since(d.begin).Seconds(), fmt.Sprintf(format, args...))
}

// start starts three daemons, each of which founds a swarm of its own.
func (d *demo) start(ctx context.Context, root string) error {
	d.say("starting three nodes on this machine: a process, a key and a data directory each")
	var nodes []*demoNode
	for i := range 3 {
		n, err := newDemoNode(root, fmt.Sprintf("node%d", i+1))
		if err != nil {
			return err
		}
		nodes = append(nodes, n)
	}
	// Of swarms that meet, all else equal, the queue host with the lowest id stays. It is to be
	// a node without an engine, so that there is one left when it dies.
	slices.SortFunc(nodes, func(a, b *demoNode) int { return strings.Compare(string(a.id), string(b.id)) })
	d.host, d.worker, d.asker = nodes[0], nodes[1], nodes[2]
	for i, name := range []string{"alder", "birch", "cedar"} {
		nodes[i].name = name
	}
	for _, n := range nodes {
		flags := []string{"--no-demo-engine"}
		if n == d.worker {
			flags = []string{"--slots", "1"}
		}
		if err := n.start(flags...); err != nil {
			return err
		}
	}
	for _, n := range nodes {
		if err := n.dial(ctx); err != nil {
			return err
		}
	}
	d.say("%s and %s have no engine, %s has the built-in demo model", d.host.name, d.asker.name, d.worker.name)
	return nil
}

// join makes one swarm of three: found over mDNS, trusted by token.
func (d *demo) join(ctx context.Context) error {
	d.say("%s", d.howFound(ctx))
	for _, n := range []*demoNode{d.worker, d.asker} {
		inv, err := d.host.conn.Invite(ctx, 0)
		if err != nil {
			return fmt.Errorf("invite %s: %w", n.name, err)
		}
		if _, err := n.conn.Join(ctx, inv.Token); err != nil {
			return fmt.Errorf("join %s: %w", n.name, err)
		}
		d.say("%s joined the swarm of %s with a token that works once", n.name, d.host.name)
	}
	if err := eventually(ctx, "the three are one swarm", func() (bool, error) { return d.settled(ctx, 3) }); err != nil {
		return err
	}
	d.say("one swarm of three; %s holds the queue", d.host.name)
	return nil
}

// howFound tells whether the nodes hear one another over mDNS.
func (d *demo) howFound(ctx context.Context) string {
	limit, cancel := context.WithTimeout(ctx, 4*time.Second)
	defer cancel()
	err := eventually(limit, "they hear one another", func() (bool, error) {
		for _, n := range []*demoNode{d.worker, d.asker} {
			s, err := n.conn.Status(limit)
			if err != nil {
				return false, err
			}
			if !slices.ContainsFunc(s.Nearby, func(near bus.NearbySwarm) bool { return near.NodeID == d.host.id }) {
				return false, nil
			}
		}
		return true, nil
	})
	if err != nil {
		return "this machine's loopback has no multicast: they find each other by the address in the token"
	}
	return "they hear of each other over mDNS on loopback; that is a hint, not trust"
}

// settled reports whether all see so many ready nodes, the host, and the worker's model.
func (d *demo) settled(ctx context.Context, ready int) (bool, error) {
	for _, n := range []*demoNode{d.worker, d.asker} {
		s, err := n.conn.Status(ctx)
		if err != nil {
			return false, err
		}
		if s.Swarm.QueueHost != d.host.id {
			return false, nil
		}
		k, models := 0, 0
		for _, i := range s.Nodes {
			if i.State == bus.NodeReady {
				k++
				models += len(i.Models)
			}
		}
		if k != ready || models == 0 {
			return false, nil
		}
	}
	return true, nil
}

// ask asks on a node without an engine, and shows the answer as it comes.
func (d *demo) ask(ctx context.Context) error {
	const question = "What is the capital of France?"
	d.say("on %s: myco ask %q", d.asker.name, question)
	t, err := demoQuestion(question)
	if err != nil {
		return err
	}
	fmt.Fprint(d.out, "        ")
	start := time.Now()
	for chunk, err := range d.asker.conn.Submit(ctx, t) {
		if err != nil {
			return fmt.Errorf("ask: %w", err)
		}
		var piece bus.InferenceChunk
		if len(chunk.Data) > 0 {
			if err := json.Unmarshal(chunk.Data, &piece); err != nil {
				return fmt.Errorf("read the answer: %w", err)
			}
			fmt.Fprint(d.out, piece.Text)
		}
		if chunk.End != nil {
			fmt.Fprintln(d.out)
			d.say("answered by %s, in %v, with the demo model (it invents what it was not taught)",
				d.nameOf(chunk.End.NodeID), time.Since(start).Round(100*time.Microsecond))
		}
	}
	return nil
}

func demoQuestion(text string) (bus.Task, error) {
	payload, err := json.Marshal(bus.InferenceRequest{Prompt: text})
	if err != nil {
		return bus.Task{}, fmt.Errorf("encode a question: %w", err)
	}
	return bus.Task{ID: bus.NewTaskID(), Type: bus.TypeInference, Payload: payload}, nil
}

func (d *demo) nameOf(id bus.NodeID) string {
	for _, n := range d.nodes() {
		if n.id == id {
			return n.name
		}
	}
	return string(id)
}

// demoCapitals are questions whose answers the demo model was taught.
var demoCapitals = []string{
	"France", "Paris", "Germany", "Berlin", "Italy", "Rome", "Spain", "Madrid", "Portugal", "Lisbon", "Austria", "Vienna",
	"Greece", "Athens", "Poland", "Warsaw", "Norway", "Oslo", "Sweden", "Stockholm", "Finland", "Helsinki", "Denmark", "Copenhagen",
	"Ireland", "Dublin", "Hungary", "Budapest", "Japan", "Tokyo", "China", "Beijing", "Egypt", "Cairo", "Kenya", "Nairobi",
	"Peru", "Lima", "Chile", "Santiago",
}

// demoRounds is how often each question is asked.
const demoRounds = 5

// promised is durable work that was accepted.
type promised struct {
	id     bus.TaskID
	answer string
}

// loseHost hands over durable work on two nodes, kills the queue host, and counts what is done.
func (d *demo) loseHost(ctx context.Context) error {
	watch := watchDone(ctx, d.worker.conn)
	defer watch.stop()
	total := demoRounds * len(demoCapitals) / 2
	d.say("handing over %d questions as durable work, half on %s and half on %s", total, d.host.name, d.asker.name)
	work, err := d.enqueue(ctx)
	if err != nil {
		return err
	}
	d.say("all %d are accepted: each is on the disks of two nodes", len(work))
	before := watch.count()
	killed := time.Now()
	d.host.kill()
	d.say("kill -9 %s, which holds the queue; %d of %d questions were answered", d.host.name, before, len(work))
	next, err := d.nextHost(ctx)
	if err != nil {
		return err
	}
	took := time.Now()
	d.say("%s holds the queue now, %v after the kill", d.nameOf(next), took.Sub(killed).Round(time.Millisecond))
	again, wrong, err := d.audit(ctx, work)
	if err != nil {
		return err
	}
	if first := watch.firstAfter(took); !first.IsZero() {
		d.say("the first answer under the new host came %v after the kill", first.Sub(killed).Round(time.Millisecond))
	}
	d.say("%d of %d questions are answered: 0 lost, %d run twice, %d wrong", len(work), len(work), again, wrong)
	return nil
}

// nextHost waits until another node holds the queue.
func (d *demo) nextHost(ctx context.Context) (host bus.NodeID, err error) {
	err = eventually(ctx, "another node holds the queue", func() (bool, error) {
		s, err := d.worker.conn.Status(ctx)
		host = s.Swarm.QueueHost
		return err == nil && host != "" && host != d.host.id, err
	})
	return host, err
}

// enqueue hands over the work, several at a time, alternately on two nodes.
func (d *demo) enqueue(ctx context.Context) ([]promised, error) {
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		work   []promised
		failed error
		room   = make(chan struct{}, 16)
	)
	for i := range demoRounds * len(demoCapitals) / 2 {
		pair := 2 * (i % (len(demoCapitals) / 2))
		conn := []*bus.Conn{d.host.conn, d.asker.conn}[i%2]
		room <- struct{}{}
		wg.Go(func() {
			defer func() { <-room }()
			t, err := demoQuestion("What is the capital of " + demoCapitals[pair] + "?")
			if err == nil {
				_, err = conn.Enqueue(ctx, t, bus.WithCopies(2))
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = errors.Join(failed, fmt.Errorf("hand over a question: %w", err))
				return
			}
			work = append(work, promised{t.ID, demoCapitals[pair+1]})
		})
	}
	wg.Wait()
	return work, failed
}

// audit waits until every question is answered, and counts those that ran more than once and
// those with a wrong answer.
func (d *demo) audit(ctx context.Context, work []promised) (again, wrong int, err error) {
	told := time.Now()
	for i, w := range work {
		if now := time.Now(); now.Sub(told) > 2*time.Second {
			told = now
			d.say("%d of %d questions are answered", i, len(work))
		}
		var info bus.TaskInfo
		err := eventually(ctx, "question "+string(w.id)+" is answered", func() (bool, error) {
			var err error
			info, err = d.asker.conn.Task(ctx, w.id)
			return err == nil && info.State.Terminal(), err
		})
		if err != nil {
			return again, wrong, err
		}
		r, err := bus.Result[bus.InferenceResult](info)
		if err != nil {
			return again, wrong, fmt.Errorf("question %s: %w", w.id, err)
		}
		if info.Attempts > 1 {
			again++
		}
		if !strings.Contains(r.Text, w.answer) {
			wrong++
		}
	}
	return again, wrong, nil
}

// doneWatch notes when tasks were done.
type doneWatch struct {
	stop func()

	mu sync.Mutex
	at []time.Time
}

func watchDone(ctx context.Context, c *bus.Conn) *doneWatch {
	ctx, cancel := context.WithCancel(ctx)
	w := &doneWatch{}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for _, err := range c.Watch(ctx, bus.EventFilter{Kind: bus.EventDone}) {
			if err != nil {
				return
			}
			w.mu.Lock()
			w.at = append(w.at, time.Now())
			w.mu.Unlock()
		}
	}()
	w.stop = func() {
		cancel()
		<-ended
	}
	return w
}

func (w *doneWatch) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.at)
}

// firstAfter returns when the first task was done after t; zero if none was.
func (w *doneWatch) firstAfter(t time.Time) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, at := range w.at {
		if at.After(t) {
			return at
		}
	}
	return time.Time{}
}
