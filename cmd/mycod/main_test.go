package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// envProgram makes a copy of the test program act as mycod: the demo starts copies of itself.
const envProgram = "MYCOD_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(envProgram) != "" {
		os.Exit(program())
	}
	if err := os.Setenv(envConfig, os.DevNull); err != nil { // whatever this user has set
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// mycod runs the program and returns its exit code and what it printed.
func mycod(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var stdout, stderr bytes.Buffer
	code = run(ctx, args, streams{strings.NewReader(""), &stdout, &stderr})
	return code, stdout.String(), stderr.String()
}

func TestDemo(t *testing.T) {
	t.Setenv(envProgram, "1")
	t.Setenv("TMPDIR", t.TempDir())
	t.Setenv(envConfig, settingsFile(t, "slots = 99999")) // is not for its nodes
	code, out, errs := mycod(t, "demo")
	t.Log(out)
	if code != 0 || errs != "" {
		t.Fatalf("exit code %d, stderr %s", code, errs)
	}
	for _, want := range []string{
		"one swarm of three; alder holds the queue", "The capital of France is Paris.", "answered by birch",
		"kill -9 alder", "holds the queue now", "100 of 100 questions are answered: 0 lost", " 0 wrong", "cleaned up", "For real: mycod",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the demo does not say %q", want)
		}
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("the demo left %v, error %v", left, err)
	}
}

// Ctrl-C in the middle of the demo is said once, and nothing is left.
func TestDemoInterrupted(t *testing.T) {
	t.Setenv(envProgram, "1")
	t.Setenv("TMPDIR", t.TempDir())
	ctx, interrupt := context.WithTimeout(t.Context(), 2*time.Minute)
	defer interrupt()
	out := &until{said: "handing over", then: interrupt}
	var errs bytes.Buffer
	code := run(ctx, []string{"demo"}, streams{strings.NewReader(""), out, &errs})
	if code != 130 || errs.String() != "mycod: interrupted\n" {
		t.Errorf("exit code %d, stderr %s", code, errs.String())
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("the demo left %v, error %v", left, err)
	}
}

// until calls then with the line that holds said.
type until struct {
	said string
	then func()
}

func (u *until) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte(u.said)) {
		u.then()
	}
	return len(b), nil
}

// Ctrl-C ends a daemon that waits for its token, and nothing was begun.
func TestInterruptedBeforeItsToken(t *testing.T) {
	t.Parallel()
	in, open := io.Pipe()
	defer func() { _ = open.Close() }() // it has no error
	ctx, interrupt := context.WithCancel(t.Context())
	dir := filepath.Join(t.TempDir(), "data")
	var out, errs bytes.Buffer
	waiting := make(chan struct{})
	go func() {
		<-waiting
		interrupt()
	}()
	code := run(ctx, []string{"--data-dir", dir, "--join", "-"}, streams{told{in, waiting}, &out, &errs})
	if _, err := os.Stat(dir); code != 130 || out.Len() > 0 || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("exit code %d, %s%s, its data directory: %v", code, out.String(), errs.String(), err)
	}
}

// told is an input that tells of its first read.
type told struct {
	io.Reader
	waiting chan struct{}
}

func (r told) Read(p []byte) (int, error) {
	close(r.waiting)
	return r.Reader.Read(p)
}

func TestUsage(t *testing.T) {
	t.Parallel()
	code, out, _ := mycod(t, "--help")
	for _, flag := range []string{
		"--data-dir", "--name", "--bus-listen", "--fabric-listen", "--join-listen", "--http-listen", "--peer", "--no-mdns",
		"--join", "--engine", "--engine-keys", "--no-demo-engine", "--default-model", "--slots", "--closed", "--on-battery", "--yield-gpu", "--no-web", "--web-allow", "--web-port", "--search", "--first-token-limit", "--token-limit", "--reattach-grace", "--https-listen", "--tls-cert", "--tls-key", "--group-access", "--log-level", "--log-file", "--log-size", "--log-keep", "--log-age", "--config", "demo", "version",
	} {
		if !strings.Contains(out, flag) {
			t.Errorf("--help does not name %s", flag)
		}
	}
	if code != 0 {
		t.Errorf("--help: exit code %d", code)
	}
	for other, command := range map[string][]string{"help": {"--help"}, "help demo": {"demo", "--help"}} { // as myco has it
		_, want, _ := mycod(t, command...)
		if code, out, _ := mycod(t, strings.Fields(other)...); code != 0 || out != want {
			t.Errorf("mycod %s: exit code %d, %q, want what mycod %v says", other, code, out, command)
		}
	}
	if code, out, _ := mycod(t, "demo", "--help"); code != 0 || !strings.Contains(out, "--keep") || strings.Contains(out, "--slots") || strings.Contains(out, "--data-dir") {
		t.Errorf("demo --help: exit code %d, want its own flags and none of a node:\n%s", code, out)
	}
	for _, args := range [][]string{{"version"}, {"--version"}} {
		if code, out, _ := mycod(t, args...); code != 0 || !strings.HasPrefix(out, "mycod ") {
			t.Errorf("%v: exit code %d, %q", args, code, out)
		}
	}
}

// full is a disk without room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }

var errFull = errors.New("no space left on device")

