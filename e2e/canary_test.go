//go:build e2e && linux

package e2e_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
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
	fails := false
	e := startEngine(t, s, engine.Config{Name: "a", Ledger: &ledger, Script: func(engine.Request) engine.Script {
		if fails {
			return engine.Script{Words: []string{"it is " + canary}, Ending: engine.Fail}
		}
		return engine.Script{}
	}})
	a := s.Found(t, "a", "--verbose", "--engine", e.URL())
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
	if r := b.MycoIn(t, strings.Repeat(canary, 80_000), "ask", "-m", engine.Model); r.Code != 2 {
		t.Errorf("a prompt over the limit: exit code %d: %s", r.Code, r.Stderr)
	}
	fails = true
	if r := b.Myco(t, "ask", "-m", engine.Model, prompt); r.Code == 0 {
		t.Errorf("%s: want it to fail", r)
	}
	for _, body := range []string{`{"type":"inference","payload":"` + canary + `"}`, `{"type":"` + canary, canary} {
		for _, key := range []string{readFile(t, a, bus.HTTPKeyFile), canary} {
			request(t, a, key, body)
		}
	}

	secrets := map[string]string{"a prompt or an answer": canary, "a token": token, "the HTTP key": readFile(t, a, bus.HTTPKeyFile)}
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
		for _, n := range []*harness.Node{a, b} {
			if log := n.Log(1 << 30); strings.Contains(log, secret) {
				i := strings.Index(log, secret)
				t.Errorf("%s is in the log of %s: …%s", what, n.Name, log[max(0, i-200):i])
			}
		}
	}
}

func readFile(t *testing.T, n *harness.Node, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(n.Dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// request posts body as a task, and reads what comes of it.
func request(t *testing.T, n *harness.Node, key, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, n.Info.HTTPURL+"/task", strings.NewReader(body))
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
