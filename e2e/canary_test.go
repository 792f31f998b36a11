//go:build e2e && linux

package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// What people ask, what they are answered, and what lets somebody in is in no log, however verbose,
// and in nothing that an observer hears.
func TestNoSecretIsToldOf(t *testing.T) {
	t.Parallel()
	const canary = "canary-5f1c9d"
	var ledger engine.Ledger
	s := harness.New(t, programs)
	var fails, hangs atomic.Bool
	const engineKey, wrongKey = "sk-canary-6e2b8a", "sk-canary-9d4c71"
	e := startEngine(t, s, engine.Config{Name: "a", Ledger: &ledger, Key: engineKey, Script: func(engine.Request) engine.Script {
		switch {
		case fails.Load():
			return engine.Script{Words: []string{"it is " + canary}, Ending: engine.Fail}
		case hangs.Load():
			return engine.Script{Words: []string{canary}, Ending: engine.Hang}
		}
		return engine.Script{}
	}})
	a := s.Node(t, "a")
	setEngineKey(t, a, e.URL(), wrongKey)
	a.Start(t, "--verbose", "--engine", e.URL())
	eventually(t, a, "the engine refuses the key", func(c checkup) string {
		if c.find("fail", "engine: ", e.URL(), "in spite of its key (status 401)", "engine-keys") == "" || strings.Contains(c.String(), wrongKey) {
			return c.String()
		}
		return ""
	})
	setEngineKey(t, a, e.URL(), engineKey)
	b := s.Node(t, "b")
	token := a.Invite(t)
	b.Start(t, "--verbose", "--join", token)
	harness.Settle(t, a, b)
	awaitModel(t, b, "a", engine.Model, true)

	var mu sync.Mutex
	var heard bytes.Buffer
	if _, err := observe(t, b).Subscribe(bus.SubjectAll, func(m *nats.Msg) {
		mu.Lock()
		defer mu.Unlock()
		heard.WriteString(m.Subject + " ")
		heard.Write(m.Data)
		for name, values := range m.Header {
			heard.WriteString(name + ": " + strings.Join(values, ",") + "\n")
		}
	}); err != nil {
		t.Fatal(err)
	}

	prompt := engine.Prompt(canary)
	if got := ask(t, b, "-m", engine.Model, prompt); !strings.Contains(got.Text, canary) {
		t.Fatalf("the answer %q does not hold the canary: the test would see nothing", got.Text)
	}
	var receipt bus.Receipt
	b.JSON(t, &receipt, "ask", "--detach", "-m", engine.Model, prompt)
	harness.Poll(t, harness.Patience, "the durable task is done", func() string {
		var info bus.TaskInfo
		a.JSON(t, &info, "task", "show", string(receipt.ID))
		if info.State != bus.StateDone {
			return string(info.State)
		}
		return ""
	})
	for _, args := range [][]string{
		{"ask", "-m", "nobody-has-this", prompt},
		{"ask", "-m", engine.Model, "--timeout", "1ms", prompt},
		{"join", "myco" + canary},
	} {
		if r := b.Myco(t, args...); r.Code == 0 {
			t.Errorf("%s: want it refused", r)
		}
	}
	if r := b.MycoIn(t, strings.Repeat(canary, 80_000), "ask", "-m", engine.Model); r.Code != 0 {
		t.Errorf("a prompt that is larger than a message: exit code %d: %s", r.Code, r.Stderr)
	}
	fails.Store(true)
	if r := b.Myco(t, "ask", "-m", engine.Model, prompt); r.Code == 0 {
		t.Errorf("%s: want it to fail", r)
	}
	fails.Store(false)
	for _, body := range []string{`{"type":"inference","payload":"` + canary + `"}`, `{"type":"` + canary, canary} {
		for _, key := range []string{readFile(t, a, bus.HTTPKeyFile), canary} {
			request(t, a, "/task", key, body)
		}
	}
	for path, form := range map[string]string{
		"/api/chat":            `{"model":%q,"messages":[{"role":"user","content":%q}]}`,
		"/api/generate":        `{"model":%q,"prompt":%q,"options":{"stop":7}}`,
		"/api/embed":           `{"model":%q,"input":%q}`,
		"/v1/chat/completions": `{"model":%q,"messages":[{"role":"user","content":[{"type":%q}]}]}`,
		"/v1/completions":      `{"model":%q,"prompt":%q}`,
	} {
		for _, model := range []string{engine.Model, "nobody-has-this", canary} {
			body := fmt.Sprintf(form, model, canary)
			request(t, b, path, "", body)
			request(t, b, path, "", body[:len(body)-1])
		}
	}

	secrets := map[string]string{"an engine's key": engineKey, "a wrong key": wrongKey, "a prompt or an answer": canary, "a token": token, "the HTTP key": readFile(t, a, bus.HTTPKeyFile)}
	members := changeHands(t, s, a, b, canary)
	maps.Copy(secrets, members.secrets)
	failInProgram(t, b, canary)
	hangs.Store(true)
	crash(t, a, b, func() bool {
		return engine.Count(ledger.Runs(), func(r engine.Run) bool { return r.Outcome == engine.Running }) > 0
	}, engine.Prompt(canary))
	for _, n := range []*harness.Node{a, b} {
		secrets["the user's credential of "+n.Name] = readFile(t, n, bus.UserCreds)
		secrets["the observer's credential of "+n.Name] = readFile(t, n, bus.ObserverCred)
		for i, line := range strings.Split(readFile(t, n, filepath.Join("identity", "node.key")), "\n") {
			if i == 1 { // of the PEM
				secrets["the key of "+n.Name] = line
			}
		}
		n.Stop(t)
	}
	told := 0
	mu.Lock()
	defer mu.Unlock()
	if heard.Len() == 0 {
		t.Fatal("the observer heard nothing")
	}
	for what, secret := range secrets {
		if len(secret) < 8 {
			t.Fatalf("%s is %q: the test would see it anywhere", what, secret)
		}
		if strings.Contains(heard.String(), secret) {
			t.Errorf("an observer hears %s", what)
		}
		for _, n := range []*harness.Node{a, b, members.guest} {
			log := n.Log(1 << 30)
			told += len(log)
			if at := strings.Index(log, secret); at >= 0 && secret == members.phrase && n == a {
				// The founder prints the phrase at its first start, once, and nobody logs it.
				log = strings.Replace(log, secret, "", 1)
			}
			if strings.Contains(log, secret) {
				i := strings.Index(log, secret)
				t.Errorf("%s is in the log of %s: …%s", what, n.Name, log[max(0, i-200):i])
			}
		}
	}
	reach(t, "logs", len(secrets), fmt.Sprintf("0 of %d secrets in %d KiB of verbose logs of 3 nodes, and in what an observer heard", len(secrets), told>>10/len(secrets)))
}

