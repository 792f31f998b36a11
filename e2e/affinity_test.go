//go:build e2e && linux

package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
	"github.com/mycoswarm/mycoswarm/internal/protect"
	"github.com/mycoswarm/mycoswarm/sched"
)

// postChat has a node's HTTP port answer a conversation, and returns the answer and who gave it. key is
// empty for a program of the machine.
func postChat(ctx context.Context, n *harness.Node, path, key string, messages []map[string]string) (text string, by bus.NodeID, err error) {
	body, err := json.Marshal(map[string]any{"model": engine.Model, "stream": false, "messages": messages})
	if err != nil {
		return "", "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, n.Info.HTTPURL+path, strings.NewReader(string(body)))
	if err != nil {
		return "", "", err
	}
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return "", "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", "", err
	}
	type said struct{ Content string }
	var answer struct {
		Message said                     // Ollama's
		Choices []struct{ Message said } // OpenAI's
	}
	if resp.StatusCode != http.StatusOK {
		return "", "", fmt.Errorf("%s: status %d, %s", path, resp.StatusCode, b)
	}
	if err := json.Unmarshal(b, &answer); err != nil {
		return "", "", fmt.Errorf("%s: %w", path, err)
	}
	if len(answer.Choices) == 1 {
		answer.Message = answer.Choices[0].Message
	}
	return answer.Message.Content, bus.NodeID(resp.Header.Get("X-Myco-Node")), nil
}

// talk is a conversation, as a program holds it: it sends all that was said with each turn.
type talk struct {
	name, path string
	messages   []map[string]string
	turns      int
	at, home   bus.NodeID // who answered last, and who first
}

// turn asks on. The prompt names the turn to the engines' ledger.
func (c *talk) turn(ctx context.Context, n *harness.Node) error {
	if c.turns == 0 { // long enough that an engine which has read it is worth to come back to
		c.messages = append(c.messages, map[string]string{"role": "system", "content": strings.Repeat("You are "+c.name+". ", 600)})
	}
	c.turns++
	c.messages = append(c.messages, map[string]string{"role": "user", "content": engine.Prompt(fmt.Sprintf("%s-%d", c.name, c.turns))})
	text, by, err := postChat(ctx, n, c.path, "", c.messages)
	if err == nil && (text == "" || by == "") {
		err = fmt.Errorf("turn %d of %s: answer %q, by %q", c.turns, c.name, text, by)
	}
	c.messages = append(c.messages, map[string]string{"role": "assistant", "content": text})
	c.at = by
	if c.turns == 1 {
		c.home = by
	}
	return err
}

const (
	talks     = 6 // conversations at one time
	talkTurns = 6 // of each
)

// talking is a swarm of a node that is asked, and two that answer as fast as each other.
type talking struct {
	asked, b, c *harness.Node
	ledger      engine.Ledger
	all         []*talk
	busy        chan struct{} // lets what keeps slots busy go
}

