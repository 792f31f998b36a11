package confine_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/handlers/confine"
)

// daemonInShort starts a guard, and a program that starts another, tells both of them, and waits
// for its standard input to end. Then it closes the guard.
func daemonInShort() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	g, err := confine.NewGuard([]string{self, "confine"})
	if err != nil {
		return err
	}
	cmd := confine.Plain(context.Background(), "/", nil, []string{"/bin/sh", "-c", "/bin/sleep 1000 & echo $!; wait"})
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	if err := g.Watch(cmd.Process.Pid); err != nil {
		return err
	}
	child, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return err
	}
	fmt.Print(child)
	_, _ = fmt.Scanln() // until it ends
	g.Close()
	fmt.Println("closed")
	_, _ = fmt.Scanln()
	return nil
}

// What a program has started ends with whoever started the program, though that is killed; and not because the guard
// is closed.
func TestGuard(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, closed := range []bool{false, true} {
		cmd := exec.CommandContext(t.Context(), self, "started")
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(out)
		line, _ := lines.ReadString('\n')
		child, err := strconv.Atoi(strings.TrimSpace(line))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = syscall.Kill(child, syscall.SIGKILL) }) // it has ended, where all is well
		if closed {
			fmt.Fprintln(in)
			if _, err := lines.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
			if ended(child) {
				t.Error("a guard that is closed has ended what it guarded")
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // it was killed
		if closed {
			continue // the child may live on
		}
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		limit := time.After(time.Minute)
		for !ended(child) {
			select {
			case <-tick.C:
			case <-limit:
				t.Fatal("the child lives on")
			}
		}
	}
}

// ended reports whether a process is gone, or waits for being collected.
func ended(pid int) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(status), ") Z ")
}