// setEngineKey gives n the key of an engine, in the file where a node looks for it.
func setEngineKey(t *testing.T, n *harness.Node, url, key string) {
	t.Helper()
	dir := filepath.Join(n.Home, ".config", "mycoswarm")
	if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, "engine-keys"), []byte(url+" "+key+"\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
}

// hands is what became of the keys of a swarm.
type hands struct {
	secrets map[string]string
	phrase  string // the first
	guest   *harness.Node
}

// changeHands has every secret of the swarm made, used, mistyped, handed over and replaced.
func changeHands(t *testing.T, s *harness.Swarm, a, b *harness.Node, canary string) hands {
	t.Helper()
	h := hands{secrets: map[string]string{}, phrase: phraseOf(t, a), guest: s.Node(t, "guest")}
	seed := func(what string) {
		var state struct {
			Seed string `json:"swarm_seed"`
		}
		if err := json.Unmarshal([]byte(readFile(t, a, filepath.Join("identity", "swarm.json"))), &state); err != nil || state.Seed == "" {
			t.Fatalf("the state of %s holds no seed: %v", a.Name, err)
		}
		h.secrets[what] = state.Seed
	}
	do := func(want int, n *harness.Node, stdin string, args ...string) harness.Result {
		t.Helper()
		r := n.MycoIn(t, stdin, args...)
		if (r.Code == 0) != (want == 0) {
			t.Fatalf("%s\nwant exit code %d", r, want)
		}
		return r
	}
	h.secrets["the recovery phrase"] = h.phrase
	seed("the swarm's key")
	h.secrets["the old user's credential of b"] = readFile(t, b, bus.UserCreds)
	h.secrets["the old HTTP key of b"] = readFile(t, b, bus.HTTPKeyFile)
	do(0, a, "", "nodes", "promote", b.Name)
	do(0, b, "", "rotate")
	h.secrets["the HTTP key of b"] = readFile(t, b, bus.HTTPKeyFile)
	var key bus.NewKey
	if err := json.Unmarshal([]byte(do(0, b, "", "key", "create", "--json").Stdout), &key); err != nil {
		t.Fatal(err)
	}
	h.secrets["a created key"] = strings.TrimPrefix(key.Key, bus.KeyPrefix)
	request(t, b, "/api/show", key.Key, `{"model":"nobody-has-this"}`)
	request(t, b, "/task", key.Key, `{"type":"ping"}`)
	do(0, b, "", "key", "revoke", key.ID)
	request(t, b, "/api/show", key.Key, `{}`)
	do(2, b, "", "key", "revoke", key.Key)
	do(1, b, strings.Replace(h.phrase, h.phrase[:4], "abcd", 1), "nodes", "recover")
	do(1, b, canary, "nodes", "recover")
	do(0, b, h.phrase, "nodes", "recover")
	h.secrets["a guest's token"] = a.Invite(t)
	h.guest.Start(t, "--verbose", "--join", h.secrets["a guest's token"])
	do(1, h.guest, "", "join", h.secrets["a guest's token"][:60])
	harness.Settle(t, a, b, h.guest)
	do(0, a, "", "revoke", h.guest.Name, "--yes")
	var r bus.SwarmRotation
	a.JSON(t, &r, "rotate", "--swarm", "--yes")
	h.secrets["the new recovery phrase"] = r.Phrase
	seed("the swarm's new key")
	settleAmong(t, a, b)
	h.guest.Stop(t)
	return h
}

