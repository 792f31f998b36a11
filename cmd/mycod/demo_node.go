package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/identity"
)

// demoPoll is the pause between two looks at what gives no signal.
const demoPoll = 10 * time.Millisecond

// demoNode is one process of the demo.
type demoNode struct {
	name string
	dir  string
	id   bus.NodeID

	cmd    *exec.Cmd
	exited chan struct{} // closed once the process has ended
	conn   *bus.Conn
}

// newDemoNode makes a node's key in a new folder; no process runs yet.
func newDemoNode(root, name string) (*demoNode, error) {
	dir := filepath.Join(root, name)
	id, err := identity.Open(dir, identity.Options{Name: name, SwarmName: "demo"})
	if err != nil {
		return nil, fmt.Errorf("make the key of %s: %w", name, err)
	}
	return &demoNode{name: name, dir: dir, id: id.NodeID()}, nil
}

// start runs a copy of this program as the node's daemon.
func (n *demoNode) start(flags ...string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	log, err := os.Create(n.logFile())
	if err != nil {
		return fmt.Errorf("make a log: %w", err)
	}
	defer log.Close()
	args := append([]string{
		"--data-dir", n.dir, "--name", n.name,
		"--bus-listen", "127.0.0.1:0", "--fabric-listen", "127.0.0.1:0", "--join-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0",
	}, flags...)
	n.cmd = exec.Command(self, args...) //nolint:noctx // it is killed by its owner, without warning or at the end
	// An engine on this machine is left alone: the demo shows the built-in model.
	n.cmd.Env = append(os.Environ(), "OLLAMA_HOST=127.0.0.1:9", envNoContext+"=1", envConfig+"="+os.DevNull)
	n.cmd.Stdout, n.cmd.Stderr = log, log
	if err := n.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", n.name, err)
	}
	n.exited = make(chan struct{})
	go func() {
		_ = n.cmd.Wait() // it is killed, or its log tells why it ended
		close(n.exited)
	}()
	return nil
}

func (n *demoNode) logFile() string { return filepath.Join(n.dir, "mycod.log") }

// dial waits until the daemon answers, and connects to it as its user.
func (n *demoNode) dial(ctx context.Context) error {
	return eventually(ctx, n.name+" comes up", func() (bool, error) {
		select {
		case <-n.exited:
			return false, fmt.Errorf("%s ended instead of coming up:\n%s", n.name, n.logTail())
		default:
		}
		c, err := bus.Dial(ctx, bus.WithDataDir(n.dir), bus.WithName("demo"))
		if err != nil {
			return false, nil //nolint:nilerr // it is not up yet
		}
		n.conn = c
		return true, nil
	})
}

func (n *demoNode) logTail() string {
	b, err := os.ReadFile(n.logFile())
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(lines[max(0, len(lines)-10):], "\n")
}

// kill ends the process without warning, and returns when it is gone.
func (n *demoNode) kill() {
	if n.cmd == nil || n.cmd.Process == nil || n.exited == nil {
		return
	}
	if n.conn != nil {
		n.conn.Close()
	}
	_ = n.cmd.Process.Kill() // it may have ended already
	<-n.exited
}

var errDemoSlow = errors.New("this takes too long")

// eventually looks until done, for at most 20 s.
func eventually(ctx context.Context, what string, look func() (done bool, err error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 20*time.Second, errDemoSlow)
	defer cancel()
	tick := time.NewTicker(demoPoll)
	defer tick.Stop()
	for {
		if done, err := look(); done || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait until %s: %w", what, context.Cause(ctx))
		}
	}
}
