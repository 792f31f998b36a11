//go:build e2e && windows

package windows_test

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
	"unsafe"

	"golang.org/x/sys/windows"
)

// patience is how long is waited for what should take a moment.
const patience = 60 * time.Second

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually looks until there is nothing more to say.
func eventually(t *testing.T, what string, look func() string) {
	t.Helper()
	end := time.Now().Add(patience)
	for last := look(); last != ""; last = look() {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %v: %s", what, patience, last)
		}
		<-time.After(50 * time.Millisecond)
	}
}

// job holds all processes of a test: Windows ends them with it, and counts them.
type job struct{ windows.Handle }

func newJob(t *testing.T) job {
	t.Helper()
	h, err := windows.CreateJobObject(nil, nil)
	check(t, err)
	limit := windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION{
		BasicLimitInformation: windows.JOBOBJECT_BASIC_LIMIT_INFORMATION{LimitFlags: windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE},
	}
	_, err = windows.SetInformationJobObject(h, windows.JobObjectExtendedLimitInformation, uintptr(unsafe.Pointer(&limit)), uint32(unsafe.Sizeof(limit)))
	check(t, err)
	t.Cleanup(func() { check(t, windows.CloseHandle(h)) })
	return job{h}
}

// count is how many of its processes run.
func (j job) count(t *testing.T) int {
	t.Helper()
	var all struct { // JOBOBJECT_BASIC_ACCOUNTING_INFORMATION of winnt.h
		userTime, kernelTime, userTimeNow, kernelTimeNow int64
		faults, processes, active, ended                 uint32
	}
	check(t, windows.QueryInformationJobObject(j.Handle, windows.JobObjectBasicAccountingInformation, uintptr(unsafe.Pointer(&all)), uint32(unsafe.Sizeof(all)), nil))
	return int(all.active)
}

func (j job) add(t *testing.T, pid int) {
	t.Helper()
	h, err := windows.OpenProcess(windows.PROCESS_SET_QUOTA|windows.PROCESS_TERMINATE, false, uint32(pid))
	check(t, err)
	defer windows.CloseHandle(h) //nolint:errcheck // nothing was changed by it
	check(t, windows.AssignProcessToJobObject(j.Handle, h))
}

// node is a mycod with a console of its own, so that Ctrl-C is for it alone.
type node struct {
	t        *testing.T
	job      job
	name     string
	dir, log string
	flags    []string

	console *exec.Cmd
	in      io.WriteCloser
	lines   chan string // that the console says
	pid     int
}

func newNode(t *testing.T, j job, root, name string, flags ...string) *node {
	return &node{t: t, job: j, name: name, dir: filepath.Join(root, name), log: filepath.Join(root, name+".log"), flags: flags}
}

// start runs mycod, and waits until it answers.
func (n *node) start(flags ...string) {
	n.t.Helper()
	self, err := os.Executable()
	check(n.t, err)
	argv := append([]string{
		asConsole, n.log, filepath.Join(bin, "mycod.exe"), "--data-dir", n.dir, "--name", n.name,
		"--fabric-listen", "127.0.0.1:0", "--join-listen", "127.0.0.1:0", "--no-mdns",
	}, append(n.flags, flags...)...)
	n.console = exec.Command(self, argv...)
	n.console.Env = append(os.Environ(), "MYCO_NO_NATS_CONTEXT=1", "OLLAMA_HOST=127.0.0.1:9")
	n.console.SysProcAttr = &syscall.SysProcAttr{CreationFlags: windows.CREATE_NO_WINDOW} // a console of its own
	n.console.Stderr = os.Stderr
	n.in, err = n.console.StdinPipe()
	check(n.t, err)
	out, err := n.console.StdoutPipe()
	check(n.t, err)
	check(n.t, n.console.Start())
	n.lines = make(chan string, 10)
	go func() {
		defer close(n.lines)
		for in := bufio.NewScanner(out); in.Scan(); {
			n.lines <- in.Text()
		}
	}()
	n.job.add(n.t, n.console.Process.Pid) // it starts mycod when it is told to
	n.tell("start")
	_, err = fmt.Sscanf(n.heard(), "pid %d", &n.pid)
	check(n.t, err)
	eventually(n.t, n.name+" answers", func() string {
		if r := n.myco("swarm"); r.code != 0 {
			return r.String()
		}
		return ""
	})
}

