package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/service"
)

// managing is how long systemctl may take: longer than the unit's TimeoutStartSec and TimeoutStopSec.
const managing = 4 * time.Minute

// systemd is the manager of the machine's services, or that of this user's.
type systemd struct {
	system bool
	unit   string // the file of the unit
}

// booted is there where systemd has started the machine: see sd_booted(3).
const booted = "/run/systemd/system"

// withoutSystemd says why nothing on this machine can be a service of systemd's; nil where it can.
func withoutSystemd(goos, booted string) *bus.Error {
	if goos != "linux" {
		return bus.Errorf(bus.CodeInvalid, "myco service is for systemd, which %s does not have", goos).
			WithHint("have this system start %q: a daemon of launchd on macOS (docs/install.md, On a Mac), the task scheduler on Windows", "mycod --log-file FILE")
	}
	if _, err := os.Stat(booted); err != nil {
		return bus.Errorf(bus.CodeInvalid, "this machine was not started by systemd").
			WithHint("have what starts its services run %q", "mycod --log-file FILE")
	}
	return nil
}

// noService is the answer to who asks of a service where there can be none.
func noService(why *bus.Error) *bus.Error {
	return bus.Errorf(bus.CodeNotFound, "no service is installed: %s", why.Message).WithHint("myco doctor tells whether mycod runs")
}

// systemdOf finds the manager that is meant, or says why there is none.
func systemdOf(c serviceScope) (*systemd, error) {
	if e := withoutSystemd(runtime.GOOS, booted); e != nil {
		return nil, e
	}
	if c.System || os.Getuid() == 0 && !c.User {
		if os.Getuid() != 0 {
			return nil, bus.Errorf(bus.CodeForbidden, "a service of the machine is root's to manage").
				WithHint("sudo myco service ..., or a service of your own: myco service install --user")
		}
		return &systemd{system: true, unit: filepath.Join("/etc/systemd/system", service.Name)}, nil
	}
	if os.Getenv("XDG_RUNTIME_DIR") == "" {
		return nil, bus.Errorf(bus.CodeInvalid, "this user has no systemd here: XDG_RUNTIME_DIR is not set, as after su or sudo -u").
			WithHint("log in as that user, with ssh for one, or: machinectl shell USER@")
	}
	return &systemd{unit: filepath.Join(plainConfigDir(), "systemd", "user", service.Name)}, nil
}

func (s *systemd) scope() string {
	if s.system {
		return "system"
	}
	return "user"
}

// command is what a person types to have systemd do something.
func (s *systemd) command(args ...string) string {
	c := "systemctl "
	if !s.system {
		c += "--user "
	}
	return c + strings.Join(args, " ")
}

// log is the command that shows the service's log.
func (s *systemd) log() string {
	if s.system {
		return "journalctl -u mycod"
	}
	return "journalctl --user -u mycod"
}

// ask runs systemctl, and returns what it prints.
func (s *systemd) ask(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, managing)
	defer cancel()
	if !s.system {
		args = append([]string{"--user"}, args...)
	}
	cmd := exec.CommandContext(ctx, "systemctl", append([]string{"--no-pager"}, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), errors.New(strings.TrimSpace(errs.String() + " (" + err.Error() + ")"))
	}
	return out.String(), nil
}

// manage runs systemctl for what it does.
func (s *systemd) manage(ctx context.Context, args ...string) error {
	_, err := s.ask(ctx, args...)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return bus.Errorf(bus.CodeFailed, "%s: %w", s.command(args...), err).WithHint("%s", s.command("status", service.Name))
}

// show returns what systemd knows of the service; nothing where it cannot be asked.
func (s *systemd) show(ctx context.Context) map[string]string {
	out, err := s.ask(ctx, "show", service.Name, "--property",
		"ActiveState,SubState,UnitFileState,MainPID,StatusText,Result,NRestarts,ExecMainStatus,ExecStart,InvocationID")
	known := map[string]string{}
	if err != nil {
		return known
	}
	for line := range strings.Lines(out) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			known[k] = v
		}
	}
	return known
}

