//go:build e2e && linux

package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
	"github.com/mycoswarm/mycoswarm/e2e/lab"
)

// builds are the programs of the next version, and of one that no longer speaks what others do.
var builds struct {
	once        sync.Once
	err         error
	next, apart harness.Binaries
}

// later returns those programs, built once a run.
func later(t *testing.T) (next, apart harness.Binaries) {
	t.Helper()
	builds.once.Do(func() {
		for _, b := range []struct {
			bin   *harness.Binaries
			apart bool
		}{{&builds.next, false}, {&builds.apart, true}} {
			var dir string
			if dir, builds.err = os.MkdirTemp(scratch, "later-*"); builds.err == nil { //nolint:usetesting // it outlives the test, and goes with the run
				*b.bin, builds.err = harness.BuildNext(context.Background(), dir, b.apart)
			}
			if builds.err != nil {
				return
			}
		}
	})
	if builds.err != nil {
		t.Fatal(builds.err)
	}
	return builds.next, builds.apart
}

// mixed waits until every node says in `myco swarm` that versions are mixed, with all of words, or that
// they are not, where there are no words.
func mixed(t *testing.T, nodes []*harness.Node, words ...string) {
	t.Helper()
	const banner = "The nodes run different versions: "
	for _, n := range nodes {
		harness.Poll(t, harness.Patience, fmt.Sprintf("%s says of versions: %q", n.Name, words), func() string {
			r := n.Myco(t, "swarm")
			var s bus.Status
			n.JSON(t, &s, "swarm")
			want := len(words) > 0
			if r.Code != 0 || strings.Contains(r.Stdout, banner) != want || (s.Mixed != nil) != want {
				return r.String()
			}
			for _, w := range words {
				if !strings.Contains(r.Stdout, w) {
					return r.String()
				}
			}
			return ""
		})
	}
}

// Three nodes under load are upgraded one after the other to a program with a higher version of the
// protocol, and one is downgraded: nothing is lost, and everybody says that versions are mixed for as
// long as they are.
func TestRollingUpgrade(t *testing.T) {
	next, _ := later(t)
	seed := lab.Seed(t, 0)
	c := lab.Start(t, programs, lab.Options{Size: 3})
	mixed(t, c.Nodes())
	end := c.Load(lab.Load{Every: 30 * time.Millisecond}, lab.Rand(seed, 2))
	changes := 0
	replace := func(m *lab.Member, bin harness.Binaries) {
		c.Replace(m, bin)
		c.Settle()
		changes++
	}
	for i, m := range c.Members {
		replace(m, next)
		if i == len(c.Members)-1 {
			break
		}
		mixed(t, c.Nodes(), "(protocol 4) on ", "-next (protocol 5) on a", "They work together")
		eventually(t, c.Members[2].Node, "versions are named", func(r checkup) string {
			if r.code != 0 || r.find("warn", "versions: ", "(protocol 4) on ", "(protocol 5) on a") == "" {
				return r.String()
			}
			return ""
		})
		if got := strings.Count(c.Members[2].Log(10_000), "speaks another version of the protocol"); got != i+1 {
			t.Errorf("c has told %d times of %d nodes of another version", got, i+1)
		}
	}
	mixed(t, c.Nodes())
	last := c.Members[2]
	replace(last, programs) // what it has stored is of the same format
	mixed(t, c.Nodes(), "(protocol 4) on c", "(protocol 5) on a, b")
	replace(last, next)
	mixed(t, c.Nodes())
	end()
	c.Settle()
	r := c.Audit(lab.Rules{})
	reach(t, "upgrade", changes, r.String())
	c.Tidy()
}

