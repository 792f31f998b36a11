package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"github.com/mycoswarm/mycoswarm/bus"
)

var update = flag.Bool("update", false, "write the golden files anew")

// leakless is a test run that fails on goroutines that stay.
type leakless struct{ *testing.M }

func (l leakless) Run() int {
	code := l.M.Run()
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func TestMain(m *testing.M) {
	testscript.Main(leakless{m}, map[string]func(){"myco": main})
}

// TestScripts runs the program as a user does on a machine without a daemon.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("OLLAMA_HOST", "127.0.0.1:9") // nothing listens there
			for _, k := range []string{"XDG_STATE_HOME", "MYCO_DATA_DIR", "MYCO_URL", "MYCO_CREDS"} {
				e.Setenv(k, "")
			}
			seed, _ := newUser(t)
			died := filepath.Join(e.WorkDir, "died") // where a daemon was once
			if err := os.MkdirAll(died, 0o700); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(died, bus.UserCreds), seed, 0o600)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"exits": exits},
	})
}

// exits runs a command and wants an exit code: exits CODE COMMAND ARGS...
func exits(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	if err != nil || neg {
		ts.Fatalf("usage: exits CODE COMMAND ARGS...")
	}
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("run %v: %v", args[1:], err)
	}
	if got != want {
		ts.Fatalf("%v: exit code %d, want %d\n%s%s", args[1:], got, want, ts.ReadFile("stdout"), ts.ReadFile("stderr"))
	}
}

// full is a disk without room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// A result that cannot be written is a failure, and no crash.
func TestFullDiskIsAFailure(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"version"}, {"version", "--json"}, {"--version"}, {"--help"}, {"ask", "--help"}, {"task", "--help"}, {"completion", "bash"},
	} {
		var errs strings.Builder
		code := run(t.Context(), args, streams{in: strings.NewReader(""), out: full{}, err: &errs})
		if code != 1 || !strings.Contains(errs.String(), syscall.ENOSPC.Error()) {
			t.Errorf("%v: exit code %d, %q, want 1 and why", args, code, errs.String())
		}
	}
}

// golden compares got with a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		must(t, os.WriteFile(path, []byte(got), 0o600))
	}
	want, err := os.ReadFile(path)
	must(t, err)
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s differs; go test -update writes it anew:\n%s", path, d)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A daemon that is there and says nothing, as one that is stopped, is told from none.
func TestDaemonThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	defer ln.Close()
	d := &daemon{t: t, dir: t.TempDir()}
	seed, _ := newUser(t)
	must(t, os.WriteFile(filepath.Join(d.dir, bus.UserCreds), seed, 0o600))
	info, err := json.Marshal(bus.DaemonInfo{NodeID: self, BusURL: "nats://" + ln.Addr().String()})
	must(t, err)
	must(t, os.WriteFile(filepath.Join(d.dir, bus.DaemonFile), info, 0o600))
	d.myco("swarm").want(t, 5, "no answer from the daemon at nats://"+ln.Addr().String(), "try: myco doctor")
	d.myco("ask", "--remote", "hello").want(t, 5, "no answer from the daemon")
	if got := d.myco("ask", "hello").err; !strings.Contains(got, "is there and does not answer") || strings.Contains(got, "No daemon is running") {
		t.Errorf("ask says %s", got)
	}
}
