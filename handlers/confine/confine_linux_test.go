package confine_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/mycoswarm/mycoswarm/handlers/confine"
)

// TestMain is other programs as well: the one that confines, the one that is confined and tells what it could do, a
// daemon in short, one whose kernel lacks something, and one that holds itself back.
func TestMain(m *testing.M) {
	switch {
	case len(os.Args) > 2 && os.Args[1] == "confine":
		fmt.Fprintln(os.Stderr, confine.Main(os.Args[2], os.Args[3:]))
		os.Exit(confine.ExitCode)
	case len(os.Args) > 1 && os.Args[1] == "started":
		if err := daemonInShort(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	case len(os.Args) > 3 && os.Args[1] == "without":
		fmt.Fprintln(os.Stderr, beWithout(os.Args[2], os.Args[3:]))
		os.Exit(1)
	case len(os.Args) > 3 && os.Args[1] == "self":
		tell(heldBack(os.Args[2], os.Args[3]))
	case len(os.Args) > 3 && os.Args[1] == "try":
		tell(deeds[os.Args[2]](os.Args[3]))
	}
	goleak.VerifyTestMain(m)
}

// tell says how a deed went, and ends this process.
func tell(err error) {
	if err != nil {
		fmt.Println("refused:", err)
	} else {
		fmt.Println("done")
	}
	os.Exit(0)
}

// deeds are what the confined program tries, each with an argument.
var deeds = map[string]func(string) error{
	"read": func(path string) error {
		_, err := os.ReadFile(path)
		return err
	},
	"write": func(path string) error { return os.WriteFile(path, []byte("x"), 0o600) },
	"list": func(path string) error {
		_, err := os.ReadDir(path)
		return err
	},
	"dial": func(addr string) error {
		c, err := new(net.Dialer).DialContext(context.Background(), "tcp", addr)
		if err == nil {
			err = c.Close()
		}
		return err
	},
	"unix": func(path string) error {
		c, err := new(net.Dialer).DialContext(context.Background(), "unix", path)
		if err == nil {
			err = c.Close()
		}
		return err
	},
	"pair": func(string) error {
		_, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		return err
	},
	"datagram": func(path string) error { // by a pair, which is no way to ask for a socket
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
		if err != nil {
			return err
		}
		return unix.Sendto(pair[0], []byte("x"), 0, &unix.SockaddrUnix{Name: path})
	},
	"socket": func(family string) error {
		_, err := unix.Socket(number(family), unix.SOCK_RAW, 0)
		return err
	},
	"fd": func(fd string) error {
		_, err := unix.FcntlInt(uintptr(number(fd)), unix.F_GETFD, 0)
		return err
	},
	"chmod": func(path string) error { return os.Chmod(path, 0o777) }, //nolint:gosec // it is to be refused
	"chmod by number": func(path string) error {
		fd, err := unix.Open(path, unix.O_PATH, 0)
		if err != nil {
			return err
		}
		return errno(unix.Syscall6(452, uintptr(fd), uintptr(unsafe.Pointer(new(byte))), 0o777, unix.AT_EMPTY_PATH, 0, 0)) // fchmodat2
	},
	"chown":    func(path string) error { return os.Chown(path, os.Getuid(), os.Getgid()) },
	"xattr":    func(path string) error { return unix.Setxattr(path, "user.x", []byte("x"), 0) },
	"utime":    func(path string) error { return os.Chtimes(path, time.Time{}, time.Now()) },
	"truncate": func(path string) error { return os.Truncate(path, 0) },
	"link":     func(path string) error { return os.Link(path, filepath.Join(os.Getenv("TEMP"), "link")) },
	"watch": func(path string) error {
		fd, err := unix.InotifyInit()
		if err == nil {
			_, err = unix.InotifyAddWatch(fd, path, unix.IN_OPEN)
		}
		return err
	},
	"ipc": func(string) error { return errno(unix.Syscall(unix.SYS_SHMGET, 0, 4096, 0o600|unix.IPC_CREAT)) },
	"memfd": func(string) error {
		_, err := unix.MemfdCreate("x", 0)
		return err
	},
	"shared": func(string) error {
		_, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ, unix.MAP_SHARED|unix.MAP_ANON)
		return err
	},
	"orphan": func(high string) error {
		return errno(unix.RawSyscall(unix.SYS_PRCTL, uintptr(uint64(number(high))<<32|unix.PR_SET_PDEATHSIG), 0, 0))
	},
	"own":  func(pid string) error { _, err := unix.FcntlInt(0, unix.F_SETOWN, number(pid)); return err },
	"hide": func(string) error { return unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) },
	"user": func(string) error {
		return errno(unix.RawSyscall(unix.SYS_CLONE, unix.CLONE_NEWUSER|uintptr(unix.SIGCHLD), 0, 0))
	},
	"sibling": func(string) error {
		return errno(unix.RawSyscall(unix.SYS_CLONE, unix.CLONE_PARENT|uintptr(unix.SIGCHLD), 0, 0))
	},
	"run":      func(program string) error { return exec.CommandContext(context.Background(), program).Run() },
	"become":   func(program string) error { return syscall.Exec(program, []string{program}, nil) },
	"signal":   func(pid string) error { return syscall.Kill(number(pid), 0) },
	"tgkill":   func(pid string) error { return unix.Tgkill(number(pid), number(pid), 0) },
	"self":     func(string) error { return syscall.Kill(os.Getpid(), 0) },
	"trace":    func(pid string) error { return unix.PtraceSeize(number(pid)) },
	"limits":   func(pid string) error { return unix.Prlimit(number(pid), unix.RLIMIT_CPU, nil, &unix.Rlimit{}) },
	"priority": func(pid string) error { return syscall.Setpriority(syscall.PRIO_PROCESS, number(pid), 5) },
	"affinity": func(pid string) error {
		var set unix.CPUSet
		set.Set(0)
		return unix.SchedSetaffinity(number(pid), &set)
	},
	"session": func(string) error {
		_, err := unix.Setsid()
		return err
	},
	"ring": func(string) error {
		_, _, e := unix.Syscall(unix.SYS_IO_URING_SETUP, 1, 0, 0)
		if e == unix.EFAULT || e == 0 {
			return nil
		}
		return e
	},
	"namespace": func(string) error { return unix.Unshare(unix.CLONE_NEWUSER) },
	"memory": func(mib string) error {
		_, err := unix.Mmap(-1, 0, number(mib)<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
		return err
	},
	"rights": func(string) error {
		status, err := os.ReadFile("/proc/self/status")
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(status)) {
			if os.Geteuid() != 0 && strings.HasPrefix(line, "CapBnd:") {
				continue // what a program could have that is root's; see rise
			}
			if set, ok := strings.CutPrefix(line, "Cap"); ok && strings.Trim(set[strings.Index(set, ":")+1:], "\t\n0") != "" {
				return nil
			}
		}
		return errors.New("none")
	},
	"rise": func(string) error { // to what a program has that is root's, and starts as such for all
		if v, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); err != nil || v == 1 {
			return fmt.Errorf("no new rights: %w", cmp.Or(err, error(syscall.EPERM)))
		}
		return nil
	},
	"environ": func(name string) error {
		if os.Getenv(name) == "" {
			return errors.New("not there")
		}
		return nil
	},
}