// telltale is a program that fails, with what it was asked in its error.
type telltale struct{ canary string }

func (telltale) Capability(context.Context) (bus.Capability, error) {
	return bus.Capability{Type: "telltale", Slots: 1}, nil
}

func (p telltale) Handle(_ context.Context, task *bus.Task, _ bus.Emit) (any, error) {
	return nil, fmt.Errorf("cannot do %s: %s", task.Payload, p.canary)
}

// failInProgram has a program of n fail, and tell why.
func failInProgram(t *testing.T, n *harness.Node, canary string) {
	t.Helper()
	ctx, cancel := context.WithCancel(within(t, "a program that fails"))
	served := make(chan error, 1)
	c := n.Dial(t)
	go func() { served <- c.Serve(ctx, telltale{canary}) }()
	for _, durable := range []bool{false, true} {
		task := bus.Task{Type: "telltale", Payload: []byte(`"` + canary + `"`)}
		if !durable {
			stream, err := c.Start(ctx, task)
			if err != nil {
				t.Fatal(err)
			}
			said := ""
			for chunk, err := range stream.Chunks() {
				said += fmt.Sprintf("%+v %v", chunk.End, err)
			}
			if !strings.Contains(said, canary) {
				t.Errorf("the program's task: %s, want its error", said)
			}
			continue
		}
		r, err := c.Enqueue(ctx, task)
		if err != nil {
			t.Fatal(err)
		}
		harness.Poll(t, harness.Patience, "the program's durable task fails", func() string {
			info, err := c.Task(ctx, r.ID)
			if err != nil || !info.State.Terminal() {
				return fmt.Sprint(info.State, err)
			}
			return ""
		})
	}
	cancel()
	if err := <-served; err != nil {
		t.Errorf("serve: %v", err)
	}
}

// crash ends both daemons without notice while a prompt is worked on, one with the stacks of all its
// goroutines, and starts them again.
func crash(t *testing.T, a, b *harness.Node, running func() bool, prompt string) {
	t.Helper()
	var receipt bus.Receipt
	b.JSON(t, &receipt, "ask", "--detach", "-m", engine.Model, prompt)
	asking := b.LaunchMyco(t, "ask", "-m", engine.Model, prompt)
	defer asking.Kill()
	harness.Poll(t, harness.Patience, "a prompt is worked on", func() string {
		return map[bool]string{false: "no"}[running()]
	})
	if err := a.Signal(syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Wait(harness.Patience); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(a.Log(1<<30), "goroutine ") {
		t.Error("the daemon left no stacks")
	}
	b.Kill()
	a.Start(t, "--verbose")
	b.Start(t, "--verbose", "--peer", a.Info.FabricAddr)
	harness.Settle(t, a, b)
}

func readFile(t *testing.T, n *harness.Node, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(n.Dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// request posts body, and reads what comes of it.
func request(t *testing.T, n *harness.Node, path, key, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, n.Info.HTTPURL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key)
	req.Header.Set("Content-Type", "application/json")
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var reply json.RawMessage
	if err := json.NewDecoder(resp.Body).Decode(&reply); err != nil && err != io.EOF {
		t.Fatal(err)
	}
}
