package daemon_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/internal/config"
)

func inference(t *testing.T) bus.Task {
	t.Helper()
	payload, err := json.Marshal(bus.InferenceRequest{Prompt: question})
	check(t, err)
	return bus.Task{Type: bus.TypeInference, Payload: payload}
}

// last reads a task's output to its end.
func last(t *testing.T, n *node, task bus.Task) bus.TaskInfo {
	t.Helper()
	for chunk, err := range n.conn.Submit(n.ctx(), task) {
		check(t, err)
		if chunk.End != nil {
			return *chunk.End
		}
	}
	t.Fatal("the output has no end")
	return bus.TaskInfo{}
}

func paris(t *testing.T, info bus.TaskInfo, at *node) {
	t.Helper()
	r, err := bus.Result[bus.InferenceResult](info)
	check(t, err)
	if !strings.Contains(r.Text, "Paris") || !r.Demo || info.NodeID != at.id() || info.Attempts != 1 {
		t.Errorf("%+v, result %+v, want Paris by %s at once", info, r, at.id())
	}
}

func TestFiveNodesAreOneSwarm(t *testing.T) {
	t.Parallel()
	nodes := []*node{start(t, "a", withDemo)}
	for _, name := range []string{"b", "c", "d", "e"} {
		nodes = append(nodes, start(t, name, joining(nodes[0])))
	}
	settle(t, nodes...)
	paris(t, last(t, nodes[4], inference(t)), nodes[0])

	pings, err := nodes[3].conn.Probe(nodes[3].ctx(), "")
	check(t, err)
	for _, p := range pings {
		if p.Error != "" || p.RTTMS <= 0 && runtime.GOOS != "windows" { // whose clock may not have gone on meanwhile
			t.Errorf("ping %+v, want an answer", p)
		}
	}
	if len(pings) != 5 {
		t.Errorf("%d pings, want 5", len(pings))
	}
	_, err = nodes[3].conn.Probe(nodes[3].ctx(), "nobody")
	if !errors.Is(err, &bus.Error{Code: bus.CodeNotFound}) {
		t.Errorf("ping of nobody: %v, want CodeNotFound", err)
	}
}

func TestRestartKeepsIdentityAndTasks(t *testing.T) {
	t.Parallel()
	n := start(t, "a")
	id := n.id()
	task := inference(t)
	task.ID, task.Model = "kept", "tinylm:latest"
	r, err := n.conn.Enqueue(n.ctx(), task)
	check(t, err)
	if !r.Accepted || r.Warning == "" {
		t.Errorf("receipt %+v, want it accepted with a warning: nobody has the model", r)
	}
	check(t, n.stop())
	if _, err := os.Stat(filepath.Join(n.cfg.DataDir, bus.DaemonFile)); err == nil {
		t.Error("the daemon's file is there after its end")
	}
	n.cfg.NoDemoEngine = false
	n.run()
	if n.id() != id {
		t.Errorf("the node is %s after a restart, want %s", n.id(), id)
	}
	var info bus.TaskInfo
	eventually(t, "the task runs", func() string {
		info, err = n.conn.Task(n.ctx(), task.ID)
		check(t, err)
		if !info.State.Terminal() {
			return string(info.State)
		}
		return ""
	})
	paris(t, info, n)
}

func TestRestartFindsTheOthers(t *testing.T) {
	t.Parallel()
	a := start(t, "a")
	b := start(t, "b", joining(a))
	c := start(t, "c", joining(a))
	settle(t, a, b, c)
	// The addresses that the inviter gave are of no use, those learnt are.
	b.cfg.Join = ""
	check(t, b.stop())
	check(t, a.stop())
	b.run()
	settle2(t, b, c)
}

// settle2 waits until the nodes see each other, whoever else is lost.
func settle2(t *testing.T, nodes ...*node) {
	t.Helper()
	for _, n := range nodes {
		eventually(t, "the others are seen", func() string {
			s, err := n.conn.Status(n.ctx())
			check(t, err)
			if ready(s.Nodes) == len(nodes) {
				return ""
			}
			return n.cfg.Name
		})
	}
}

