//go:build e2e && linux

package e2e_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/e2e/harness"
	"github.com/mycoswarm/mycoswarm/e2e/machine"
)

// svc is mycod as a service, of a machine or of its user.
type svc struct {
	t     *testing.T
	m     *machine.Machine
	user  bool
	flags []string // of systemctl and journalctl
}

// do runs a command as whoever owns the service.
func (s svc) do(argv ...string) harness.Result {
	s.t.Helper()
	if s.user {
		return s.m.As(argv...)
	}
	return s.m.Root(argv...)
}

func (s svc) myco(args ...string) harness.Result {
	s.t.Helper()
	return s.do(append([]string{machine.Bin + "/myco"}, args...)...)
}

func (s svc) systemctl(args ...string) harness.Result {
	s.t.Helper()
	return s.do(append(append([]string{"systemctl"}, s.flags...), args...)...)
}

// is returns a property of the service.
func (s svc) is(property string) string {
	s.t.Helper()
	return strings.TrimSpace(s.m.Must(s.systemctl("show", "mycod", "--value", "--property", property)))
}

// want fails unless the command gave the exit code and printed all of says.
func (s svc) want(r harness.Result, code int, says ...string) {
	s.t.Helper()
	for _, w := range says {
		if !strings.Contains(r.Stdout+r.Stderr, w) {
			s.t.Errorf("it does not say %q: %s", w, r)
		}
	}
	if r.Code != code {
		s.t.Fatalf("exit code %d, want %d: %s", r.Code, code, r)
	}
}

// comesBack runs do on the service's process, and waits until another is ready in its place.
func (s svc) comesBack(what string, do func(pid string)) {
	s.t.Helper()
	pid := s.is("MainPID")
	do(pid)
	harness.Poll(s.t, harness.Patience, "the service is back after "+what, func() string {
		now, state := s.is("MainPID"), s.is("ActiveState")+" "+s.is("SubState")
		if state == "failed failed" {
			s.t.Fatalf("after %s the service has failed for good: %s", what, s.systemctl("status", "mycod"))
		}
		if now == pid || now == "0" || state != "active running" {
			return fmt.Sprintf("process %s, %s", now, state)
		}
		return ""
	})
}

// journal returns the service's lines in the journal.
func (s svc) journal() (lines []journalLine) {
	s.t.Helper()
	unit := "_SYSTEMD_UNIT=mycod.service"
	if s.user {
		unit = "_SYSTEMD_USER_UNIT=mycod.service"
	}
	out := s.m.Must(s.m.Root("journalctl", "--no-pager", "-o", "json", unit))
	for d := json.NewDecoder(strings.NewReader(out)); d.More(); {
		var l journalLine
		if err := d.Decode(&l); err != nil {
			s.t.Fatal(err)
		}
		lines = append(lines, l)
	}
	if len(lines) == 0 {
		s.t.Fatal("the journal has nothing of the service")
	}
	return lines
}

type journalLine struct {
	Message  any    `json:"MESSAGE"`
	Priority string `json:"PRIORITY"`
}

// A node that is a service starts, tells systemd how it is, comes back from whatever ends it, and does not
// come back where that helps nobody.
func TestService(t *testing.T) {
	t.Parallel()
	m := machine.Boot(t, programs)
	t.Run("of the machine", func(t *testing.T) {
		s := svc{t: t, m: m.On(t)}
		s.want(s.myco("service", "status"), 3, "no service of this machine is installed", "myco service install --system")
		s.want(s.myco("service", "install", "--", "--slots", "4", "--name", "a b%c$d"), 0,
			"/etc/systemd/system/mycod.service", "active, running", "started at boot", "/var/lib/mycoswarm", "journalctl -u mycod", "TCP 7422", "join TOKEN")
		serviceWorks(s, "/var/lib/mycoswarm")
		plugged(s, "/etc/mycoswarm/plugins", "/var/lib/mycoswarm")
		shared(s)
		badSettings(s, "/etc/mycoswarm/config.toml")
	})
	t.Run("of a user", func(t *testing.T) {
		s := svc{t: t, m: m.On(t), user: true, flags: []string{"--user"}}
		s.want(s.myco("service", "install", "--system"), 1, "root's to manage")
		s.want(s.myco("service", "install", "--", "--slots", "4", "--name", "a b%c$d"), 0,
			"/home/ann/.config/systemd/user/mycod.service", "active, running", "loginctl enable-linger", "/home/ann/.local/state/mycoswarm", "journalctl --user -u mycod")
		serviceWorks(s, "/home/ann/.local/state/mycoswarm")
		plugged(s, "/home/ann/.config/mycoswarm/plugins", "/home/ann/.local/state/mycoswarm")
		badSettings(s, "/home/ann/.config/mycoswarm/config.toml")
		const dir = "/home/ann/my data ; of 100% $HOME"
		s.want(s.myco("service", "install", "--", "--data-dir", dir), 0, "data       "+dir+"\n")
		s.want(s.myco("service", "status"), 0, "data      "+dir+"\n")
		s.want(s.myco("--data-dir", dir, "swarm"), 0, "ready")
		s.want(s.myco("service", "uninstall"), 0, "stay in "+dir+".")
	})
}