// What a newer node says in a task and of itself, and this version does not know, passes through
// older nodes: a custodian feeds the task, and its worker hands it to a program.
func TestUnknownFieldsPassAnOlderNode(t *testing.T) {
	t.Parallel()
	next, _ := later(t)
	const field = "of_the_next_version"
	s := harness.New(t, programs)
	b := s.Found(t, "b")
	c := s.Join(t, b, "c")
	a := s.Node(t, "a")
	a.Use(next)
	a.Start(t, "--join", b.Invite(t))
	harness.Settle(t, a, b, c)
	ctx := within(t, "a task by way of older nodes")
	onC := c.Dial(t)

	harness.Poll(t, harness.Patience, "the table of nodes of c tells all that a tells", func() string {
		nodes, err := onC.Nodes(ctx)
		for _, n := range nodes {
			if j, _ := json.Marshal(n); n.Name == "a" && strings.Contains(string(j), field) {
				return ""
			}
		}
		return fmt.Sprintf("%v %v", nodes, err)
	})

	r, err := a.Dial(t).Enqueue(ctx, bus.Task{ID: "from-the-next", Type: "probe"})
	if err != nil || r.Copies != 2 {
		t.Fatalf("%+v, %v", r, err)
	}
	a.Kill()
	got := make(chan string, 1)
	serving, stop := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() {
		served <- onC.Serve(serving, prober{got})
	}()
	select {
	case task := <-got:
		if !strings.Contains(task, `"`+field+`":{"text":"a \"}\" in it","list":[1,2]}`) {
			t.Errorf("the program got %s: want the field %s", task, field)
		}
	case <-ctx.Done():
		t.Fatal("the task did not run")
	}
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// prober is a program that tells which task it got.
type prober struct{ got chan<- string }

func (prober) Capability(context.Context) (bus.Capability, error) {
	return bus.Capability{Type: "probe", Slots: 1}, nil
}

func (p prober) Handle(_ context.Context, task *bus.Task, _ bus.Emit) (any, error) {
	j, err := json.Marshal(task)
	select {
	case p.got <- string(j):
	default: // it runs again
	}
	return nil, err
}

// A node of a version that shares no protocol with the others gets no work, and every place where that
// matters says which node to upgrade. An older program refuses its store.
func TestVersionsApart(t *testing.T) {
	t.Parallel()
	_, apart := later(t)
	var ledger engine.Ledger
	s := harness.New(t, programs)
	eng := startEngine(t, s, engine.Config{Name: "b", Ledger: &ledger})
	a := s.Found(t, "a")
	b := s.Node(t, "b")
	b.Use(apart)
	b.Start(t, "--join", a.Invite(t), "--engine", eng.URL())
	for _, n := range []*harness.Node{a, b} {
		mixed(t, []*harness.Node{n}, "no work passes between them. Upgrade mycod on a.")
		eventually(t, n, "which to upgrade", func(c checkup) string {
			if c.code != 1 {
				return c.String()
			}
			return c.only("fail", "versions: ", "Upgrade mycod on a", "install the newer mycod on a")
		})
	}
	if got := a.View(t).Node("b").State; got != bus.NodeIncompatible {
		t.Errorf("a says that b is %q", got)
	}
	for _, args := range [][]string{{"ask", "hello"}, {"ask", "--node", "b", "-m", engine.Model, "hello"}} {
		if r := a.Myco(t, args...); r.Code == 0 || !strings.Contains(r.Stderr, "Upgrade mycod on a") {
			t.Errorf("%v: %s", args, r)
		}
	}
	if r := a.Myco(t, "ask", "--detach", "-m", engine.Model, "hello"); r.Code != 0 || !strings.Contains(r.Stderr+r.Stdout, "Upgrade mycod on a") {
		t.Errorf("a durable task that waits: %s", r)
	}
	if n := len(ledger.Runs()); n > 0 {
		t.Errorf("%d tasks went to a node that is apart", n)
	}

	b.Stop(t)
	b.Use(programs)
	r := b.Mycod(t, b.Flags()...)
	refusal{1, []string{"written by a newer mycod", "format 2", "knows up to 1", b.Dir, "install the newer mycod again"}}.check(t, "an older program on a newer store", r)

	// Upgraded, a works with b, and what waited is done.
	b.Use(apart)
	b.Start(t, "--engine", eng.URL(), "--peer", a.Info.FabricAddr)
	a.Stop(t)
	a.Use(apart)
	a.Start(t, "--peer", b.Info.FabricAddr)
	harness.Settle(t, a, b)
	mixed(t, []*harness.Node{a, b})
	ctx := within(t, "what waited is done")
	if _, err := ledger.Wait(ctx, func(r []engine.Run) bool {
		return engine.Count(r, func(r engine.Run) bool { return r.Outcome == engine.Finished }) == 1
	}); err != nil {
		t.Fatal(err)
	}
}
