package plugin_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/mycoswarm/mycoswarm/handlers/confine"
)

func init() {
	if len(os.Args) > 1 && os.Args[1] == "plugin" {
		runtime.LockOSThread() // work is in the first thread
	}
}

// TestMain is two other programs as well: the one that confines, and a plugin's.
func TestMain(m *testing.M) {
	switch {
	case len(os.Args) > 2 && os.Args[1] == "confine":
		fmt.Fprintln(os.Stderr, confine.Main(os.Args[2], os.Args[3:]))
		os.Exit(confine.ExitCode)
	case len(os.Args) > 1 && os.Args[1] == "plugin":
		os.Exit(work())
	}
	goleak.VerifyTestMain(m)
}

// order is the payload of a task for the plugin of these tests.
type order struct {
	Do string `json:"do"`
	// Say is what it says, before it does anything.
	Say []string `json:"say,omitempty"`
	// Size is how long a result is, in bytes.
	Size int `json:"size,omitempty"`
}

// work is the plugin: it says what it is told to, and then does it.
func work() int {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 64<<20)
	for in.Scan() {
		var task struct {
			ID, Type, Cancel string
			Payload          order
		}
		if err := json.Unmarshal(in.Bytes(), &task); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		if task.Cancel != "" {
			fmt.Printf("{\"error\":\"%s is left\"}\n", task.Cancel)
			continue
		}
		for _, s := range task.Payload.Say {
			fmt.Println(s)
		}
		switch task.Payload.Do {
		case "":
		case "tell":
			told, err := json.Marshal(map[string]any{"pid": os.Getpid(), "task": task.ID, "type": task.Type, "env": os.Environ(), "temp": os.TempDir()})
			if err != nil {
				return 1
			}
			fmt.Printf("{\"result\":%s}\n", told)
		case "keep": // a file, as long as this process is there
			if err := os.WriteFile(os.TempDir()+"/kept", nil, 0o600); err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
			fmt.Printf("{\"result\":%q}\n", os.TempDir())
		case "die":
			fmt.Fprintln(os.Stderr, "last words")
			return 7
		case "hang":
			stop, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
			defer cancel()
			<-stop.Done()
		case "eat":
			eat()
		case "headless": // it eats in another thread, and its first has ended
			go eat()
			endThread()
		case "threads":
			for range 1200 {
				go func() {
					runtime.LockOSThread()
					select {}
				}()
			}
			select {}
		case "big":
			fmt.Printf("{\"result\":\"%s\"}\n", strings.Repeat("x", task.Payload.Size))
		case "long":
			fmt.Println(strings.Repeat("x", 65<<20))
		case "child": // that outlives it
			cmd := exec.CommandContext(context.Background(), "/bin/sleep", "1000")
			if err := cmd.Start(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
			fmt.Printf("{\"output\":%d}\n", cmd.Process.Pid)
			return 7
		}
	}
	return 0
}

func eat() {
	debug.SetGCPercent(-1) // which would wait for a thread that has ended
	for {
		b := make([]byte, 4<<20)
		for i := range b {
			b[i] = 1
		}
		eaten = append(eaten, b)
	}
}

var eaten [][]byte
