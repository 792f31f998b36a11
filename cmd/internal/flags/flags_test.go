package flags_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"go.uber.org/goleak"

	"github.com/mycoswarm/mycoswarm/cmd/internal/flags"
)

type line struct {
	Hold  time.Duration
	Slots int
	Seed  *int64
	Heat  *float64
	Name  string
	Dir   string   `type:"path"`
	File  []string `sep:"none"`
	Quiet bool     `short:"q"`
}

func parse(t *testing.T, args string) (line, error) {
	t.Helper()
	var l line
	k, err := kong.New(&l, flags.Values())
	if err != nil {
		t.Fatal(err)
	}
	_, err = k.Parse(strings.Fields(args))
	return l, err
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestValues(t *testing.T) {
	t.Parallel()
	for _, args := range []string{"--hold 90s --slots 3 --seed 7 -q", "--hold=90s --slots=3 --seed=7 --quiet"} {
		l, err := parse(t, args)
		if err != nil || l.Hold != 90*time.Second || l.Slots != 3 || l.Seed == nil || *l.Seed != 7 || !l.Quiet {
			t.Errorf("%s: %+v, error %v", args, l, err)
		}
	}
	if l, err := parse(t, "--name - --dir x"); err != nil || l.Name != "-" || !filepath.IsAbs(l.Dir) {
		t.Errorf("%+v, error %v, want a name and a path", l, err)
	}
	if l, err := parse(t, "--file a,b --file=M\xfcller"); err != nil || !slices.Equal(l.File, []string{"a,b", "M\xfcller"}) {
		t.Errorf("%+q, error %v, want two names", l.File, err)
	}
	if l, err := parse(t, "--name=M\xfcller.pdf"); err != nil || l.Name != "M\xfcller.pdf" {
		t.Errorf("%+q, error %v, want each byte of the name", l.Name, err)
	}
	if l, err := parse(t, "--heat -0.5"); err != nil || l.Heat == nil || *l.Heat != -0.5 {
		t.Errorf("%+v, error %v, want a heat of -0.5", l, err)
	}
	for _, args := range []string{"--hold -1s --slots -1 --seed -7", "--hold=-1s --slots=-1 --seed=-7"} {
		l, err := parse(t, args)
		if err != nil || l.Hold != -time.Second || l.Slots != -1 || l.Seed == nil || *l.Seed != -7 {
			t.Errorf("%s: %+v, error %v", args, l, err)
		}
	}
}

func TestWhatIsWanted(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"--hold 5":         `--hold: "5" is no time: want one such as 500ms, 90s or 168h`,
		"--hold=":          `--hold: "" is no time: want one such as 500ms, 90s or 168h`,
		"--hold":           "--hold: the time is missing: want one such as 500ms, 90s or 168h",
		"--hold --quiet":   "--hold: the time is missing: want one such as 500ms, 90s or 168h",
		"--slots many":     `--slots: "many" is no whole number: want one such as 1 or 20`,
		"--slots 1.5":      `--slots: "1.5" is no whole number: want one such as 1 or 20`,
		"--seed -q":        `--seed: "-q" is no whole number: want one such as 1 or 20`,
		"--heat warm":      `--heat: "warm" is no number: want one such as 0 or 0.7`,
		"--heat":           "--heat: the number is missing: want one such as 0 or 0.7",
		"--name":           "--name: its value is missing",
		"--dir":            "--dir: its value is missing",
		"--file":           "--file: its value is missing",
		"--file a --file":  "--file: its value is missing",
		"--name --quiet":   `--name: expected string value but got "--quiet" (long flag); perhaps try --name="--quiet"?`,
		"--slots 1 --seed": "--seed: the whole number is missing: want one such as 1 or 20",
	} {
		if _, err := parse(t, args); err == nil || err.Error() != want {
			t.Errorf("%s: error %v, want %s", args, err, want)
		}
	}
}