// newTalking starts the swarm and has the first turn of each conversation answered, all at one time, so
// that some are answered here and some there.
func newTalking(t *testing.T, without ...protect.Protection) *talking {
	t.Helper()
	x := &talking{busy: make(chan struct{})}
	s := harness.New(t, programs)
	if len(without) > 0 {
		s.Without(t, without...)
	}
	first := make(chan struct{})
	serve := func(name string) []string {
		e := startEngine(t, s, engine.Config{Name: name, Ledger: &x.ledger, Script: func(r engine.Request) engine.Script {
			sc := engine.Script{Words: scriptedWords(r.Marker), Between: time.Millisecond}
			switch {
			case strings.HasPrefix(r.Marker, "busy"):
				sc.Gate = x.busy
			case strings.HasSuffix(r.Marker, "-1"):
				sc.Gate = first
			}
			return sc
		}})
		return []string{"--engine", e.URL(), "--slots", "4"}
	}
	x.asked = s.Found(t, "a")
	x.b = s.Join(t, x.asked, "b", serve("b")...)
	x.c = s.Join(t, x.asked, "c", serve("c")...)
	harness.Settle(t, x.asked, x.b, x.c)
	ctx := within(t, "the first turns")
	conn := x.asked.Dial(t)
	for _, n := range []*harness.Node{x.b, x.c} { // what they are worth is known, and the same
		awaitModel(t, x.asked, n.Name, engine.Model, true)
		for _, err := range conn.Submit(ctx, question(bus.NewTaskID(), "warm", engine.Model, n.Info.NodeID)) {
			if err != nil {
				t.Fatal(err)
			}
		}
		harness.Poll(t, harness.Patience, n.Name+" tells how fast it is", func() string {
			if m := x.asked.View(t).Node(n.Name).Models; len(m) != 1 || m[0].Speed == nil {
				return fmt.Sprintf("%+v", m)
			}
			return ""
		})
	}
	var asked sync.WaitGroup
	for i := range talks {
		c := &talk{name: fmt.Sprintf("talk%d", i), path: []string{"/api/chat", "/v1/chat/completions"}[i%2]}
		x.all = append(x.all, c)
		asked.Go(func() {
			if err := c.turn(ctx, x.asked); err != nil {
				t.Error(err)
			}
		})
	}
	_, err := x.ledger.Wait(ctx, func(runs []engine.Run) bool {
		return engine.Count(runs, func(r engine.Run) bool { return strings.HasSuffix(r.Marker, "-1") }) == talks
	})
	close(first)
	asked.Wait()
	if err != nil || t.Failed() {
		t.Fatalf("the first turns: %v", err)
	}
	at := map[bus.NodeID]int{}
	for _, c := range x.all {
		at[c.at]++
	}
	if len(at) != 2 {
		t.Fatalf("%d conversations at one time were all answered by one of two nodes: %v", talks, at)
	}
	return x
}

// rest has each turn that is left asked while nothing else runs: both nodes are as free as each other. It
// returns how many of them went where the one before was answered, and how many where the first was.
func (x *talking) rest(t *testing.T) (back, home, of int) {
	t.Helper()
	ctx := within(t, "the turns")
	for range talkTurns - 1 {
		for _, c := range x.all {
			was := c.at
			if err := c.turn(ctx, x.asked); err != nil {
				t.Fatal(err)
			}
			if of++; c.at == was {
				back++
			}
			if c.at == c.home {
				home++
			}
		}
	}
	return back, home, of
}

// A conversation comes back, turn by turn, to the node that has its cache, though another is as free, and
// goes elsewhere when that is overloaded. Without affinity it goes anywhere.
func TestConversationComesBack(t *testing.T) {
	t.Parallel()
	x := newTalking(t)
	back, home, of := x.rest(t)
	_, without, _ := newTalking(t, sched.ProtectAffinity).rest(t)
	t.Logf("of %d turns %d were answered by the node of the turn before, %d by that of the first turn, and %d without affinity", of, back, home, without)
	if back*100 < of*95 {
		t.Errorf("%d of %d turns came back to the node of the turn before, want 95 of 100", back, of)
	}
	// Each node has at most four first turns of six. Without affinity most others go to whichever is
	// preferred at the time, so that it is the first turn which tells.
	if without*100 > of*80 || without >= home {
		t.Errorf("%d of %d turns are answered by the node of the first turn without affinity, %d with it: this shows nothing", without, of, home)
	}

	c := x.all[0]
	was, ctx := c.at, within(t, "a turn to an overloaded node")
	conn := x.asked.Dial(t)
	d := newDriver(t)
	for i := range 4 {
		s, err := conn.Start(ctx, question(bus.NewTaskID(), fmt.Sprintf("busy-%d", i), engine.Model, was))
		if err != nil {
			t.Fatal(err)
		}
		d.wg.Go(func() {
			for _, err := range s.Chunks() {
				if err != nil {
					t.Errorf("what keeps a slot busy: %v", err)
				}
			}
		})
	}
	if _, err := x.ledger.Wait(ctx, func(runs []engine.Run) bool {
		return engine.Count(runs, func(r engine.Run) bool { return strings.HasPrefix(r.Marker, "busy") }) == 4
	}); err != nil {
		t.Fatalf("the node's slots: %v", err)
	}
	if err := c.turn(ctx, x.asked); err != nil || c.at == was {
		t.Errorf("a turn while its node is overloaded is answered by %s, %v; want the other than %s", c.at, err, was)
	}
	close(x.busy)
	d.wg.Wait()
	was = c.at
	if err := c.turn(ctx, x.asked); err != nil || c.at != was {
		t.Errorf("the turn after is answered by %s, %v; want %s, which has its cache now", c.at, err, was)
	}
}
