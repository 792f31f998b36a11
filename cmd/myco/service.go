package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/service"
)

// serviceCmd has mycod started by the machine.
type serviceCmd struct {
	Install   serviceInstallCmd   `cmd:"" help:"Have systemd start mycod, now and at each boot, and again when it fails."`
	Uninstall serviceUninstallCmd `cmd:"" help:"Stop the service and remove it; its data stay."`
	Status    serviceStatusCmd    `cmd:"" help:"Show whether the service runs, and where its log is."`
}

// serviceScope are the flags that tell whose service is meant.
type serviceScope struct {
	User   bool `xor:"scope" help:"A service of this user (default, but for root)."`
	System bool `xor:"scope" help:"A service of the machine, with a user of its own (default for root)."`
}

// serviceInstallCmd writes, enables and starts the unit.
type serviceInstallCmd struct {
	serviceScope
	Mycod string   `predictor:"file" placeholder:"FILE" type:"path" help:"The mycod to run. Default: the one beside myco, else in PATH."`
	Flags []string `arg:"" optional:"" help:"Flags for mycod, after --, as in: myco service install -- --slots 4"`
}

// serviceView is what service prints with --json.
type serviceView struct {
	Unit    string `json:"unit"`
	Scope   string `json:"scope"` // "user" or "system"
	Mycod   string `json:"mycod,omitempty"`
	DataDir string `json:"data_dir,omitempty"`
	Config  string `json:"config,omitempty"`
	Log     string `json:"log"`
	// The rest is systemd's: see org.freedesktop.systemd1(5).
	State    string `json:"state"`
	Sub      string `json:"sub_state,omitempty"`
	Enabled  string `json:"enabled,omitempty"`
	PID      string `json:"pid,omitempty"`
	Status   string `json:"status,omitempty"`
	Result   string `json:"result,omitempty"`
	Restarts string `json:"restarts,omitempty"`
	// Linger tells whether a user's service runs while the user is not logged in.
	Linger *bool `json:"linger,omitempty"`
}

// Run implements the command.
func (c *serviceInstallCmd) Run(ctx context.Context, a *app) error {
	s, err := systemdOf(c.serviceScope)
	if err != nil {
		return err
	}
	mycod, err := c.program(s)
	if err != nil {
		return err
	}
	flags, err := s.flags(a, c.Flags)
	if err != nil {
		return err
	}
	unit, err := service.Unit(s.system, mycod, flags)
	if err != nil {
		return err
	}
	if err := s.mayWrite(); err != nil {
		return err
	}
	if err := a.nobodyElse(ctx, s, flags); err != nil {
		return err
	}
	if err := s.makeUser(ctx); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(s.unit), 0o755); err != nil {
		return fmt.Errorf("make the folder for the unit: %w", err)
	}
	if err := os.WriteFile(s.unit, []byte(unit), 0o644); err != nil { // units are read by others
		return fmt.Errorf("write the unit: %w", err)
	}
	if err := s.manage(ctx, "daemon-reload"); err != nil {
		return err
	}
	if err := s.manage(ctx, "enable", service.Name); err != nil {
		return err
	}
	// It has failed for good, perhaps: that is over with a new unit.
	_, _ = s.ask(ctx, "reset-failed", service.Name)
	if err := s.manage(ctx, "restart", service.Name); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return bus.Errorf(bus.CodeFailed, "the service is installed, and does not start: %s", s.why(ctx)).
			WithHint("put that right, and install it again, with other flags after -- perhaps; all of its log: %s", s.log())
	}
	v := s.view(ctx, mycod)
	if a.json {
		a.object(v)
		return nil
	}
	a.fields(append([][2]string{{"installed", v.Unit}}, v.rows()...))
	s.advise(a, v)
	return nil
}

// program finds the mycod that the service is to run.
func (c *serviceInstallCmd) program(s *systemd) (string, error) {
	path, err := findMycod(c.Mycod)
	if err != nil {
		return "", err
	}
	if !s.system {
		return path, nil
	}
	// Its user must be able to run it, and sees no homes.
	for dir := path; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return "", fmt.Errorf("look at %s: %w", dir, err)
		}
		home := dir == "/home" || dir == "/root" || dir == "/run/user" || dir == "/tmp"
		if home || info.Mode().Perm()&0o001 == 0 {
			return "", bus.Errorf(bus.CodeInvalid, "a service of the machine cannot run %s: its user does not get through %s", path, dir).
				WithHint("sudo install -m 755 %s /usr/local/bin/mycod, and then: sudo myco service install --mycod /usr/local/bin/mycod", path)
		}
		if dir == filepath.Dir(dir) {
			return path, nil
		}
	}
}

