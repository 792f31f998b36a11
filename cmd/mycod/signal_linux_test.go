package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// node starts a daemon as a process of its own, in a shell that runs before first, and returns it once it greets.
func node(t *testing.T, before string) (p *exec.Cmd, log *bytes.Buffer) {
	t.Helper()
	p = exec.CommandContext(t.Context(), "/bin/sh", "-c", before+` exec "$0" "$@"`, os.Args[0], "--data-dir", filepath.Join(t.TempDir(), "data"), "--no-mdns",
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
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("it does not greet: %v", err)
	}
	return p, log
}

// A terminal that closes ends its daemon in good order, but one that was started to outlive it.
func TestTerminalCloses(t *testing.T) {
	t.Parallel()
	p, log := node(t, "")
	for range 2 { // from the system and the shell
		if err := p.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Wait(); err != nil || !strings.Contains(log.String(), "msg=stopping") {
		t.Errorf("closed: %v, log %s", err, log)
	}

	p, log = node(t, `trap "" HUP;`) // by nohup
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