// plugged gives the service a plugin, which is held back there as well: its unit lets mycod do that.
func plugged(s svc, plugins, dir string) {
	t := s.t
	t.Helper()
	s.want(s.do("sh", "-c", `mkdir -p "$0/key" && cat >"$0/key/plugin.toml" <<END
type = "key"
run = ["sh", "-c", 'while read -r task; do if read -r key <\$1/identity/node.key; then r=reads; else r=held; fi; echo "{\\"result\\":\\"\$r\\"}"; done', "plugin", "$1"]
END`, plugins, dir), 0)
	s.m.Must(s.systemctl("restart", "mycod"))
	s.want(s.myco("run", "key"), 0, "held\n")
}

// shared has a user of the machine use its service once that is allowed, and read nothing else there.
func shared(s svc) {
	t := s.t
	t.Helper()
	s.want(s.m.As(machine.Bin+"/myco", "swarm"), 4, "no daemon is running", "usermod -aG mycoswarm")
	member := func(argv ...string) harness.Result {
		t.Helper()
		return s.m.Root(append([]string{"setpriv", "--reuid", "nobody", "--regid", "nogroup", "--groups", "mycoswarm", "env", "HOME=/none"}, argv...)...)
	}
	s.want(member(machine.Bin+"/myco", "ask", "What is the capital of France?"), 0, "Paris")
	s.want(member(machine.Bin+"/myco", "doctor"), 0, "of the machine's service")
	files := func() string {
		t.Helper()
		r := member("find", "/var/lib/mycoswarm", "-type", "f", "-readable", "-printf", "%f\n")
		names := strings.Fields(r.Stdout)
		slices.Sort(names)
		return strings.Join(names, " ")
	}
	if got := files(); got != "daemon.json http.key user.nk" {
		t.Errorf("a member of the group reads %s", got)
	}
	s.want(s.myco("rotate", "--yes"), 0)
	if got := files(); got != "daemon.json http.key user.nk" {
		t.Errorf("with new credentials a member of the group reads %s", got)
	}
}

// serviceWorks looks at a service that was installed with four slots and an odd name, and ends it in each way.
func serviceWorks(s svc, dir string) {
	t := s.t
	t.Helper()
	var view harness.View
	lastObject(t, s.myco("swarm", "--json"), &view)
	if len(view.Nodes) != 1 || view.Nodes[0].Slots != 4 {
		t.Errorf("%+v, want what was installed", view)
	}
	if got := s.is("StatusText"); !strings.Contains(got, "1 of 1 node here") || !strings.Contains(got, "0 of 4 slots at work") {
		t.Errorf("its status is %q", got)
	}
	// What it is kept from is nothing that it needs: interfaces, multicast, its own disk.
	r := s.myco("doctor")
	s.want(r, 0, "journalctl", "mDNS", dir)
	if strings.Contains(r.Stdout, "FAIL") {
		t.Errorf("%s", r)
	}
	for _, l := range s.journal() {
		text, _ := l.Message.(string)
		if strings.Contains(text, "time=") || strings.Contains(text, "Write down its recovery phrase") {
			t.Errorf("the journal has %q", text)
		}
		if strings.Contains(text, "level=WARN") && l.Priority != "4" {
			t.Errorf("priority %s of %q", l.Priority, text)
		}
	}
	s.comesBack("kill -9", func(pid string) { s.m.Must(s.m.Root("kill", "-9", pid)) })
	// As a crash of a Go program ends: without GOTRACEBACK=crash with exit code 2.
	s.comesBack("a crash", func(pid string) { s.m.Must(s.m.Root("kill", "-QUIT", pid)) })
	// A process that is there and does nothing.
	s.want(s.do("sh", "-c", `d=$(dirname "$0")/mycod.service.d && mkdir -p "$d" && printf '[Service]\nWatchdogSec=8s\nTimeoutAbortSec=1s\n' >"$d/soon.conf"`, s.is("FragmentPath")), 0)
	s.m.Must(s.systemctl("daemon-reload"))
	s.m.Must(s.systemctl("restart", "mycod"))
	s.comesBack("a stop of the process", func(pid string) { s.m.Must(s.m.Root("kill", "-STOP", pid)) })
	s.want(s.myco("service", "status"), 0, "active, running", "restarted", dir)
}

// badSettings has the service meet settings that it cannot run with, and takes it away in the end.
func badSettings(s svc, file string) {
	t := s.t
	t.Helper()
	s.want(s.do("sh", "-c", `mkdir -p "$(dirname "$0")" && echo "slots = 99999" >"$0"`, file), 0)
	s.want(s.myco("service", "install"), 1, "does not start", "--slots 99999: want 1 to 1024", file, "journalctl")
	// With a restart to come it would be "activating".
	if state := s.is("ActiveState"); state != "failed" {
		t.Errorf("with bad settings the service is %s", state)
	}
	s.want(s.myco("service", "status"), 4, "failed", "99999", "start mycod.service")
	s.want(s.do("sh", "-c", `echo "slots = 3" >"$0"`, file), 0)
	s.want(s.myco("service", "install"), 0, "active, running")
	unit := s.is("FragmentPath")
	s.want(s.myco("service", "uninstall"), 0, "removed "+unit, "stay in")
	if r := s.systemctl("is-active", "mycod"); r.Code == 0 {
		t.Errorf("it still runs: %s", r)
	}
	s.want(s.do("test", "-e", unit), 1)
	s.want(s.myco("service", "uninstall"), 3, "no service")
}
