//go:build linux

// Package machine lends end-to-end tests a machine that systemd has booted: process 1 in namespaces of
// its own, with a journal, a network with one link, a user and that user's systemd. It shares this
// machine's programs, and none of its services, homes and data. It needs Linux, root and systemd.
package machine

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// The user of the machine, who has a systemd too.
const (
	User = "ann"
	uid  = 4077
)

// Bin is the folder with the programs under test, for everybody to run.
const Bin = "/opt"

//go:embed boot.sh
var boot string

// units are those that the machine starts with: as few as systemd needs, and a journal.
var units = map[string]string{
	"journal.service": `[Unit]
DefaultDependencies=no
Requires=systemd-journald.socket
After=systemd-journald.socket
[Service]
Type=notify
ExecStart=/lib/systemd/systemd-journald
Sockets=systemd-journald.socket
StandardOutput=null
`,
	"systemd-journald.socket": `[Unit]
DefaultDependencies=no
IgnoreOnIsolate=yes
[Socket]
Service=journal.service
ListenStream=/run/systemd/journal/stdout
ListenDatagram=/run/systemd/journal/socket
PassCredentials=yes
PassSecurity=yes
`,
	"sysinit.target": "[Unit]\nDefaultDependencies=no\nRequires=journal.service\nAfter=journal.service\n",
	"user@.service": `[Unit]
Requires=journal.service
After=journal.service
[Service]
User=%i
Type=notify
ExecStart=/lib/systemd/systemd --user
Environment=XDG_RUNTIME_DIR=/run/user/%i
UnsetEnvironment=SYSTEMD_UNIT_PATH
Delegate=yes
KillMode=mixed
`,
}

// targets are those that units name, with nothing behind them.
var targets = []string{"basic", "shutdown", "sockets", "timers", "paths", "multi-user", "network-online", "network"}

// Machine is the machine.
type Machine struct {
	t      testing.TB
	first  int // systemd's process id, outside
	folder string
}

// Boot starts a machine; it ends with the test.
func Boot(t testing.TB, bin harness.Binaries) *Machine {
	t.Helper()
	m := &Machine{t: t, folder: t.TempDir()}
	must(t, os.MkdirAll(filepath.Join(m.folder, "units"), 0o755))
	must(t, os.MkdirAll(filepath.Join(m.folder, "bin"), 0o755))
	for name, text := range units {
		m.unit(name, text)
	}
	for _, name := range targets {
		m.unit(name+".target", "[Unit]\nDefaultDependencies=no\n")
	}
	for _, program := range []string{bin.Mycod, bin.Myco} {
		must(t, os.Symlink(program, filepath.Join(m.folder, "bin", filepath.Base(program))))
	}
	script := filepath.Join(m.folder, "boot.sh")
	must(t, os.WriteFile(script, []byte(boot), 0o600))
	group := m.group()
	log := filepath.Join(m.folder, "boot.log")
	// The group is entered by the shell, so that the namespace has it as its root.
	p := harness.Launch(t, log, os.Environ(), []string{
		"sh", "-c", `echo $$ >"$0/cgroup.procs" && exec unshare --mount --pid --fork --cgroup --uts --ipc --net --kill-child sh "$@"`,
		group, script, m.folder, User, strconv.Itoa(uid),
	}, "")
	harness.Poll(t, harness.Patience, "systemd has booted", func() string {
		if p.Gone() {
			t.Fatalf("the machine ended instead of booting:\n%s", p.Log(40))
		}
		if m.first == 0 {
			m.first = child(p.PID())
		}
		if m.first == 0 {
			return "no process 1"
		}
		if r := m.Root("systemctl", "is-active", "basic.target", "journal.service"); r.Code != 0 {
			return r.String() + p.Log(40)
		}
		return ""
	})
	m.Must(m.Root("systemctl", "start", "user@"+strconv.Itoa(uid)+".service"))
	return m
}

// On returns the same machine for a part of the test.
func (m *Machine) On(t testing.TB) *Machine {
	part := *m
	part.t = t
	return &part
}

func (m *Machine) unit(name, text string) {
	m.t.Helper()
	must(m.t, os.WriteFile(filepath.Join(m.folder, "units", name), []byte(text), 0o600))
}

// group makes a control group for the machine, which goes with it.
func (m *Machine) group() string {
	m.t.Helper()
	mounts, err := os.ReadFile("/proc/self/mounts")
	must(m.t, err)
	for line := range strings.Lines(string(mounts)) {
		f := strings.Fields(line)
		if len(f) < 3 || f[2] != "cgroup2" {
			continue
		}
		dir, err := os.MkdirTemp(f[1], "mycobox-") // a control group is made there alone
		must(m.t, err)
		must(m.t, os.Chmod(dir, 0o755)) // the user's systemd has to get through
		m.t.Cleanup(func() {
			harness.Poll(m.t, harness.Patience, "the control groups of the machine are gone", func() string {
				return problem(removeGroups(dir))
			})
		})
		return dir
	}
	m.t.Fatal("this machine has no cgroup2")
	return ""
}

// removeGroups removes a control group with those below it.
func removeGroups(dir string) error {
	var all []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			all = append(all, path)
		}
		return err
	})
	for i := len(all) - 1; i >= 0 && err == nil; i-- {
		err = os.Remove(all[i])
	}
	return err
}

// child returns the first child of a process; 0 without one.
func child(pid int) int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return 0
	}
	f := strings.Fields(string(b))
	if len(f) == 0 {
		return 0
	}
	n, err := strconv.Atoi(f[0])
	if err != nil {
		return 0
	}
	return n
}

// Root runs a command as root on the machine.
func (m *Machine) Root(argv ...string) harness.Result {
	m.t.Helper()
	return m.enter(nil, argv)
}

// As runs a command as the machine's user, who has logged in.
func (m *Machine) As(argv ...string) harness.Result {
	m.t.Helper()
	id := strconv.Itoa(uid)
	return m.enter([]string{
		"setpriv", "--reuid", id, "--regid", id, "--clear-groups",
		"env", "HOME=/home/" + User, "USER=" + User, "XDG_RUNTIME_DIR=/run/user/" + id,
	}, argv)
}

// Must returns what a command printed that is not to fail.
func (m *Machine) Must(r harness.Result) string {
	m.t.Helper()
	if r.Code != 0 {
		m.t.Fatalf("%s", r)
	}
	return r.Stdout
}

// enter runs a command in the machine's namespaces, with a bare environment.
func (m *Machine) enter(before, argv []string) harness.Result {
	m.t.Helper()
	args := []string{"nsenter", "-t", strconv.Itoa(m.first), "-m", "-p", "-C", "-u", "-i", "-n", "-w/", "--"}
	env := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/var/lib", "LANG=C.UTF-8"}
	return harness.Run(context.Background(), m.t, m.folder, env, append(append(args, before...), argv...), "")
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func problem(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
