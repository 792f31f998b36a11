package apart_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/handlers/apart"
	"github.com/mycoswarm/mycoswarm/handlers/confine"
)

// TestMain is the program that does the work, as well.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "apart" {
		if err := apart.Main(os.Stdin, os.Stdout, do); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// job is what the program of these tests does: one thing, with an argument.
type job struct{ Do, With string }

// TestNobodyIsLeft has whoever started the program end before it ends it, in a process of its own: work confines the one
// that it is done in.
func TestNobodyIsLeft(t *testing.T) {
	if os.Getenv("ALONE") == "" {
		run := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestNobodyIsLeft$", "-test.v")
		run.Env = append(os.Environ(), "ALONE=1")
		if out, err := run.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("--- PASS: TestNobodyIsLeft")) {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	var out strings.Builder
	in := strings.NewReader(`{"time":1000000,"memory":1000000000,"job":{"Do":"late"}}` + "\n")
	if err := apart.Main(in, &out, do); err != nil || !strings.Contains(out.String(), "it takes more than 1ms") {
		t.Errorf("%v, %s, want that it took too long", err, &out)
	}
	close(left)
}

// left lets what is late end.
var left = make(chan struct{})

func do(raw json.RawMessage, body []byte) (any, error) {
	var j job
	if err := json.Unmarshal(raw, &j); err != nil {
		return nil, err
	}
	switch j.Do {
	case "echo":
		return string(body), nil
	case "environ":
		return os.Environ(), nil
	case "fail":
		return nil, bus.Errorf(bus.CodeInvalid, "%s", j.With).WithHint("hint")
	case "retry":
		return nil, bus.Retry(bus.Errorf(bus.CodeUnavailable, "%s", j.With))
	case "end":
		os.Exit(3)
	case "late":
		<-left
		return nil, nil
	case "hang":
		select {}
	case "eat":
		var all [][]byte
		for {
			all = append(all, make([]byte, 1<<20))
			for i := range all[len(all)-1] {
				all[len(all)-1][i] = 1
			}
		}
	case "flood":
		for {
			_, _ = os.Stdout.WriteString(j.With)
		}
	case "read":
		_, err := os.ReadFile(j.With)
		return "done", err
	case "write":
		return "done", os.WriteFile(j.With, body, 0o600)
	case "dial":
		c, err := new(net.Dialer).DialContext(context.Background(), "tcp", j.With)
		if err == nil {
			err = c.Close()
		}
		return "done", err
	}
	return nil, errors.New("what?")
}

// program returns the program that does the work, with generous limits.
func program(t *testing.T) apart.Program {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return apart.Program{Argv: []string{self, "apart"}, Time: time.Minute, Memory: 1 << 30}
}

func TestApart(t *testing.T) {
	t.Setenv("SECRET", "1")
	p := program(t)
	body := strings.Repeat("a body ", 100_000)
	var text string
	if err := p.Do(t.Context(), job{Do: "echo"}, []byte(body), &text); err != nil || text != body {
		t.Errorf("%d bytes, %v", len(text), err)
	}
	var environ []string
	if err := p.Do(t.Context(), job{Do: "environ"}, nil, &environ); err != nil || strings.Contains(strings.Join(environ, " "), "SECRET") {
		t.Errorf("it has %v, %v", environ, err)
	}
	err := p.Do(t.Context(), job{"fail", "no such page"}, nil, &text)
	if e := bus.AsError(err); e.Code != bus.CodeInvalid || e.Message != "no such page" || e.Hint != "hint" || bus.IsRetry(err) {
		t.Errorf("its error: %+v", e)
	}
	if err := p.Do(t.Context(), job{"retry", "busy"}, nil, &text); !bus.IsRetry(err) || bus.AsError(err).Code != bus.CodeUnavailable {
		t.Errorf("its error for another node: %v", err)
	}
}

// What takes too much, or ends otherwise, is the work's fault.
func TestLimits(t *testing.T) {
	for name, c := range map[string]struct {
		do, want string
		change   func(*apart.Program)
	}{
		"time":    {"hang", "it takes more than 1s", func(p *apart.Program) { p.Time = time.Second }},
		"memory":  {"eat", "it takes more than 64 MiB of memory", func(p *apart.Program) { p.Memory = 64 << 20 }},
		"words":   {"flood", "it says more than 64 MiB", func(p *apart.Program) { p.Memory = 64 << 20 }},
		"a bound": {"flood", "it says more than 128 MiB", func(p *apart.Program) { p.Memory = 512 << 20 }},
		"its end": {"end", "exit status 3", func(*apart.Program) {}},
	} {
		t.Run(name, func(t *testing.T) {
			p := program(t)
			c.change(&p)
			var none any
			err := p.Do(t.Context(), job{c.do, strings.Repeat("x", 1<<20)}, nil, &none)
			if limit, ok := errors.AsType[*apart.LimitError](err); !ok || !strings.Contains(limit.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
	gone := errors.New("nobody waits")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(gone)
	if err := program(t).Do(ctx, job{Do: "hang"}, nil, new(any)); !errors.Is(err, gone) {
		t.Errorf("cancelled: %v", err)
	}
}

// The work sees neither files nor the network.
func TestWorkIsConfined(t *testing.T) {
	if err := confine.Supported(); err != nil {
		t.Logf("not here: %v", err)
		return
	}
	mine, other := t.TempDir(), t.TempDir()
	secret := filepath.Join(other, "secret")
	if err := os.WriteFile(secret, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	p := program(t)
	p.Write = []string{mine}
	for _, c := range []struct {
		do, with string
		could    bool
	}{
		{"write", filepath.Join(mine, "new"), true},
		{"read", filepath.Join(mine, "new"), true},
		{"read", secret, false},
		{"write", filepath.Join(other, "new"), false},
		{"dial", ln.Addr().String(), false},
	} {
		var told string
		err := p.Do(t.Context(), job{c.do, c.with}, nil, &told)
		if (told == "done") != c.could || (err == nil) != c.could {
			t.Errorf("%s %s: %q, %v", c.do, c.with, told, err)
		}
	}
}