// What cannot be written is a failure, and no mistake in the command line.
func TestFullDiskIsAFailure(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"version"}, {"--version"}, {"--help"}, {"demo", "--help"}} {
		var errs bytes.Buffer
		code := run(t.Context(), args, streams{strings.NewReader(""), full{}, &errs})
		if code != 1 || !strings.Contains(errs.String(), errFull.Error()) || strings.Contains(errs.String(), "try") {
			t.Errorf("%v: exit code %d, %q, want 1 and why", args, code, errs.String())
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"no such flag":      {[]string{"--frobnicate"}, 2, "mycod --help"},
		"no such command":   {[]string{"frobnicate"}, 2, "mycod --help"},
		"slots":             {[]string{"--data-dir", dir, "--slots", "many"}, 2, `--slots: "many" is no whole number: want one such as 1 or 20`},
		"negative slots":    {[]string{"--data-dir", dir, "--slots", "-1"}, 2, "--slots -1: want 1 to 1024"},
		"no slots":          {[]string{"--data-dir", dir, "--slots", "0"}, 2, "--slots 0: want 1 to 1024\ntry: mycod --slots 2; one that takes no tasks"},
		"negative reserved": {[]string{"--data-dir", dir, "--reserved", "-1", "--slots", "-1"}, 2, "--reserved -1: want 0 or more\ntry: mycod --reserved 1; for none: mycod --reserved 0"},
		"negative hold":     {[]string{"--data-dir", dir, "--hold", "-1s", "--slots", "-1"}, 2, "--hold -1s: want 0s to 2s\ntry: mycod --hold 500ms; for none: mycod --hold 0s"},
		"no token limit":    {[]string{"--data-dir", dir, "--token-limit", "0s"}, 2, "--token-limit 0s: want more than 0"},
		"no grace":          {[]string{"--data-dir", dir, "--reattach-grace", "0s"}, 2, "--reattach-grace 0s: want more than 0"},
		"more than one":     {[]string{"--data-dir", dir, "--reattach-grace", "0s", "--token-limit", "0s", "--first-token-limit", "0s"}, 2, "--first-token-limit 0s: want more than 0"},
		"keep no log":       {[]string{"--data-dir", dir, "--log-keep", "0"}, 2, "--log-keep 0: want 1 to 1000"},
		"hold":              {[]string{"--data-dir", dir, "--hold", "5"}, 2, `--hold: "5" is no time: want one such as 500ms, 90s or 168h`},
		"no time":           {[]string{"--data-dir", dir, "--hold"}, 2, "--hold: the time is missing: want one such as 500ms, 90s or 168h"},
		"a flag, no number": {[]string{"--data-dir", dir, "--slots", "--no-mdns"}, 2, "--slots: the whole number is missing"},
		"no network":        {[]string{"--data-dir", dir, "--web-allow", "nas.local"}, 2, `--web-allow "nas.local": want an address or a network`},
		"no port":           {[]string{"--data-dir", dir, "--web-port", "http"}, 2, `--web-port "http": want a port`},
		"no search engine":  {[]string{"--data-dir", dir, "--search", "192.168.1.5:8080"}, 2, "--search is not the address of a search engine: want http:// or https:// and a host\ntry: mycod --search http://192.168.1.5:8080"},
		"no page":           {[]string{"read", "page"}, 1, "read what to do"},
		"listen":            {[]string{"--data-dir", dir, "--bus-listen", "nonsense"}, 2, "--bus-listen"},
		"log level":         {[]string{"--data-dir", dir, "--log-level", "loud"}, 2, `--log-level "loud": want debug, info, warn or error`},
		"log size":          {[]string{"--data-dir", dir, "--log-size", "-1"}, 2, "--log-size -1: want 1 to 1024"},
		"log in a file":     {[]string{"--data-dir", dir, "--log-file", filepath.Join(file, "log")}, 1, "mycod --log-file FILE"},
		"a file of plugins": {[]string{"--data-dir", dir, "--plugins", file}, 2, "it is no folder\ntry: mycod --plugins DIR"},
		"no plugins":        {[]string{"--data-dir", dir, "--plugins", file + ".none", "--slots", "-1"}, 2, "the folder of plugins is not there"}, // a warning
		"demo with slots":   {[]string{"demo", "--slots", "2"}, 2, "does not take --slots"},
		"no file of keys":   {[]string{"--data-dir", dir, "--engine-keys", file + ".none", "--slots", "-1"}, 2, "the file of engines' keys is not there"}, // a warning
		"no token file":     {[]string{"--data-dir", dir, "--join", "@" + file + ".none"}, 1, file + ".none"},
		"empty token":       {[]string{"--data-dir", dir, "--join", "-"}, 1, "myco invite"},
		"a file for a data": {[]string{"--data-dir", file}, 1, "--data-dir DIR"},
	} {
		code, out, errs := mycod(t, c.args...)
		if code != c.code || !strings.Contains(errs, c.says) || out != "" {
			t.Errorf("%s: exit code %d, stdout %q, stderr %q; want %d, and %q", what, code, out, errs, c.code, c.says)
		}
	}
}

// A zero of --hold or --reserved is none, and what is not given the default.
func TestNoneIsNotTheDefault(t *testing.T) {
	t.Parallel()
	if n, left, some := orNone(new(0)), orNone[int](nil), orNone(new(3)); n >= 0 || left != 0 || some != 3 {
		t.Errorf("none is %d, the default %d, three %d", n, left, some)
	}
}
