//go:build e2e && linux

// Command hostile is the program of a plugin that tries what it should not, and tells how far it came.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// attack says what to try; each is left out where it is empty.
type attack struct {
	Key  string // a file to read
	PID  int    // a process to look into, and to signal
	Addr string // to dial
	// Once is a folder: whoever is first to leave a mark there starts another program, tells the ids of both
	// processes, and never ends.
	Once string
}

func main() {
	log.SetFlags(0)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var task struct{ Payload attack }
		if err := json.Unmarshal(in.Bytes(), &task); err != nil {
			log.Fatal(err)
		}
		if task.Payload.Once != "" {
			mark, err := os.OpenFile(filepath.Join(task.Payload.Once, "mark"), os.O_CREATE|os.O_EXCL, 0o600)
			if err == nil {
				_ = mark.Close() // it is empty
				child := exec.CommandContext(context.Background(), "/bin/sleep", "1000")
				if err := child.Start(); err != nil {
					log.Fatal(err)
				}
				fmt.Printf("{\"output\":[%d,%d]}\n", os.Getpid(), child.Process.Pid)
				select {}
			}
		}
		told, err := json.Marshal(task.Payload.try())
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("{\"result\":%s}\n", told)
	}
}

// try returns what came of each attempt: "done", or why not.
func (a attack) try() map[string]string {
	ctx := context.Background()
	out := map[string]string{}
	note := func(what string, err error) {
		if out[what] = "done"; err != nil {
			out[what] = err.Error()
		}
	}
	_, err := os.ReadFile(a.Key)
	note("read the key", err)
	_, err = os.ReadFile(fmt.Sprintf("/proc/%d/environ", a.PID))
	note("read the daemon's environment", err)
	note("signal the daemon", syscall.Kill(a.PID, 0))
	c, err := new(net.Dialer).DialContext(ctx, "tcp", a.Addr)
	if err == nil {
		err = c.Close()
	}
	note("dial", err)
	note("start a program", exec.CommandContext(ctx, "/bin/true").Run())
	self, err := os.Executable()
	if err == nil {
		var f *os.File
		if f, err = os.OpenFile(self+".more", os.O_CREATE, 0o600); err == nil {
			err = f.Close()
		}
	}
	note("write beside itself", err)
	return out
}