func TestJoinAndLeaveWhileRunning(t *testing.T) {
	t.Parallel()
	a, b := start(t, "a", withDemo), start(t, "b")
	task := inference(t)
	task.ID, task.Model = "carried", "tinylm:latest"
	_, err := b.conn.Enqueue(b.ctx(), task)
	check(t, err)
	token := a.invite()
	reply, err := b.conn.Join(b.ctx(), token)
	check(t, err)
	if !reply.Changed {
		t.Errorf("reply %+v, want a change", reply)
	}
	settle(t, a, b)
	var info bus.TaskInfo
	eventually(t, "what was accepted before the join runs", func() string {
		info, err = b.conn.Task(b.ctx(), task.ID)
		check(t, err)
		if !info.State.Terminal() {
			return string(info.State)
		}
		return ""
	})
	paris(t, info, a)

	reply, err = b.conn.Join(b.ctx(), token)
	check(t, err)
	if reply.Changed {
		t.Error("the same token changed something")
	}
	other := start(t, "other")
	if _, err := b.conn.Join(b.ctx(), other.invite()); !errors.Is(err, &bus.Error{Code: bus.CodeConflict}) {
		t.Errorf("join of another swarm: %v, want CodeConflict", err)
	}

	left, err := b.conn.Leave(b.ctx())
	check(t, err)
	if !left.Changed {
		t.Errorf("reply %+v, want a change", left)
	}
	settle(t, a)
	settle(t, b)
	sa, err := a.conn.Status(a.ctx())
	check(t, err)
	sb, err := b.conn.Status(b.ctx())
	check(t, err)
	if sa.Swarm.ID == sb.Swarm.ID {
		t.Error("both are in one swarm after one left")
	}
	_, err = b.conn.Join(b.ctx(), a.invite())
	check(t, err)
	settle(t, a, b)
	paris(t, last(t, b, inference(t)), a)
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	a := start(t, "a")
	used := a.invite()
	b := start(t, "b", func(c *config.Config) { c.Join = used })
	settle(t, a, b)
	for what, c := range map[string]struct {
		change func(*config.Config)
		code   bus.Code
		says   string
	}{
		"no token":   {func(c *config.Config) { c.Join = "hello" }, bus.CodeInvalid, "token"},
		"used token": {func(c *config.Config) { c.Join = used }, bus.CodeForbidden, "used"},
		"in use":     {func(c *config.Config) { c.DataDir = a.cfg.DataDir }, bus.CodeConflict, "already"},
		"taken join": {func(c *config.Config) { c.JoinListen = a.Info().JoinAddr }, bus.CodeUnavailable, a.Info().JoinAddr},
		"taken fabric": {
			func(c *config.Config) { c.FabricListen = a.Info().FabricAddr }, bus.CodeUnavailable, a.Info().FabricAddr,
		},
		"bad peer":   {func(c *config.Config) { c.Peers = []string{"nonsense"} }, bus.CodeInvalid, "--peer"},
		"bad listen": {func(c *config.Config) { c.BusListen = ":0" }, bus.CodeInvalid, "--bus-listen"},
		"bad engine": {func(c *config.Config) { c.Engines = []string{"://"} }, bus.CodeInvalid, "engine"},
		"odd engine": {func(c *config.Config) { c.Engines = []string{"ftp://user:secret@host"} }, bus.CodeInvalid, "only http"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			e := newNode(t, "x", c.change).refused(c.code)
			if !strings.Contains(e.Message, c.says) || e.Hint == "" || strings.Contains(e.Message, "secret") {
				t.Errorf("%q, hint %q: want it to say %q, a hint, and no secret", e.Message, e.Hint, c.says)
			}
		})
	}
}

// Who would have a daemon join that runs already is told that it need not be stopped.
func TestToJoinADaemonNeedNotBeStopped(t *testing.T) {
	t.Parallel()
	a := start(t, "a")
	e := newNode(t, "x", func(c *config.Config) { c.DataDir, c.Join = a.cfg.DataDir, "myco1" }).refused(bus.CodeConflict)
	if want := "myco --data-dir " + bus.ShellWord(a.cfg.DataDir) + " join TOKEN"; !strings.HasPrefix(e.Hint, want) {
		t.Errorf("hint %q, want it to begin with %q", e.Hint, want)
	}
}