// view gathers what there is to tell; mycod is the program, where it is known.
func (s *systemd) view(ctx context.Context, mycod string) serviceView {
	k := s.show(ctx)
	v := serviceView{
		Unit: s.unit, Scope: s.scope(), Mycod: mycod, Log: s.log(),
		State: k["ActiveState"], Sub: k["SubState"], Enabled: k["UnitFileState"], PID: k["MainPID"],
		Status: k["StatusText"], Result: k["Result"], Restarts: k["NRestarts"],
	}
	words := s.runs(k["ExecStart"])
	if len(words) > 0 && v.Mycod == "" {
		v.Mycod = words[0]
	}
	v.DataDir, v.Config = s.dataDir(words), s.config(words)
	if !s.system {
		v.Linger = lingers()
	}
	return v
}

// runs returns the words of the command that systemd says it runs. systemd writes one word with a space as two: they are
// those of the unit where that is what it runs.
func (s *systemd) runs(says string) []string {
	argv := says
	if _, after, ok := strings.Cut(says, "argv[]="); ok {
		argv = after
	}
	if unit, err := os.ReadFile(s.unit); err == nil {
		words := service.Command(string(unit))
		shown := slices.Clone(words)
		for i := range shown[min(1, len(shown)):] {
			shown[i+1] = strings.ReplaceAll(shown[i+1], "$", "$$") // as the unit has it
		}
		if words != nil && strings.HasPrefix(argv, strings.Join(shown, " ")+" ; ignore_errors=") {
			return words
		}
	}
	argv, _, _ = strings.Cut(argv, " ; ")
	return strings.Fields(argv)
}

// flagValue finds the value of a flag among words.
func flagValue(words []string, flag string) string {
	for i, w := range words {
		if v, ok := strings.CutPrefix(w, flag+"="); ok {
			return v
		}
		if w == flag && i+1 < len(words) {
			return words[i+1]
		}
	}
	return ""
}

// dataDir is where the service with these flags keeps its data.
func (s *systemd) dataDir(flags []string) string {
	switch dir := flagValue(flags, "--data-dir"); {
	case dir != "":
		return dir
	case s.system:
		return service.StateDir
	}
	return plainDataDir()
}

// plainDataDir and plainConfigDir are the folders that programs take where no variable says otherwise, as
// under a user's systemd, which does not know the variables of a shell.
func plainDataDir() string   { return filepath.Join(homeDir(), ".local", "state", "mycoswarm") }
func plainConfigDir() string { return filepath.Join(homeDir(), ".config") }

func homeDir() string {
	if home, err := bus.HomeDir(); err == nil {
		return home
	}
	return "/" // systemd would say the same
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return !errors.Is(err, fs.ErrNotExist)
}

// config is the file of settings of the service with these flags.
func (s *systemd) config(flags []string) string {
	switch file := flagValue(flags, "--config"); {
	case file != "":
		return file
	case s.system:
		return service.ConfigFile
	}
	return filepath.Join(plainConfigDir(), "mycoswarm", "config.toml")
}

// flags adds to the flags of a user's service what this shell's environment says: systemd does not know it.
func (s *systemd) flags(a *app, flags []string) ([]string, error) {
	if s.system {
		if a.dataDir != "" {
			return nil, bus.Errorf(bus.CodeInvalid, "a service of the machine keeps its data in %s", service.StateDir).
				WithHint("leave --data-dir out, or install it for this user: myco service install --user")
		}
		return flags, nil
	}
	dir := a.dataDir
	if dir == "" {
		dir = bus.DefaultDataDir()
	}
	if dir != plainDataDir() && flagValue(flags, "--data-dir") == "" {
		flags = append(slices.Clone(flags), "--data-dir", dir)
	}
	file := os.Getenv("MYCO_CONFIG")
	if home := os.Getenv("XDG_CONFIG_HOME"); file == "" && home != "" && home != plainConfigDir() {
		if f := filepath.Join(home, "mycoswarm", "config.toml"); exists(f) {
			file = f
		}
	}
	if file != "" && flagValue(flags, "--config") == "" {
		file, err := filepath.Abs(file)
		if err != nil {
			return nil, fmt.Errorf("find the settings: %w", err)
		}
		flags = append(slices.Clone(flags), "--config", file)
	}
	return flags, nil
}

