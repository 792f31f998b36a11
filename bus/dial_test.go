package bus_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/mycoswarm/mycoswarm/bus"
)

func TestDialFindsTheDaemonOfTheDataDirectory(t *testing.T) {
	t.Parallel()
	_, c := setup(t)
	if c.NodeID() != self {
		t.Errorf("connected to %q, want %q", c.NodeID(), self)
	}
}

// Who has no daemon of its own is led to the machine's, and to no other place than was named.
func TestFindDataDir(t *testing.T) {
	home, system := t.TempDir(), t.TempDir()
	t.Setenv(bus.EnvDataDir, "")
	t.Setenv("XDG_STATE_HOME", home)
	own := filepath.Join(home, "mycoswarm")
	must(t, os.Mkdir(own, 0o700))
	finds := func(when, want string) {
		t.Helper()
		if got := bus.FindDataDirBut(system); got != want {
			t.Errorf("%s: %s, want %s", when, got, want)
		}
	}
	finds("no daemon", own)
	must(t, os.WriteFile(filepath.Join(system, bus.DaemonFile), nil, 0o600))
	finds("the machine's daemon", system)
	t.Setenv(bus.EnvDataDir, "/named")
	finds("a directory is named", "/named")
	t.Setenv(bus.EnvDataDir, "")
	must(t, os.WriteFile(filepath.Join(own, bus.DaemonFile), nil, 0o600))
	finds("both", own)
}

func TestDialAfterItsContext(t *testing.T) {
	t.Parallel()
	d := startDaemon(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c, err := bus.Dial(ctx, bus.WithDataDir(d.dir))
	if err == nil {
		c.Close()
	}
	wantCode(t, err, bus.CodeCancelled)
}

func TestDialByURL(t *testing.T) {
	t.Parallel()
	d := startDaemon(t)
	c, err := bus.Dial(t.Context(), bus.WithURL(d.srv.ClientURL(), filepath.Join(d.dir, bus.UserCreds)))
	must(t, err)
	defer c.Close()
	if c.NodeID() != self {
		t.Errorf("connected to %q, want %q", c.NodeID(), self)
	}
}

func TestDialReadsTheEnvironment(t *testing.T) {
	d := startDaemon(t)
	for name, env := range map[string]map[string]string{
		"url and creds":  {bus.EnvURL: d.srv.ClientURL(), bus.EnvCreds: filepath.Join(d.dir, bus.UserCreds)},
		"url alone":      {bus.EnvURL: d.srv.ClientURL(), bus.EnvDataDir: d.dir},
		"data directory": {bus.EnvDataDir: d.dir},
	} {
		t.Run(name, func(t *testing.T) {
			for _, k := range []string{bus.EnvURL, bus.EnvCreds, bus.EnvDataDir} {
				t.Setenv(k, env[k])
			}
			c, err := bus.Dial(t.Context())
			must(t, err)
			c.Close()
		})
	}
}

func TestDefaultDataDir(t *testing.T) {
	t.Setenv(bus.EnvDataDir, "")
	t.Setenv("XDG_STATE_HOME", "")
	home, state := t.TempDir(), t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("USERPROFILE", home) // on Windows
	if got, want := bus.DefaultDataDir(), filepath.Join(home, ".local", "state", "mycoswarm"); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	t.Setenv("XDG_STATE_HOME", state)
	if got, want := bus.DefaultDataDir(), filepath.Join(state, "mycoswarm"); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	t.Setenv(bus.EnvDataDir, "/data")
	if got, want := bus.DefaultDataDir(), "/data"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// Init and containers start programs without HOME. The data are in the home that the system knows then, wherever the
// program was started; but where a daemon has them in the folder that it was started in, as those of before had.
func TestDefaultDataDirWithoutHome(t *testing.T) {
	if runtime.GOOS == "windows" {
		return
	}
	t.Setenv(bus.EnvDataDir, "")
	t.Setenv("XDG_STATE_HOME", "")
	t.Chdir(t.TempDir())
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	want := filepath.Join(me.HomeDir, ".local", "state", "mycoswarm")
	for _, home := range []string{"", "not/absolute"} {
		t.Setenv("HOME", home)
		if got := bus.DefaultDataDir(); got != want {
			t.Errorf("with HOME=%q: %q, want %q", home, got, want)
		}
	}
	t.Setenv("HOME", "")
	if err := os.MkdirAll(filepath.Join("mycoswarm-data", "identity"), 0o700); err != nil {
		t.Fatal(err)
	}
	if got := bus.DefaultDataDir(); got != "mycoswarm-data" {
		t.Errorf("beside a node's data: %q", got)
	}
}

func TestDialErrors(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		spoil func(t *testing.T, d *daemon)
		code  bus.Code
		says  string
	}{
		"never started": {func(t *testing.T, d *daemon) { must(t, os.Remove(filepath.Join(d.dir, bus.DaemonFile))) }, bus.CodeUnavailable, "no daemon is running"},
		"died":          {func(_ *testing.T, d *daemon) { d.stop() }, bus.CodeUnavailable, "nothing listens at"},
		"damaged file":  {func(t *testing.T, d *daemon) { write(t, d, bus.DaemonFile, "{") }, bus.CodeUnavailable, "is damaged"},
		"no address":    {func(t *testing.T, d *daemon) { write(t, d, bus.DaemonFile, "{}") }, bus.CodeUnavailable, "names no bus_url"},
		"file is a directory": {func(t *testing.T, d *daemon) {
			must(t, os.Remove(filepath.Join(d.dir, bus.DaemonFile)))
			must(t, os.Mkdir(filepath.Join(d.dir, bus.DaemonFile), 0o700))
		}, bus.CodeUnavailable, "cannot read the daemon's files"},
		"no credentials":    {func(t *testing.T, d *daemon) { must(t, os.Remove(filepath.Join(d.dir, bus.UserCreds))) }, bus.CodeForbidden, "cannot use the credentials"},
		"empty credentials": {func(t *testing.T, d *daemon) { write(t, d, bus.UserCreds, "") }, bus.CodeForbidden, "cannot use the credentials"},
		"other credentials": {func(t *testing.T, d *daemon) { write(t, d, bus.UserCreds, newSeed(t)) }, bus.CodeForbidden, "refuses the credentials"},
		"other daemon": {func(_ *testing.T, d *daemon) {
			d.write(bus.DaemonInfo{NodeID: "myco-ffffffffffff", BusURL: d.srv.ClientURL()})
		}, bus.CodeUnavailable, "names the daemon myco-ffffffffffff"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := startDaemon(t)
			test.spoil(t, d)
			_, err := bus.Dial(t.Context(), bus.WithDataDir(d.dir))
			wantCode(t, err, test.code)
			e := bus.AsError(err)
			if !strings.Contains(e.Message, test.says) || e.Hint == "" {
				t.Errorf("message %q, hint %q: want %q and a hint", e.Message, e.Hint, test.says)
			}
		})
	}
}

