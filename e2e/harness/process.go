//go:build linux

package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Patience is how long the harness waits for what should take a moment: generous, since the
// machine may be busy. Figures are measured, and checked, elsewhere.
//
// A test that is to fail, without a protection, is given less (MYCO_E2E_PATIENCE).
var Patience = patience()

// EnvPatience sets Patience, as "20s".
const EnvPatience = "MYCO_E2E_PATIENCE"

func patience() time.Duration {
	if d, err := time.ParseDuration(os.Getenv(EnvPatience)); err == nil {
		return d
	}
	return 60 * time.Second
}

// Every is the pause between two looks at something that gives no signal.
const Every = 25 * time.Millisecond

// Poll calls look until it returns an empty string, and fails t with the last one after limit. It pauses for Every, or a
// 20th of the time since it began, where that is longer: a look is often a process of its own, and without an end to
// them what is waited for has no processor.
func Poll(t testing.TB, limit time.Duration, what string, look func() string) {
	t.Helper()
	began := time.Now()
	end := time.NewTimer(limit)
	defer end.Stop()
	for {
		last := look()
		if last == "" {
			return
		}
		select {
		case <-time.After(max(Every, time.Since(began)/20)):
		case <-end.C:
			t.Fatalf("%s: not within %v: %s", what, limit, last)
		}
	}
}

// Process is a running program, in a process group of its own.
type Process struct {
	cmd    *exec.Cmd
	log    string
	exited chan struct{} // closed once it is reaped
	once   sync.Once
	mute   atomic.Bool // its log is shown by another
}

// Launch starts argv with its output in the file log. The process ends with the test.
func Launch(t testing.TB, log string, env, argv []string, stdin string) *Process {
	t.Helper()
	f, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatalf("open a log: %v", err)
	}
	defer f.Close()
	p := &Process{cmd: exec.Command(argv[0], argv[1:]...), log: log, exited: make(chan struct{})} //nolint:noctx // it is killed by its group, at the end of the test
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = env, f, f
	if stdin != "" {
		p.cmd.Stdin = strings.NewReader(stdin)
	}
	p.cmd.Dir = filepath.Dir(log)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", argv[0], err)
	}
	go func() {
		_ = p.cmd.Wait() // how it ended is read from ProcessState
		close(p.exited)
	}()
	t.Cleanup(func() {
		if t.Failed() && os.Getenv(EnvKeep) != "" && p.Signal(syscall.SIGQUIT) == nil {
			_, _ = p.Wait(10 * time.Second) // its log then tells what each goroutine does
		}
		p.Kill()
		if t.Failed() && !p.mute.Load() {
			t.Logf("log of %s:\n%s", strings.Join(argv, " "), p.Log(80))
		}
	})
	return p
}

// PID is the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Kill ends the process and all its children with SIGKILL, and returns when it is gone.
func (p *Process) Kill() {
	p.once.Do(func() {
		// The group may hold children of a process that has already ended.
		_ = syscall.Kill(-p.PID(), syscall.SIGKILL)
	})
	<-p.exited
}

// Freeze stops the process and all its children where they are; Thaw lets them go on.
func (p *Process) Freeze() error { return syscall.Kill(-p.PID(), syscall.SIGSTOP) }

// Thaw is the inverse of Freeze.
func (p *Process) Thaw() error { return syscall.Kill(-p.PID(), syscall.SIGCONT) }

// Gone reports whether the process and all its children have ended.
func (p *Process) Gone() bool { return errors.Is(syscall.Kill(-p.PID(), 0), syscall.ESRCH) }

// Signal sends sig to the process.
func (p *Process) Signal(sig syscall.Signal) error { return p.cmd.Process.Signal(sig) }

// Exited is closed once the process has ended.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Wait returns the exit code, or an error where the process outlives limit.
func (p *Process) Wait(limit time.Duration) (int, error) {
	end := time.NewTimer(limit)
	defer end.Stop()
	select {
	case <-p.exited:
		return p.cmd.ProcessState.ExitCode(), nil
	case <-end.C:
		return 0, fmt.Errorf("process %d still runs after %v", p.PID(), limit)
	}
}

// Log returns the last lines of what the process printed.
func (p *Process) Log(lines int) string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// Result is what a command printed, and its exit code.
type Result struct {
	Args           []string
	Stdout, Stderr string
	Code           int
	Took           time.Duration
}

func (r Result) String() string {
	return fmt.Sprintf("%s: exit code %d after %v\nstdout: %s\nstderr: %s",
		strings.Join(r.Args, " "), r.Code, r.Took.Round(time.Millisecond), r.Stdout, r.Stderr)
}

// Run runs argv in dir to its end.
func Run(ctx context.Context, t testing.TB, dir string, env, argv []string, stdin string) Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 2*Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Env, cmd.Dir, cmd.Stdin = env, dir, strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	start := time.Now()
	err := cmd.Run()
	r := Result{
		Args: argv, Stdout: stdout.String(), Stderr: stderr.String(),
		Code: cmd.ProcessState.ExitCode(), Took: time.Since(start),
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("run %s: %v", strings.Join(argv, " "), err)
	}
	if ctx.Err() != nil {
		t.Fatalf("%s hangs: %v", r, context.Cause(ctx))
	}
	return r
}