func (n *node) tell(what string) {
	n.t.Helper()
	_, err := fmt.Fprintln(n.in, what)
	check(n.t, err)
}

func (n *node) heard() string {
	n.t.Helper()
	select {
	case line := <-n.lines:
		return line
	case <-time.After(patience):
		n.t.Fatalf("%s says nothing for %v; its log:\n%s", n.name, patience, n.tail())
		return ""
	}
}

// kill ends mycod without warning, as taskkill /F does.
func (n *node) kill() {
	n.t.Helper()
	p, err := os.FindProcess(n.pid)
	check(n.t, err)
	check(n.t, p.Kill())
	if got := n.heard(); got != "exit 1" {
		n.t.Errorf("%s was killed: %s", n.name, got)
	}
	n.end()
}

// stop presses Ctrl-C in mycod's console.
func (n *node) stop() {
	n.t.Helper()
	n.tell("interrupt")
	if got := n.heard(); got != "exit 0" {
		n.t.Errorf("%s was stopped: %s\n%s", n.name, got, n.tail())
	}
	n.end()
	if _, err := os.Stat(filepath.Join(n.dir, "daemon.json")); !errors.Is(err, os.ErrNotExist) {
		n.t.Errorf("%s has stopped, and says where it is: %v", n.name, err)
	}
}

func (n *node) end() {
	n.t.Helper()
	check(n.t, n.console.Wait())
}

func (n *node) tail() string {
	b, err := os.ReadFile(n.log)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-4000):])
}

// result is what a command printed, and its exit code.
type result struct {
	args     []string
	out, err string
	code     int
}

func (r result) String() string {
	return fmt.Sprintf("%s: exit code %d\n%s%s", strings.Join(r.args, " "), r.code, r.out, r.err)
}

// myco runs a command at the node, to its end.
func (n *node) myco(args ...string) result {
	n.t.Helper()
	return program(n.t, "myco", append([]string{"--data-dir", n.dir}, args...)...)
}

// does is myco of what succeeds.
func (n *node) does(args ...string) result {
	n.t.Helper()
	r := n.myco(args...)
	if r.code != 0 {
		n.t.Fatalf("%s\nlog of %s:\n%s", r, n.name, n.tail())
	}
	return r
}

func program(t *testing.T, name string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(bin, name+".exe"), args...)
	cmd.Env = append(os.Environ(), "MYCO_NO_NATS_CONTEXT=1")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("run %s: %v", name, err)
	}
	if ctx.Err() != nil {
		t.Fatalf("%s %q hangs", name, args)
	}
	return result{append([]string{name}, args...), out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// runConsole is what has a console of its own, and runs a program in it, with a file as its output. It does what it
// reads, and tells how the program ends.
func runConsole(argv []string) int {
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt) // Ctrl-C is for all of the console, and this is to outlive it
	in := bufio.NewScanner(os.Stdin)
	in.Scan() // start
	log, err := os.OpenFile(argv[0], os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer log.Close()
	cmd := exec.Command(argv[1], argv[2:]...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("pid", cmd.Process.Pid)
	go func() {
		for in.Scan() {
			if err := windows.GenerateConsoleCtrlEvent(windows.CTRL_C_EVENT, 0); err != nil {
				fmt.Println("press Ctrl-C:", err)
			}
		}
	}()
	_ = cmd.Wait() // how it ended is told
	fmt.Println("exit", cmd.ProcessState.ExitCode())
	return 0
}
