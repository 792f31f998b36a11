package service_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/service"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestUnit(t *testing.T) {
	t.Parallel()
	flags := []string{"--slots", "4", "--closed", `mon-fri 09:00-17:00`, `--name=a%b$c"d\e`, ""}
	for _, system := range []bool{true, false} {
		unit, err := service.Unit(system, "/opt/my $bin/mycod", flags)
		if err != nil {
			t.Fatal(err)
		}
		own := ""
		if system {
			own = " --group-access"
		}
		want := "\n" + `ExecStart="/opt/my $bin/mycod"` + own + ` --slots 4 --closed "mon-fri 09:00-17:00" "--name=a%%b$$c\"d\\e" ""` + "\n"
		if !strings.Contains(unit, want) || strings.Count(unit, "ExecStart=") != 1 {
			t.Errorf("system %v: it does not have %s\n%s", system, want, unit)
		}
		if !service.Ours(unit) || service.Ours(service.System) {
			t.Error("what was written here is not told from what was not")
		}
		words := append([]string{"/opt/my $bin/mycod", "--group-access"}[:map[bool]int{true: 2, false: 1}[system]:2], flags...)
		if got := service.Command(unit); !slices.Equal(got, words) {
			t.Errorf("system %v: it reads %q, want %q", system, got, words)
		}
		if system != strings.Contains(unit, "User=mycoswarm") {
			t.Errorf("system %v: the wrong unit", system)
		}
	}
}

func TestUnitRefuses(t *testing.T) {
	t.Parallel()
	for says, c := range map[string]struct {
		system bool
		path   string
		flags  []string
	}{
		"mycod is not an absolute path": {path: "mycod"},
		"cannot have --join":            {path: "/mycod", flags: []string{"--slots", "1", "--join=TOKEN"}},
		"keeps its data in":             {path: "/mycod", system: true, flags: []string{"--data-dir", "/data"}},
		"demo is nothing for a service": {path: "/mycod", flags: []string{"demo"}},
		"--config my.toml: systemd":     {path: "/mycod", flags: []string{"--config=my.toml"}},
		"--data-dir data: systemd":      {path: "/mycod", flags: []string{"--data-dir", "data"}},
		"--tls-cert box.crt: systemd":   {path: "/mycod", flags: []string{"--tls-cert=box.crt"}},
		"--tls-key /home/a/box.key: a":  {path: "/mycod", system: true, flags: []string{"--tls-key", "/home/a/box.key"}},
		"--engine-keys keys: systemd":   {path: "/mycod", flags: []string{"--engine-keys", "keys"}},
		"--engine-keys /home/a/keys: a": {path: "/mycod", system: true, flags: []string{"--engine-keys=/home/a/keys"}},
		"--plugins /run/user/p: a":      {path: "/mycod", system: true, flags: []string{"--plugins", "/run/user/p"}},
		"control character":             {path: "/mycod", flags: []string{"--name", "a\nExecStartPre=/bin/false"}},
	} {
		_, err := service.Unit(c.system, c.path, c.flags)
		if !errors.Is(err, &bus.Error{Code: bus.CodeInvalid}) || !strings.Contains(err.Error(), says) {
			t.Errorf("%+v: error %v, want %s", c, err, says)
		}
	}
	for _, f := range []string{"--data-dir=/data", "--engine-keys=/home/a/keys"} {
		if _, err := service.Unit(false, "/mycod", []string{f}); err != nil {
			t.Error(err)
		}
	}
	if _, err := service.Unit(true, "/mycod", []string{"--engine-keys=/homely/keys"}); err != nil {
		t.Error(err)
	}
}