// findMycod returns the absolute path of mycod.
func findMycod(named string) (string, error) {
	try := []string{named}
	if named == "" {
		try = nil
		if self, err := os.Executable(); err == nil {
			try = append(try, filepath.Join(filepath.Dir(self), "mycod"))
		}
		for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
			try = append(try, filepath.Join(dir, "mycod"))
		}
	}
	for _, path := range try {
		path, err := filepath.Abs(path)
		if err != nil {
			continue
		}
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0 {
			return path, nil
		}
	}
	if named != "" {
		return "", bus.Errorf(bus.CodeInvalid, "%s is no program", named).WithHint("myco service install --mycod FILE")
	}
	return "", bus.Errorf(bus.CodeInvalid, "there is no mycod beside myco, nor in PATH").
		WithHint("go install ./cmd/mycod, or: myco service install --mycod FILE")
}

// nobodyElse refuses where a mycod that was started by hand has the data already.
func (a *app) nobodyElse(ctx context.Context, s *systemd, flags []string) error {
	if s.show(ctx)["ActiveState"] == "active" {
		return nil // it is the service, which is started anew
	}
	dir := s.dataDir(flags)
	info, err := bus.ReadDaemonInfo(dir)
	if err != nil {
		return nil //nolint:nilerr // none has left word
	}
	conn, err := bus.Dial(ctx, bus.WithDataDir(dir), bus.WithName("myco"))
	if err != nil {
		if errors.Is(err, &bus.Error{Code: bus.CodeUnavailable}) {
			return nil
		}
		return err
	}
	conn.Close()
	return bus.Errorf(bus.CodeConflict, "mycod runs already with the data in %s, as process %d", dir, info.PID).
		WithHint("stop it, with Ctrl-C where it runs or kill %d, and install the service then", info.PID)
}

// serviceUninstallCmd stops and removes the service.
type serviceUninstallCmd struct{ serviceScope }

// Run implements the command.
func (c *serviceUninstallCmd) Run(ctx context.Context, a *app) error {
	s, err := installed(c.serviceScope)
	if err != nil {
		return err
	}
	if err := s.mayWrite(); err != nil {
		return err
	}
	v := s.view(ctx, "")
	if err := s.manage(ctx, "disable", "--now", service.Name); err != nil {
		return err
	}
	if err := os.Remove(s.unit); err != nil {
		return fmt.Errorf("remove the unit: %w", err)
	}
	if err := s.manage(ctx, "daemon-reload"); err != nil {
		return err
	}
	_, _ = s.ask(ctx, "reset-failed", service.Name) // what had failed is not there any more
	v.State, v.Sub, v.Enabled, v.PID, v.Status = "removed", "", "", "", ""
	if a.json {
		a.object(v)
		return nil
	}
	a.text("stopped, and removed " + s.unit + "\n")
	a.hint("This node's keys, roster and tasks stay in %s. To take it out of its swarm for good, run `myco revoke` for it on another node; then delete that folder.", v.DataDir)
	return nil
}

// serviceStatusCmd shows the service.
type serviceStatusCmd struct{ serviceScope }

// Run implements the command. A service that does not run is exit code 4, one that is not installed 3.
func (c *serviceStatusCmd) Run(ctx context.Context, a *app) error {
	s, err := installed(c.serviceScope)
	if err != nil {
		return err
	}
	v := s.view(ctx, "")
	if a.json {
		a.object(v)
	} else {
		a.fields(v.rows())
	}
	if v.State != "active" {
		a.code = bus.CodeUnavailable.ExitCode()
		a.hint("It does not run: %s", s.why(ctx))
		a.hint("  try: %s", s.command("start", service.Name))
	}
	return nil
}

// rows shows the service to people.
func (v serviceView) rows() [][2]string {
	state := v.State
	if v.Sub != "" && v.Sub != v.State {
		state += ", " + v.Sub
	}
	if v.PID != "" && v.PID != "0" {
		state += ", process " + v.PID
	}
	switch v.Restarts {
	case "", "0":
	case "1":
		state += ", restarted once"
	default:
		state += ", restarted " + v.Restarts + " times"
	}
	if v.Result != "" && v.Result != "success" {
		state += " (" + v.Result + ")"
	}
	boot := v.Enabled
	switch {
	case v.Enabled != "enabled":
	case v.Scope == "system":
		boot = "started at boot"
	case v.Linger != nil && !*v.Linger:
		boot = "started when its user logs in, and stopped when the user logs out"
	default:
		boot = "started at boot"
	}
	config := v.Config
	if !exists(config) {
		config += " (not there)"
	}
	swarm, _ := strings.CutPrefix(v.Status, "swarm ")
	if v.State != "active" {
		swarm = "" // it is of the past
	}
	return [][2]string{
		{"state", state},
		{"swarm", swarm},
		{"boot", boot},
		{"data", v.DataDir},
		{"settings", config},
		{"log", v.Log},
	}
}