// installed finds the manager of a service that is installed. That none is has CodeNotFound.
func installed(c serviceScope) (*systemd, error) {
	if e := withoutSystemd(runtime.GOOS, booted); e != nil {
		return nil, noService(e)
	}
	s, err := systemdOf(c)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(s.unit); err != nil {
		return nil, bus.Errorf(bus.CodeNotFound, "no service of this %s is installed: %w", map[bool]string{true: "machine", false: "user"}[s.system], err).
			WithHint("myco service install --%s", s.scope())
	}
	return s, nil
}

// mayWrite refuses to touch a unit that somebody else has written.
func (s *systemd) mayWrite() error {
	b, err := os.ReadFile(s.unit)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("read the unit: %w", err)
	case !service.Ours(string(b)):
		return bus.Errorf(bus.CodeConflict, "%s was not written by myco", s.unit).
			WithHint("remove or rename it, and keep changes of your own in a drop-in: %s", s.command("edit", service.Name))
	}
	return nil
}

// makeUser makes the user that a service of the machine runs as.
func (s *systemd) makeUser(ctx context.Context) error {
	if !s.system {
		return nil
	}
	if _, err := user.Lookup(service.User); err == nil {
		return nil
	}
	out, err := exec.CommandContext(ctx, "systemd-sysusers", "--inline",
		fmt.Sprintf("u %s - \"mycoSwarm\" %s", service.User, service.StateDir)).CombinedOutput()
	if err != nil {
		return bus.Errorf(bus.CodeFailed, "make the user %s: %w: %s", service.User, err, bytes.TrimSpace(out)).
			WithHint("useradd --system --home-dir %s --shell /usr/sbin/nologin %s", service.StateDir, service.User)
	}
	return nil
}

// why tells why the service does not run: in the words that it left with systemd, else in those that its
// last start left in the journal, which a user may not be allowed to read.
func (s *systemd) why(ctx context.Context) string {
	k := s.show(ctx)
	said := fmt.Sprintf("%s, %s, exit code %s", k["ActiveState"], k["Result"], k["ExecMainStatus"])
	if failed, ok := strings.CutPrefix(k["StatusText"], "failed: "); ok {
		return failed + " (" + said + ")"
	}
	if k["InvocationID"] == "" {
		return said
	}
	out, err := exec.CommandContext(ctx, "journalctl", "--no-pager", "-n", "8", "-o", "cat", "_COMM=mycod",
		"_SYSTEMD_INVOCATION_ID="+k["InvocationID"]).Output()
	if lines := strings.TrimSpace(string(out)); err == nil && lines != "" {
		said += "\n" + lines
	}
	return said
}

// lingers reports whether systemd keeps this user's services while the user is not logged in; nil where
// that is not known.
func lingers() *bool {
	u, err := user.Current()
	if err != nil {
		return nil
	}
	// See loginctl(1): logind keeps its marks there.
	_, err = os.Stat(filepath.Join("/var/lib/systemd/linger", u.Username))
	is := err == nil
	return &is
}

// advise says what is left to do.
func (s *systemd) advise(a *app, v serviceView) {
	if v.Linger != nil && !*v.Linger {
		a.hint("%-9s  `loginctl enable-linger` has it run from boot on; without, it starts when you log in and stops when you log out", "boot")
	}
	sudo := ""
	if s.system {
		sudo = "sudo "
	}
	with := sudo + "myco"
	if v.DataDir != bus.FindDataDir() {
		with += " --data-dir " + bus.ShellWord(v.DataDir)
	}
	if s.system {
		a.hint("%-9s  `sudo usermod -aG %s NAME` lets NAME use it with myco, from the next login on", "users", service.User)
	}
	for _, row := range [][2]string{
		{"log", sudo + v.Log + " -f"},
		{"firewall", "let in what `" + with + " doctor` names: TCP 7422, TCP 7423 and UDP 5353 unless told otherwise"},
		{"invite", "`" + with + " invite` makes a token, with which another machine joins this one"},
		{"join", "`" + with + " join TOKEN` takes this node into another swarm instead"},
		{"phrase", "`" + with + " rotate --swarm` shows, once, what restores the key of a swarm that was founded here: write it down"},
		{"upgrade", "replace " + v.Mycod + ", then `" + sudo + s.command("restart", service.Name) + "`"},
	} {
		a.hint("%-9s  %s", row[0], row[1])
	}
}
