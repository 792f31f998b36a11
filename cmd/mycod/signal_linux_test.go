package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// node starts a daemon as a process of its own, in a shell that runs before first, and returns it once it greets; out is
// its standard output.
func node(t *testing.T, before string) (p *exec.Cmd, out io.ReadCloser, log *bytes.Buffer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	p = exec.CommandContext(ctx, "/bin/sh", "-c", before+` exec "$0" "$@"`, os.Args[0], "--data-dir", filepath.Join(t.TempDir(), "data"), "--no-mdns",
		"--bus-listen", "127.0.0.1:0", "--fabric-listen", "127.0.0.1:0", "--join-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0")
	p.Env = append(os.Environ(), envProgram+"=1", envNoContext+"=1")
	log = &bytes.Buffer{}
	p.Stderr = log
	out, err := p.StdoutPipe()
	if err == nil {
		err = p.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	for r, line := bufio.NewReader(out), ""; !strings.HasPrefix(line, "mycod "); {
		if line, err = r.ReadString('\n'); err != nil {
			t.Fatalf("it does not greet: %v, log %s", err, log)
		}
	}
	return p, out, log
}

// patience is how long a daemon may take to start and to stop.
const patience = 2 * time.Minute

// A terminal that closes ends its daemon in good order, but one that was started to outlive it.
func TestTerminalCloses(t *testing.T) {
	t.Parallel()
	// These tests may have been started to outlive their terminal, and what is ignored here is ignored by whoever is started.
	heard := make(chan os.Signal, 1)
	signal.Notify(heard, syscall.SIGHUP)
	defer signal.Stop(heard)
	p, _, log := node(t, "")
	for range 2 { // from the system and the shell
		if err := p.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Wait(); err != nil || !strings.Contains(log.String(), "msg=stopping") {
		t.Errorf("closed: %v, log %s", err, log)
	}

	p, _, log = node(t, `trap "" HUP;`) // by nohup
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Process.Pid))
	if err != nil {
		t.Error(err)
	}
	_, ignored, _ := strings.Cut(string(b), "SigIgn:\t")
	ignored, _, _ = strings.Cut(ignored, "\n")
	if !strings.HasSuffix(ignored, "1") { // bit 0 is SIGHUP, the first signal
		t.Errorf("with nohup it ignores %q, and not SIGHUP", ignored)
	}
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(); err != nil {
		t.Errorf("stopped: %v, log %s", err, log)
	}
}

// A daemon outlives who reads its log, such as tee, which Ctrl-C ends too.
func TestReaderOfTheLogGoes(t *testing.T) {
	t.Parallel()
	p, out, _ := node(t, "exec 2>&1;")
	if err := errors.Join(out.Close(), p.Process.Signal(syscall.SIGTERM)); err != nil { // it logs that it stops
		t.Fatal(err)
	}
	if err := p.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
}