// The phrase that restores a swarm is shown once it can be: a first start may fail after the swarm
// was founded.
func TestRecoveryPhraseIsShownOnce(t *testing.T) {
	t.Parallel()
	a := start(t, "a")
	n := newNode(t, "x", func(c *config.Config) { c.JoinListen = a.Info().JoinAddr })
	_ = n.refused(bus.CodeUnavailable)
	n.cfg.JoinListen = "127.0.0.1:0"
	greet(n, full{}) // nobody has seen it
	for i, want := range []bool{true, false} {
		out := greeting(n)
		if strings.Contains(out, "recovery phrase") != want {
			t.Errorf("start %d: want it to show the phrase: %t\n%s", i+1, want, out)
		}
		if !strings.Contains(out, "/ui/chat\n") || !strings.Contains(out, "/ui/\n") {
			t.Errorf("start %d: it does not name both pages for a browser\n%s", i+1, out)
		}
	}
}

// Who leaves founds a swarm: its phrase is told at once, and by the next start, for the reply may be lost.
func TestLeavingTellsTheRecoveryPhrase(t *testing.T) {
	t.Parallel()
	a := start(t, "a")
	b := start(t, "b")
	_, err := b.conn.Join(b.ctx(), a.invite())
	check(t, err)
	left, err := b.conn.Leave(b.ctx())
	check(t, err)
	again, err := b.conn.Leave(b.ctx())
	check(t, err)
	if left.Phrase == "" || again.Changed || again.Phrase != "" {
		t.Errorf("left %+v, and again %+v: want a phrase once", left, again)
	}
	check(t, b.stop())
	for i, want := range []bool{true, false} {
		if out := greeting(b); strings.Contains(out, left.Phrase) != want {
			t.Errorf("start %d: want it to show the phrase: %t\n%s", i+1, want, out)
		}
	}
}

// A stranger's fabric address leads nowhere: it is no member.
func TestPeerIsNotTrust(t *testing.T) {
	t.Parallel()
	a := start(t, "a")
	b := start(t, "b", withPeer(a.Info().FabricAddr))
	settle(t, a)
	settle(t, b)
}

// Whoever leaves ends the work: here a program of the machine does it.
func TestServeAndLeave(t *testing.T) {
	t.Parallel()
	a := start(t, "a")
	b := start(t, "b", joining(a))
	settle(t, a, b)
	began, ended := make(chan bus.TaskID, 1), make(chan error, 1)
	h := &blocking{began: began, ended: ended}
	ctx, cancel := context.WithCancel(a.ctx())
	served := make(chan error, 1)
	go func() { served <- a.conn.Serve(ctx, h) }()
	t.Cleanup(func() {
		cancel()
		check(t, <-served)
	})
	// A program may submit what it serves without waiting.
	if info := last(t, a, bus.Task{Type: h.typ(), Payload: json.RawMessage(`"at once"`)}); string(info.Result) != `"at once"` {
		t.Errorf("%+v, want the payload back", info)
	}
	eventually(t, "b sees the type that a's program serves", func() string {
		s, err := b.conn.Status(b.ctx())
		check(t, err)
		for _, n := range s.Nodes {
			for _, typ := range n.Types {
				if typ == h.typ() {
					return ""
				}
			}
		}
		return "not yet"
	})
	short := bus.Task{Type: h.typ(), Payload: json.RawMessage(`"echo"`)}
	info := last(t, b, short)
	if string(info.Result) != `"echo"` || info.NodeID != a.id() {
		t.Errorf("%+v, want the payload back from a", info)
	}
	client, err := bus.Dial(b.ctx(), bus.WithDataDir(b.cfg.DataDir))
	check(t, err)
	_, err = client.Start(b.ctx(), bus.Task{ID: "long", Type: h.typ(), Payload: json.RawMessage(`"wait"`)})
	check(t, err)
	if id := <-began; id != "long" {
		t.Fatalf("task %s began, want the long one", id)
	}
	other, streamed := make(chan bus.TaskInfo, 1), make(chan string, 1)
	go func() {
		defer close(other)
		for chunk, err := range a.conn.Attach(a.ctx(), "long", 0) {
			if chunk.End != nil {
				other <- *chunk.End
			} else if err == nil {
				streamed <- string(chunk.Data)
			} else if err != nil {
				t.Errorf("attach from another node: %v", err)
			}
		}
	}()
	if got := <-streamed; got != `"a piece"` {
		t.Errorf("who attached from another node saw %s", got)
	}
	client.Close()
	if err := <-ended; err == nil {
		t.Error("the handler of a task whose client left goes on")
	}
	if end := <-other; end.State != bus.StateCancelled {
		t.Errorf("who attached from another node saw the end %+v, want it cancelled", end)
	}
	_, err = a.conn.Task(a.ctx(), "nobody-knows")
	if !errors.Is(err, &bus.Error{Code: bus.CodeNotFound}) {
		t.Errorf("an unknown task: %v, want CodeNotFound", err)
	}
}

