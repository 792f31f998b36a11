//go:build unix

package main

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// A whole daemon tells a real socket that it is ready, where it is, and that it stops; and why, where it
// does not start.
func TestDaemonTellsItsManager(t *testing.T) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "notify")
	ln, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := ln.Close(); err != nil {
			t.Error(err)
		}
	}()
	next := func() string {
		b := make([]byte, 4096)
		if err := ln.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		n, err := ln.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
	t.Setenv("NOTIFY_SOCKET", socket)
	t.Setenv(envNoContext, "1")
	state := filepath.Join(dir, "state")
	t.Setenv("MYCO_DATA_DIR", "")
	t.Setenv("STATE_DIRECTORY", state+":"+filepath.Join(dir, "other"))
	args := []string{
		"--bus-listen", "127.0.0.1:0", "--fabric-listen", "127.0.0.1:0", "--join-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--no-mdns",
	}
	ctx, stop := context.WithCancel(t.Context())
	var out, errs strings.Builder
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, args, streams{strings.NewReader(""), &out, &errs}) }()
	for !strings.HasPrefix(next(), "READY=1\n") {
	}
	// Whoever hears that can use it.
	conn, err := bus.Dial(t.Context(), bus.WithDataDir(state))
	if err != nil {
		t.Errorf("it is ready, and does not answer in the directory that the manager made: %v", err)
	} else {
		conn.Close()
	}
	stop()
	if got := next(); !strings.HasPrefix(got, "STOPPING=1\n") {
		t.Errorf("it says %q, want that it stops", got)
	}
	if code := <-ended; code != 0 {
		t.Errorf("exit code %d, %s", code, &errs)
	}
	myco := "myco --data-dir " + bus.ShellWord(state)
	if strings.Contains(out.String(), "Write down its recovery phrase") || !strings.Contains(out.String(), myco+" rotate --swarm") {
		t.Errorf("what a journal would keep has the phrase, or does not tell how to get one:\n%s", &out)
	}
	if !strings.Contains(out.String(), "here: "+myco+" join TOKEN\n") {
		t.Errorf("it does not tell how this node joins another swarm:\n%s", &out)
	}
	if code, _, _ := mycod(t, "--slots", "99999"); code != 2 {
		t.Errorf("exit code %d", code)
	}
	if got := next(); !strings.HasPrefix(got, "STATUS=failed: --slots 99999: want 1 to 1024") {
		t.Errorf("it says %q, want why it ends", got)
	}
}
