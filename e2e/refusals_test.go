//go:build e2e && linux

package e2e_test

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// refusal is what a user reads when something is refused: the exit code, what went wrong, and
// what to do next. Every word must be there.
type refusal struct {
	code  int
	words []string
}

func (f refusal) check(t *testing.T, what string, r harness.Result) {
	t.Helper()
	if r.Code != f.code {
		t.Errorf("%s: exit code %d, want %d\n%s", what, r.Code, f.code, r)
	}
	for _, w := range f.words {
		if !strings.Contains(strings.ToLower(r.Stderr), strings.ToLower(w)) {
			t.Errorf("%s: stderr does not say %q\n%s", what, w, r)
		}
	}
	if strings.Contains(r.Stderr, "panic") || strings.Contains(r.Stderr, "goroutine ") {
		t.Errorf("%s: it crashed\n%s", what, r)
	}
}

// status is the HTTP status of a GET.
func status(t *testing.T, url, key string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	client := &http.Client{Timeout: harness.Patience, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// Tokens that let nobody in. The daemon that was given one does not stay up as something else.
func TestBadTokens(t *testing.T) {
	t.Parallel()
	s := harness.New(t, programs)
	a := s.Found(t, "a")
	used := a.Invite(t)
	b := s.Node(t, "b")
	b.Start(t, "--join", used)
	harness.Settle(t, a, b)

	short := a.Invite(t, "--ttl", "1ms")
	wrong := a.Invite(t)
	wrong = wrong[:len(wrong)-4] + strings.Map(func(r rune) rune { // other characters, same alphabet
		if r == 'a' {
			return 'b'
		}
		return 'a'
	}, wrong[len(wrong)-4:])
	bad := map[string]struct {
		token string
		want  refusal
	}{
		"not a token": {"hello", refusal{2, []string{"token", "myco invite"}}},
		"no file":     {"@/nonexistent/token", refusal{1, []string{"/nonexistent/token"}}},
		"mistyped":    {wrong, refusal{1, []string{"token", "myco invite"}}},
		"forged":      {forge(t, a.Invite(t)), refusal{1, []string{"token", "myco invite"}}},
		"used":        {used, refusal{1, []string{"token", "used", "myco invite"}}},
		"expired":     {short, refusal{1, []string{"token", "expired", "myco invite"}}},
	}
	for what, c := range bad {
		n := s.Node(t, "stranger-"+strings.ReplaceAll(what, " ", "-"))
		r := n.Mycod(t, append(n.Flags(), "--join", c.token)...)
		c.want.check(t, what, r)
		if len(c.token) > 40 && strings.Contains(r.Stderr, c.token) {
			t.Errorf("%s: the token is printed", what)
		}
	}

	// A node of another swarm of two refuses to be pulled out of it.
	c := s.Found(t, "c")
	d := s.Join(t, c, "d")
	harness.Settle(t, c, d)
	refusal{1, []string{"swarm", "myco leave"}}.check(t, "member of another swarm", d.Myco(t, "join", a.Invite(t)))
	harness.Settle(t, c, d)
	harness.Settle(t, a, b)
	if n := len(a.View(t).Nodes); n != 2 {
		t.Errorf("the swarm has %d nodes, want the 2 that were let in", n)
	}
	reach(t, "secret", len(bad)+1, fmt.Sprintf("%d of %d refused, each with the reason and the command that helps; 0 nodes came in", len(bad)+1, len(bad)+1))
}

// forge returns token with another secret in it: the 16 bytes before its addresses.
func forge(t *testing.T, token string) string {
	t.Helper()
	const prefix, secret = "myco1", 50
	words := base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
	b, err := words.DecodeString(strings.TrimPrefix(token, prefix))
	if err != nil {
		t.Fatal(err)
	}
	b[secret]++
	sum := sha256.Sum256(b[:len(b)-4])
	return prefix + words.EncodeToString(append(b[:len(b)-4], sum[:4]...))
}

// A daemon that is pointed at a foreign swarm does not enter it, and its log names why.
func TestForeignSwarm(t *testing.T) {
	t.Parallel()
	s := harness.New(t, programs)
	a := s.Found(t, "a")
	b := s.Found(t, "b", "--peer", a.Info.FabricAddr)
	harness.Poll(t, harness.Patience, "a log names the stranger", func() string {
		log := a.Log(1000) + b.Log(1000)
		if strings.Contains(log, "not a member") {
			return ""
		}
		return log
	})
	if n := a.View(t).Ready(); n != 1 {
		t.Errorf("a sees %d nodes, want itself alone", n)
	}
	if n := b.View(t).Ready(); n != 1 {
		t.Errorf("b sees %d nodes, want itself alone", n)
	}
}

// A port that was asked for and is taken is an error; a default one gives way.
func TestTakenPorts(t *testing.T) {
	t.Parallel()
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	taken := ln.Addr().String()
	s := harness.New(t, programs)
	for _, flag := range []string{"--bus-listen", "--fabric-listen", "--join-listen", "--http-listen"} {
		n := s.Node(t, "n"+strings.ReplaceAll(flag, "-", ""))
		refusal{1, []string{taken, flag}}.check(t, flag, n.Mycod(t, append(n.Flags(), flag, taken)...))
	}
}

// On one machine with default ports the second daemon takes the next free ones, and says so.
func TestDefaultPortsGiveWay(t *testing.T) {
	t.Parallel()
	s := harness.NewLAN(t, programs)
	a := s.Found(t, "a")
	b := s.Node(t, "b")
	b.Host = a.Host // the same machine
	b.Start(t)
	if a.Info.BusURL == b.Info.BusURL || a.Info.FabricAddr == b.Info.FabricAddr ||
		a.Info.JoinAddr == b.Info.JoinAddr || a.Info.HTTPURL == b.Info.HTTPURL {
		t.Errorf("daemons at %+v and %+v share an address", a.Info, b.Info)
	}
	if !strings.Contains(a.Info.BusURL, ":4222") || !strings.Contains(a.Info.HTTPURL, ":7890") ||
		!strings.Contains(a.Info.FabricAddr, ":7422") || !strings.Contains(a.Info.JoinAddr, ":7423") {
		t.Errorf("the first daemon is at %+v, want the default ports", a.Info)
	}
	if log := b.Log(1000); !strings.Contains(log, "4222") {
		t.Errorf("the second daemon does not say that port 4222 was taken:\n%s", log)
	}
}

// A data directory that cannot be used.
func TestBadDataDir(t *testing.T) {
	t.Parallel()
	s := harness.New(t, programs)

	n := s.Node(t, "file")
	if err := os.WriteFile(n.Dir, []byte("not a folder"), 0o600); err != nil {
		t.Fatal(err)
	}
	refusal{1, []string{n.Dir, "--data-dir"}}.check(t, "a file for a folder", n.Mycod(t, n.Flags()...))

	// Two daemons on one data directory: the second is refused, the first lives on.
	a := s.Found(t, "a")
	refusal{1, []string{a.Dir, "already"}}.check(t, "in use", a.Mycod(t, a.Flags()...))
	harness.Settle(t, a)

	// A damaged key is not replaced: the node would become somebody else.
	a.Stop(t)
	damaged := false
	for _, name := range []string{"node.key", "identity/node.key", "node.pem"} {
		path := filepath.Join(a.Dir, name)
		if _, err := os.Stat(path); err == nil {
			damaged = true
			if err := os.WriteFile(path, []byte("damaged"), 0o600); err != nil {
				t.Fatal(err)
			}
			refusal{1, []string{path}}.check(t, "a damaged key", a.Mycod(t, a.Flags()...))
		}
	}
	if !damaged {
		t.Error("no key file was found to damage")
	}
}

// What a command says without a daemon, and to nonsense.
func TestCommandsWithoutDaemon(t *testing.T) {
	t.Parallel()
	s := harness.New(t, programs)
	n := s.Node(t, "nobody")
	down := refusal{4, []string{"no daemon", "mycod"}}
	for _, args := range [][]string{
		{"swarm"},
		{"ping"},
		{"invite"},
		{"leave"},
		{"task", "ls"},
		{"task", "show", "x"},
		{"ask", "--detach", "x"},
	} {
		down.check(t, strings.Join(args, " "), n.Myco(t, args...))
	}
	usage := refusal{2, nil}
	usage.check(t, "no such command", n.Myco(t, "frobnicate"))
	usage.check(t, "no such flag", n.Myco(t, "swarm", "--frobnicate"))
	usage.check(t, "mycod: no such flag", n.Mycod(t, "--frobnicate"))

	// After a crash the file daemon.json is still there, and is not believed.
	a := s.Found(t, "a")
	a.Kill()
	down.check(t, "after a crash", a.Myco(t, "swarm"))

	// The hardware is known without a daemon.
	if r := n.Myco(t, "detect", "--json"); r.Code != 0 || !strings.HasPrefix(strings.TrimSpace(r.Stdout), "{") {
		t.Errorf("%s\nwant the hardware as JSON", r)
	}
}

// Prompts that are too long, or none, and tasks that are not there.
func TestBadRequests(t *testing.T) {
	t.Parallel()
	s := harness.New(t, programs)
	a := s.Node(t, "a")
	a.Demo = true
	a.Start(t)
	demoModel(t, a)
	long := strings.Repeat("x", bus.MaxPrompt+1)
	refusal{2, []string{"prompt", "limit"}}.check(t, "long prompt", a.MycoIn(t, long, "ask"))
	refusal{2, []string{"prompt", "limit"}}.check(t, "long prompt, durable", a.MycoIn(t, long, "ask", "--detach"))
	refusal{2, []string{"prompt", "empty"}}.check(t, "no prompt", a.MycoIn(t, "", "ask"))
	refusal{3, []string{"nobody-knows"}}.check(t, "no such task", a.Myco(t, "task", "show", "nobody-knows"))
	refusal{3, []string{"nobody"}}.check(t, "no such node", a.Myco(t, "ask", "--node", "nobody", "hello"))
	refusal{3, nil}.check(t, "no other node", a.Myco(t, "ask", "--remote", "hello"))
	if got := ask(t, a, "What is the capital of France?"); !strings.Contains(got.Text, "Paris") {
		t.Errorf("answer %+v, want Paris: a refusal must break nothing", got)
	}
}

// A deadline that passes while a task waits: exit code 5, in about that time, never run.
func TestTimeout(t *testing.T) {
	t.Parallel()
	s := harness.New(t, programs)
	var ledger engine.Ledger
	eng := startEngine(t, s, engine.Config{Name: "a", Ledger: &ledger, Script: func(engine.Request) engine.Script {
		return engine.Script{Words: []string{}, Ending: engine.Hang}
	}})
	a := s.Found(t, "a", "--engine", eng.URL())
	awaitModel(t, a, "a", engine.Model, true)
	r := a.Myco(t, "ask", "--timeout", "1s", "hello")
	refusal{5, nil}.check(t, "timeout", r)
	if r.Took > 30*time.Second {
		t.Errorf("it took %v, want about 1 s", r.Took)
	}
}