// blocking serves a type: "wait" blocks until its context ends, all else comes back.
type blocking struct {
	began chan<- bus.TaskID
	ended chan<- error
}

func (*blocking) typ() string { return "blocking" }

func (b *blocking) Capability(context.Context) (bus.Capability, error) {
	return bus.Capability{Type: b.typ(), Slots: 2}, nil
}

func (b *blocking) Handle(ctx context.Context, t *bus.Task, emit bus.Emit) (any, error) {
	if err := emit("a piece"); err != nil {
		return nil, err
	}
	if string(t.Payload) != `"wait"` {
		return t.Payload, nil
	}
	b.began <- t.ID
	<-ctx.Done()
	b.ended <- ctx.Err()
	return nil, ctx.Err()
}

// Machines that hand over the same task, each by its own clock, have handed over one: so a line of crontab may be on
// several, and the work is done while any of them is up.
func TestSameTaskFromSeveralNodes(t *testing.T) {
	t.Parallel()
	var ledger engine.Ledger
	a := start(t, "a", withEngine(t, &ledger, nil))
	nodes := []*node{a, start(t, "b", joining(a)), start(t, "c", joining(a))}
	settle(t, nodes...)
	task := func(marker string) bus.Task {
		payload, err := json.Marshal(bus.InferenceRequest{Prompt: engine.Prompt(marker)})
		check(t, err)
		return bus.Task{ID: bus.TaskID(marker), Type: bus.TypeInference, Model: engine.Model, Payload: payload}
	}
	const rounds = 10
	for i := range rounds {
		var all sync.WaitGroup
		for _, n := range nodes {
			all.Go(func() {
				if r, err := n.conn.Enqueue(n.ctx(), task(fmt.Sprint("same-", i))); err != nil || !r.Accepted {
					t.Errorf("%s: receipt %+v, %v", n.cfg.Name, r, err)
				}
			})
		}
		all.Wait()
	}
	done := func(n *node, id bus.TaskID) {
		eventually(t, fmt.Sprint(id, " is done for ", n.cfg.Name), func() string {
			info, err := n.conn.Task(n.ctx(), id)
			check(t, err)
			if info.State != bus.StateDone || !strings.Contains(string(info.Result), string(id)) {
				return fmt.Sprintf("%+v", info)
			}
			return ""
		})
	}
	for i := range rounds {
		for _, n := range nodes {
			done(n, bus.TaskID(fmt.Sprint("same-", i)))
		}
	}
	// One that comes after the end is told so, and gets that.
	for _, n := range nodes[1:] {
		late := task("late")
		r, err := n.conn.Enqueue(n.ctx(), late)
		if err != nil || !r.Accepted {
			t.Errorf("%s: receipt %+v, %v", n.cfg.Name, r, err)
		}
		done(n, late.ID)
	}
	for marker, runs := range ledger.ByMarker() {
		if len(runs) != 1 {
			t.Errorf("%s ran %d times", marker, len(runs))
		}
	}
	if got := len(ledger.ByMarker()); got != rounds+1 {
		t.Errorf("%d tasks ran, want %d", got, rounds+1)
	}
	if _, err := a.conn.Enqueue(a.ctx(), task("kept")); err != nil { // by two of the three
		t.Error(err)
	}
	other := task("other")
	other.ID = "kept"
	for _, n := range nodes {
		if _, err := n.conn.Enqueue(n.ctx(), other); !errors.Is(err, &bus.Error{Code: bus.CodeConflict}) {
			t.Errorf("%s: other content with the id of another task: %v", n.cfg.Name, err)
		}
	}
}
