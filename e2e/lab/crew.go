//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// Crew is a swarm that is hurt: each node with an engine of its own and a client.
type Crew struct {
	Book    Book
	Ledger  engine.Ledger
	Members []*Member

	t     testing.TB
	swarm *harness.Swarm
	o     Options
	added int            // machines so far
	taken sync.RWMutex   // held to change Members, and by others than the test's goroutine to read them
	wg    sync.WaitGroup // observers and load
	stop  context.CancelFunc
	ctx   context.Context
	cut   bool // a partition is on
	due   []due
	gone  []*harness.Process
}

// Member is one node of a crew.
type Member struct {
	*harness.Node
	Conn   *bus.Conn
	Engine *engine.Engine
	// Flags are those that its daemon starts with.
	Flags []string

	mu    sync.Mutex
	state Act // what is done to it at present; empty while it is well
}

// Well reports whether nothing is done to the node at present.
func (m *Member) Well() bool { return m.doing() == "" }

func (m *Member) doing() Act {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state
}

func (m *Member) set(a Act) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state = a
}

// Options describe a crew.
type Options struct {
	// Size is the number of nodes.
	Size int
	// Script is what the engines do; default Pace.
	Script func(engine.Request) engine.Script
	// Flags are given to every daemon.
	Flags []string
}

// Pace answers after 20 to 300 ms, the same for the same task.
func Pace(r engine.Request) engine.Script {
	h := fnv.New32a()
	h.Write([]byte(r.Marker))
	return engine.Script{Before: 20*time.Millisecond + time.Duration(h.Sum32()%280)*time.Millisecond}
}

// Start starts a crew on a LAN of its own and returns when everybody sees everybody's model.
func Start(t testing.TB, bin harness.Binaries, o Options) *Crew {
	t.Helper()
	return Gather(t, harness.NewLAN(t, bin), o)
}

// Gather starts a crew among the machines of s.
func Gather(t testing.TB, s *harness.Swarm, o Options) *Crew {
	t.Helper()
	if o.Script == nil {
		o.Script = Pace
	}
	c := &Crew{t: t, swarm: s}
	c.ctx, c.stop = context.WithCancel(context.WithoutCancel(t.Context()))
	t.Cleanup(func() {
		c.stop()
		c.wg.Wait()
	})
	if os.Getenv(harness.EnvKeep) != "" {
		o.Flags = append(o.Flags, "--verbose") // somebody wants to know
	}
	c.o = o
	for range o.Size {
		c.Members = append(c.Members, c.add())
	}
	c.Settle()
	for _, m := range c.Members {
		c.wg.Go(func() { c.observe(m) })
	}
	return c
}

// add starts one more machine, which founds the swarm or joins that of the first.
func (c *Crew) add() *Member {
	c.t.Helper()
	name := string(rune('a' + c.added))
	c.added++
	eng, err := engine.Start(c.t.Context(), c.swarm.EngineAddr(), engine.Config{Name: name, Ledger: &c.Ledger, Script: c.o.Script})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		if err := eng.Stop(); err != nil {
			c.t.Error(err)
		}
	})
	m := &Member{Node: c.swarm.Node(c.t, name), Engine: eng}
	m.Flags = append(append([]string{"--slots", "4", "--engine", eng.URL()}, m.Reachable()...), c.o.Flags...)
	if len(c.Members) == 0 {
		m.Start(c.t, m.Flags...)
	} else {
		m.Start(c.t, append([]string{"--join", c.Members[0].Invite(c.t)}, m.Flags...)...)
	}
	m.Conn = m.Dial(c.t)
	return m
}

// at returns the member number i, for another goroutine than the test's.
func (c *Crew) at(i int) *Member {
	c.taken.RLock()
	defer c.taken.RUnlock()
	return c.Members[i]
}

// observe writes down what m's daemon hears of tasks.
func (c *Crew) observe(m *Member) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		for e, err := range m.Conn.Watch(c.ctx, bus.EventFilter{}) {
			if err == nil {
				c.Book.Event(e)
			}
		}
		select {
		case <-tick.C:
		case <-c.ctx.Done():
			return
		}
	}
}

