package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func settingsFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// What is wrong in a file is told by its name, the place and what is wanted there.
func TestSettingsRefused(t *testing.T) {
	t.Parallel()
	for text, says := range map[string]string{
		"slot = 4":               `:1:1: there is no setting "slot"`,
		"name = \"a\"\n[slots]":  ": slots: want a whole number",
		"[a]\nb = 1":             `there is no setting "a"`,
		"name = \"a\"\nslots = ": ":2:",
		`slots = "many"`:         `: slots: "many" is no whole number: want one such as 1 or 20`,
		"slots = 1.5":            ": slots: want a whole number",
		"hold = 5":               `: hold: want a time in quotes, such as "90s"`,
		`hold = "5"`:             `: hold: "5" is no time: want one such as 500ms, 90s or 168h`,
		`no-mdns = "yes"`:        ": no-mdns: want true or false",
		"name = 5":               `: name: want a text in quotes, such as "NAME"`,
		"engine = [5]":           `: engine: want a list of texts, such as ["URL"]`,
		`join = "TOKEN"`:         ": join cannot be set here: a token is good for one machine, once",
		`data-dir = "/tmp"`:      ": data-dir cannot be set here: myco would look elsewhere",
		"slots = 99999":          "--slots 99999: want 1 to 1024 (there are settings in ",
		"slots = 0":              "--slots 0: want 1 to 1024",
		"\ufeffslots = 99998":    "--slots 99998: want 1 to 1024",
	} {
		file := settingsFile(t, text)
		code, out, errs := mycod(t, "--config", file, "--data-dir", t.TempDir())
		if code != 2 || out != "" || !strings.Contains(errs, says) || !strings.Contains(errs, file) {
			t.Errorf("%s: exit code %d, stdout %q, stderr %q; want 2, and %q of %s", text, code, out, errs, says, file)
		}
	}
	whole, err := filepath.Abs("none.toml")
	if err != nil {
		t.Fatal(err)
	}
	code, _, errs := mycod(t, "--config", "none.toml")
	if code != 2 || !strings.Contains(errs, "read the settings: open "+whole+": ") || !strings.Contains(errs, "try: make that file, or leave --config") {
		t.Errorf("a file that is not there: exit code %d, %s", code, errs)
	}
}

// A file of settings has no shell to read ~ as the home, and people write it as on a command line.
func TestSettingsInTheHome(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("USERPROFILE", home) // on Windows
	t.Chdir(t.TempDir())
	file := settingsFile(t, "log-file = \"~/logs\"")
	if err := os.Mkdir(filepath.Join(home, "logs"), 0o700); err != nil {
		t.Fatal(err)
	}
	code, _, errs := mycod(t, "--config", file, "--data-dir", t.TempDir())
	if want := "log to " + filepath.Join(home, "logs") + ": it is no file"; code != 2 || !strings.Contains(errs, want) {
		t.Errorf("exit code %d, %s; want 2, and %s", code, errs, want)
	}
}

// The command line comes before the file, and a list there replaces the file's; what is not for a node reads none.
func TestSettingsBehindFlags(t *testing.T) {
	t.Parallel()
	file := settingsFile(t, "slots = 99999\nclosed = [\"nonsense\"]\n")
	code, _, errs := mycod(t, "--config="+file, "--data-dir", t.TempDir(), "--slots", "2", "--closed", "22-7")
	if code != 2 || !strings.Contains(errs, `--closed "22-7"`) || strings.Contains(errs, "nonsense") || strings.Contains(errs, "99999") {
		t.Errorf("exit code %d, %s; want the flags judged, not the file", code, errs)
	}
	if code, _, errs = mycod(t, "--config="+file, "--slots", "many"); !strings.HasPrefix(errs, "mycod: --slots") {
		t.Errorf("exit code %d, %s; want the flag blamed, not the file", code, errs)
	}
	if code, _, errs = mycod(t, "--config="+settingsFile(t, "nonsense"), "version"); code != 0 {
		t.Errorf("version: exit code %d, %s", code, errs)
	}
}

func TestSettingsByDefault(t *testing.T) {
	home := t.TempDir()
	file := filepath.Join(home, "mycoswarm", "config.toml")
	t.Setenv("XDG_CONFIG_HOME", home)
	t.Setenv(envConfig, "")
	refused := func(says string) {
		t.Helper()
		if code, _, errs := mycod(t, "--data-dir", t.TempDir(), "--closed", "22-7"); code != 2 || !strings.Contains(errs, says) {
			t.Errorf("exit code %d, %s; want 2, and %q", code, errs, says)
		}
	}
	refused(`--closed "22-7"`) // there is none
	if err := os.Mkdir(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("frobnicate = 1"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(file + `:1:1: there is no setting "frobnicate"`)
	t.Setenv(envConfig, settingsFile(t, "another = 1"))
	refused(`there is no setting "another"`)
}

// Of a file that mycod may not read the help of flags tells nothing.
func TestSettingsOfAnother(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]string{
		&fs.PathError{Op: "open", Path: "config.toml", Err: fs.ErrPermission}: "chmod a+r",
		&fs.PathError{Op: "open", Path: "config.toml", Err: fs.ErrNotExist}:   "make that file, or leave --config",
		errors.New("slots: want a whole number"):                              "mycod --help",
	} {
		if hint := unparsed(fmt.Errorf("read the settings: %w", err)); !strings.Contains(hint, want) {
			t.Errorf("%v: %q, want %q", err, hint, want)
		}
	}
}