func TestDialGivesUpOnASilentServer(t *testing.T) {
	t.Parallel()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	seed := filepath.Join(t.TempDir(), bus.UserCreds)
	must(t, os.WriteFile(seed, []byte(newSeed(t)), 0o600))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = bus.Dial(ctx, bus.WithURL("nats://"+l.Addr().String(), seed))
	if code := codeOf(err); code != bus.CodeTimeout && code != bus.CodeUnavailable {
		t.Errorf("error %v, want no answer in time", err)
	}
}

// Where nothing answers, the process that daemon.json names tells a daemon that hangs from one that has
// ended and whose port another program has taken since.
func TestDialTellsAHungDaemonFromAnotherProgram(t *testing.T) {
	t.Parallel()
	gone := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	must(t, gone.Run())
	for name, test := range map[string]struct {
		greets string
		pid    int
		code   bus.Code
		says   string
	}{
		"it hangs":            {"", os.Getpid(), bus.CodeTimeout, fmt.Sprintf("it is process %d", os.Getpid())},
		"it has ended":        {"", gone.Process.Pid, bus.CodeUnavailable, fmt.Sprintf("its process %d has ended", gone.Process.Pid)},
		"its process unknown": {"", 0, bus.CodeTimeout, "no answer from the daemon"},
		"another protocol":    {"SSH-2.0-x\r\n", 0, bus.CodeUnavailable, "is another program"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
			must(t, err)
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				c, err := l.Accept()
				if err != nil {
					t.Error(err)
					return
				}
				defer c.Close()
				if _, err := io.WriteString(c, test.greets); err != nil {
					t.Error(err)
				}
				_, _ = io.Copy(io.Discard, c) // until the client is gone
			}()
			d := &daemon{t: t, dir: t.TempDir()}
			write(t, d, bus.UserCreds, newSeed(t))
			d.write(bus.DaemonInfo{PID: test.pid, NodeID: "myco-ffffffffffff", BusURL: "nats://" + l.Addr().String()})
			_, err = bus.Dial(t.Context(), bus.WithDataDir(d.dir))
			wantCode(t, err, test.code)
			if e := bus.AsError(err); !strings.Contains(e.Message, test.says) || e.Hint == "" {
				t.Errorf("message %q, hint %q: want %q and a hint", e.Message, e.Hint, test.says)
			}
			must(t, l.Close())
			<-ended
		})
	}
}

func newSeed(t *testing.T) string {
	t.Helper()
	k, err := nkeys.CreateUser()
	must(t, err)
	seed, err := k.Seed()
	must(t, err)
	return string(seed)
}

func write(t *testing.T, d *daemon, name, content string) {
	t.Helper()
	must(t, os.WriteFile(filepath.Join(d.dir, name), []byte(content), 0o600))
}