// errno is for the results of unix.Syscall. What a call has made of a second process ends here.
func errno(r, _ uintptr, e unix.Errno) error {
	if e != 0 {
		return e
	}
	if r == 0 && os.Getpid() != started {
		os.Exit(0)
	}
	return nil
}

var started = os.Getpid()

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(err)
	}
	return n
}

// try has the confined program try a deed, and returns what it says.
func try(t *testing.T, p confine.Policy, deed, arg string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p.Read = append(p.Read, self)
	// A program with the race detector sleeps for a second before it ends, for others than its main goroutine: here are none.
	env := []string{"GIVEN=1", "TEMP=" + strings.Join(p.Write, ""), "GORACE=atexit_sleep_ms=0"}
	cmd, err := confine.Command(t.Context(), []string{self, "confine"}, p, env, []string{self, "try", deed, arg})
	if err != nil {
		t.Fatal(err)
	}
	passed, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer passed.Close()
	for range 60 { // so many that the highest number is one that the program itself has not opened
		cmd.ExtraFiles = append(cmd.ExtraFiles, passed)
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Sprintf("%s%v", out, err)
	}
	return strings.TrimSpace(string(out))
}

func TestConfined(t *testing.T) {
	t.Setenv("SECRET", "1")
	dir, other := t.TempDir(), t.TempDir()
	secret, note := filepath.Join(other, "secret"), filepath.Join(dir, "note")
	for _, path := range []string{secret, note} {
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tcp, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	local, err := new(net.ListenConfig).Listen(t.Context(), "unix", filepath.Join(dir, "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	datagrams, err := new(net.ListenConfig).ListenPacket(t.Context(), "unixgram", filepath.Join(dir, "datagrams"))
	if err != nil {
		t.Fatal(err)
	}
	defer datagrams.Close()
	me := strconv.Itoa(os.Getpid())
	plain := confine.Policy{Dir: dir}
	with := func(set func(*confine.Policy)) confine.Policy {
		p := plain
		set(&p)
		return p
	}
	network := with(func(p *confine.Policy) { p.Network = true })
	processes := with(func(p *confine.Policy) { p.Processes = true })
	for _, c := range []struct {
		name, deed, arg string
		policy          confine.Policy
		done            bool
	}{
		{"its own folder", "read", note, plain, true},
		{"to change its own folder", "write", note, plain, false},
		{"a file elsewhere", "read", secret, plain, false},
		{"a file that was granted", "read", secret, with(func(p *confine.Policy) { p.Read = []string{secret} }), true},
		{"to write what it may read", "write", secret, with(func(p *confine.Policy) { p.Read = []string{secret} }), false},
		{"to write what was granted", "write", secret, with(func(p *confine.Policy) { p.Write = []string{other} }), true},
		{"to list the root", "list", "/", plain, false},
		{"who is on this machine", "read", "/etc/passwd", plain, false},
		{"its starter's environment", "read", "/proc/" + me + "/environ", plain, false},
		{"its own status", "read", "/proc/self/status", plain, true},
		{"the system's programs", "list", "/usr/bin", plain, true},
		{"the void", "write", "/dev/null", plain, true},
		{"a socket", "dial", tcp.Addr().String(), plain, false},
		{"a socket that was granted", "dial", tcp.Addr().String(), network, true},
		{"a socket of this machine", "unix", local.Addr().String(), plain, false},
		{"a message to a socket of this machine", "datagram", datagrams.LocalAddr().String(), plain, false},
		{"a socket of this machine, with network", "unix", local.Addr().String(), network, false},
		{"a message to one, with network", "datagram", datagrams.LocalAddr().String(), network, false},
		{"the kernel's news of routes, with network", "socket", strconv.Itoa(unix.AF_NETLINK), network, true},
		{"the machine's host, with network", "socket", strconv.Itoa(unix.AF_VSOCK), network, false},
		{"a file that its starter had open", "fd", "60", plain, false},
		{"to open a file to all", "chmod", secret, plain, false},
		{"to open a file to all, by a new call", "chmod by number", secret, plain, false},
		{"to give a file away", "chown", secret, plain, false},
		{"to mark a file", "xattr", secret, plain, false},
		{"to date a file", "utime", secret, plain, false},
		{"to empty a file", "truncate", secret, plain, false},
		{"a second name for a file", "link", secret, with(func(p *confine.Policy) { p.Write = []string{t.TempDir()} }), false},
		{"names in a folder elsewhere", "watch", other, plain, false},
		{"memory of other programs", "ipc", "", processes, false},
		{"memory that is a file", "memfd", "", plain, false},
		{"memory that is shared", "shared", "", plain, false},
		{"memory that is a device", "write", "/dev/zero", plain, false},
		{"to outlive its starter", "orphan", "0", plain, false},
		{"to outlive its starter, by a long number", "orphan", "1", plain, false},
		{"to have its starter signalled", "own", me, plain, false},
		{"to hide what it uses", "hide", "", plain, false},
		{"a child in a world of its own", "user", "", processes, false},
		{"a child of its starter", "sibling", "", processes, false},
		{"a pair of its own", "pair", "", plain, true},
		{"a child", "run", "/bin/true", plain, false},
		{"a child that was granted", "run", "/bin/true", processes, true},
		{"sockets in the kernel's queue", "ring", "", plain, false},
		{"its starter", "signal", me, plain, false},
		{"its starter, with children", "signal", me, processes, false},
		{"a thread of its starter", "tgkill", me, plain, false},
		{"itself", "self", "", plain, true},
		{"its starter's memory", "trace", me, plain, false},
		{"its starter's limits", "limits", me, plain, false},
		{"its starter's turn", "priority", me, plain, false},
		{"its starter's processors", "affinity", me, plain, false},
		{"to leave its group", "session", "", processes, false},
		{"a world of its own", "namespace", "", plain, false},
		{"a variable of its starter", "environ", "SECRET", plain, false},
		{"a variable that it was given", "environ", "GIVEN", plain, true},
		{"the rights of root", "rights", "", plain, false},
		{"much memory", "memory", "2048", with(func(p *confine.Policy) { p.Memory = 1 << 30 }), false},
		{"less memory", "memory", "64", with(func(p *confine.Policy) { p.Memory = 1 << 30 }), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			said := try(t, c.policy, c.deed, c.arg)
			if done := said == "done"; done != c.done || !done && !strings.HasPrefix(said, "refused: ") {
				t.Errorf("it says %q, want done: %v", said, c.done)
			}
		})
	}
}
