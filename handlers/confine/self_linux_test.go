package confine_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"golang.org/x/sys/unix"

	"github.com/mycoswarm/mycoswarm/handlers/confine"
)

// without are the calls that a kernel does not have, and how it says so.
var without = map[string]seccomp.SyscallGroup{
	"landlock": {Action: seccomp.ActionErrno | seccomp.Action(unix.ENOSYS), Names: []string{"landlock_create_ruleset"}},
	"filters": {Action: seccomp.ActionErrno | seccomp.Action(unix.EINVAL), NamesWithCondtions: []seccomp.NameWithConditions{
		{Name: "seccomp", Conditions: []seccomp.Condition{{Operation: seccomp.Equal, Value: unix.SECCOMP_SET_MODE_FILTER}}},
	}},
}

// beWithout makes this process the program argv, which the kernel tells that it has no Landlock, or no filters: what a
// filter answers is what a program sees of an old kernel, and of a container that does not let it through. As root it gives up
// no way to new rights for that: argv is to do so.
func beWithout(what string, argv []string) error {
	err := seccomp.LoadFilter(seccomp.Filter{
		NoNewPrivs: os.Geteuid() != 0, Flag: seccomp.FilterFlagTSync,
		Policy: seccomp.Policy{DefaultAction: seccomp.ActionAllow, Syscalls: []seccomp.SyscallGroup{without[what]}},
	})
	if err != nil {
		return err
	}
	return syscall.Exec(argv[0], argv, os.Environ())
}

// heldBack does a deed after Self, in a thread that was there before.
func heldBack(deed, arg string) error {
	var ready, held sync.WaitGroup
	did := make(chan error)
	ready.Add(1)
	held.Add(1)
	go func() {
		runtime.LockOSThread()
		ready.Done()
		held.Wait()
		did <- deeds[deed](arg)
	}()
	ready.Wait()
	if err := confine.Self(confine.Policy{}); err != nil {
		panic(err)
	}
	held.Done()
	return <-did
}

// A process that holds itself back has no network and no other programs, with Landlock or without; files it sees without.
func TestSelf(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	tcp, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	local, err := new(net.ListenConfig).Listen(t.Context(), "unix", filepath.Join(t.TempDir(), "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	me := strconv.Itoa(os.Getpid())
	for _, c := range []struct {
		name, deed, arg string
		with, without   bool // what it can do with Landlock, and without
	}{
		{"a file", "read", secret, false, true},
		{"to write a file", "write", secret, false, true},
		{"a socket", "dial", tcp.Addr().String(), false, false},
		{"a socket of this machine", "unix", local.Addr().String(), false, false},
		{"a pair of its own", "pair", "", true, true},
		{"a child", "run", "/bin/true", false, false},
		{"sockets in the kernel's queue", "ring", "", false, false},
		{"its starter", "signal", me, false, false},
		{"a thread of its starter", "tgkill", me, false, false},
		{"its starter's memory", "trace", me, false, false},
		{"its starter's limits", "limits", me, false, false},
		{"to open a file to all", "chmod", secret, false, false},
		{"to empty a file", "truncate", secret, false, false},
		{"a world of its own", "namespace", "", false, false},
		{"rights of others", "rise", "", false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			holdsBack(t, self, "", c.deed, c.arg, c.with)
			holdsBack(t, self, "landlock", c.deed, c.arg, c.without)
		})
	}
	// Where there are no filters files are hidden all the same.
	holdsBack(t, self, "filters", "read", secret, false)
	holdsBack(t, self, "filters", "dial", tcp.Addr().String(), true)
}

// holdsBack has a process that holds itself back, on a kernel without something, try a deed.
func holdsBack(t *testing.T, self, without, deed, arg string, want bool) {
	t.Helper()
	args := []string{"self", deed, arg}
	if without != "" {
		args = append([]string{"without", without, self}, args...)
	}
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Env = []string{"GORACE=atexit_sleep_ms=0"}
	out, err := cmd.CombinedOutput()
	said := strings.TrimSpace(string(out))
	if done := said == "done"; err != nil || done != want || !done && !strings.HasPrefix(said, "refused: ") {
		t.Errorf("%v: %v, it says %q, want done: %v", args, err, said, want)
	}
}
