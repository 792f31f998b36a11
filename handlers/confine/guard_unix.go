//go:build !windows

package confine

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
)

// Guard is a process that ends a group of processes where this one ends without doing so: the kernel ends the first
// of a group with whoever started it, and none of those that it has started in turn.
type Guard struct {
	cmd *exec.Cmd
	in  io.WriteCloser
}

// NewGuard starts a guard, which guards nothing yet. self is the program, with its arguments, that is Main.
func NewGuard(self []string) (*Guard, error) {
	if len(self) == 0 {
		return nil, errors.New("start a guard: no program is one")
	}
	policy, err := json.Marshal(Policy{Guard: true})
	if err != nil {
		return nil, fmt.Errorf("encode what a guard does: %w", err)
	}
	args := append(append([]string{}, self[1:]...), string(policy), "guard")
	g := &Guard{cmd: exec.CommandContext(context.Background(), self[0], args...)} // it ends with its standard input
	g.cmd.Env = []string{}
	apart(g.cmd)
	if g.in, err = g.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start a guard: %w", err)
	}
	if err := g.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a guard: %w", err)
	}
	return g, nil
}

// Watch has it guard the group of the process pid of Command or Plain.
func (g *Guard) Watch(pid int) error {
	if _, err := fmt.Fprintln(g.in, pid); err != nil {
		return fmt.Errorf("tell a guard of a group: %w", err)
	}
	return nil
}

// Close ends it, and not the group, which has ended: its number may be that of others by now.
func (g *Guard) Close() {
	_ = g.Watch(0) // it fails where the guard has ended
	_ = g.in.Close()
	_ = g.cmd.Wait()
}

// guard is what a guard does: it reads whom it guards, the last number counts, and ends them when its standard input
// ends, which is when whoever has the other end of it does.
func guard() error {
	pid := 0
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		n, err := strconv.Atoi(in.Text())
		if err != nil {
			return fmt.Errorf("read whom to guard: %w", err)
		}
		pid = n
	}
	if pid > 0 {
		EndGroup(pid)
	}
	return nil
}