// Nodes are the machines.
func (c *Crew) Nodes() []*harness.Node {
	var nodes []*harness.Node
	for _, m := range c.Members {
		nodes = append(nodes, m.Node)
	}
	return nodes
}

// Index is the Pick of a step that means m, while all are well.
func (c *Crew) Index(m *Member) int { return slices.Index(c.Members, m) }

// Settle waits until all see all, with their models, under one host, and returns that host.
func (c *Crew) Settle() *Member {
	c.t.Helper()
	host := harness.Settle(c.t, c.Nodes()...)
	for _, m := range c.Members {
		harness.Poll(c.t, harness.Patience, m.Name+" sees every model, and its client is back", func() string {
			ctx, cancel := context.WithTimeout(c.ctx, 5*time.Second)
			defer cancel()
			nodes, err := m.Conn.Nodes(ctx)
			if err != nil {
				return err.Error()
			}
			n := 0
			for _, node := range nodes {
				for _, model := range node.Models {
					if bus.SameModel(model.Name, engine.Model) {
						n++
					}
				}
			}
			if n < len(c.Members) {
				return fmt.Sprintf("%d of %d", n, len(c.Members))
			}
			return ""
		})
	}
	for _, m := range c.Members {
		if m.Node == host {
			return m
		}
	}
	c.t.Fatalf("the queue host %s is none of the crew", host.Name)
	return nil
}

// Host returns who a member that is well says is queue host; nil where nobody says.
func (c *Crew) Host() *Member {
	for _, m := range c.Members {
		if !m.Well() {
			continue
		}
		ctx, cancel := context.WithTimeout(c.ctx, time.Second)
		st, err := m.Conn.Status(ctx)
		cancel()
		if err != nil {
			continue
		}
		for _, x := range c.Members {
			if x.Info.NodeID == st.Swarm.QueueHost {
				return x
			}
		}
	}
	return nil
}

// Seen asks the daemon of every member for all durable tasks of the book. It returns once all
// have ended everywhere, or after the harness's patience.
func (c *Crew) Seen() []Seen {
	c.t.Helper()
	out, hurts := make([]Seen, len(c.Members)), c.Book.Hurts()
	var all sync.WaitGroup
	ctx, cancel := context.WithTimeout(c.ctx, harness.Patience)
	defer cancel()
	for i, m := range c.Members {
		out[i] = Seen{Node: m.Name, Tasks: map[bus.TaskID]bus.TaskInfo{}}
		var mu sync.Mutex
		ids := make(chan Entry)
		for range 4 {
			all.Go(func() {
				for e := range ids {
					info, ok := c.awaitEnd(ctx, m, e, revoked(hurts, e.Node))
					mu.Lock()
					if ok {
						out[i].Tasks[e.ID] = info
					}
					mu.Unlock()
				}
			})
		}
		all.Go(func() {
			defer close(ids)
			for _, e := range c.Book.Entries() {
				if e.Durable {
					ids <- e
				}
			}
		})
	}
	all.Wait()
	return out
}

// awaitEnd returns what m tells of a task once it has ended; ok is false where m knows none. gone tells
// that it may be so: its submitter was put out.
func (c *Crew) awaitEnd(ctx context.Context, m *Member, e Entry, gone bool) (info bus.TaskInfo, ok bool) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		next, err := m.Conn.Task(ctx, e.ID)
		if err == nil {
			info, ok = next, true
		}
		if err == nil && info.State.Terminal() || (!e.Accepted || gone) && errors.Is(err, &bus.Error{Code: bus.CodeNotFound}) {
			return info, ok
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return info, ok
		}
	}
}

// Audit waits for the load to end, asks everybody, and fails the test for what is wrong.
func (c *Crew) Audit(rules Rules) Report {
	c.t.Helper()
	r := Audit(&c.Book, c.Seen(), c.Ledger.ByMarker(), rules)
	c.t.Log(r)
	for i, p := range r.Problems {
		if i == 20 {
			c.t.Errorf("and %d more", len(r.Problems)-i)
			break
		}
		c.t.Error(p)
	}
	return r
}
