package confine

import (
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"github.com/landlock-lsm/go-landlock/landlock"
	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

// system is what every program may read: programs, libraries and what these are told, the machine's name of the
// time, its processors. Nothing of it tells of users or of other programs.
var system = []string{
	"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/opt", "/nix/store", "/gnu/store", "/run/current-system",
	"/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives", "/etc/localtime", "/etc/timezone", "/etc/fonts", "/etc/ssl/openssl.cnf", "/etc/magic", "/etc/mime.types",
	"/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/version", "/proc/loadavg", "/sys/devices/system", "/sys/kernel/mm/transparent_hugepage", "/dev/random", "/dev/urandom",
}

// devices are what every program may write, too.
// /dev/zero is none of them: mapped, it is memory that nobody sees in the process.
var devices = []string{"/dev/null", "/dev/full"}

// online is what a program with network reads beside.
var online = []string{"/etc/ssl/certs", "/etc/pki/tls/certs", "/etc/pki/ca-trust", "/etc/ca-certificates", "/etc/resolv.conf", "/run/systemd/resolve", "/etc/hosts", "/etc/nsswitch.conf", "/etc/gai.conf", "/etc/services", "/etc/protocols"}

// maxFiles is how many files a program may have open.
const maxFiles = 1024

// withThis has a process end with the thread that starts it, which is this process's for as long as it runs: no goroutine
// here takes a thread with it when it ends.
func withThis(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGKILL }

// Used is the memory that the process pid has of its system, in bytes, and how many threads it has; 0 where that is
// not known. With group it is what its whole group has.
func Used(pid int, group bool) (memory int64, threads int) {
	if !group {
		return used(strconv.Itoa(pid))
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0, 0
	}
	for _, e := range entries {
		n, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if in, err := unix.Getpgid(n); err == nil && in == pid {
			m, t := used(e.Name())
			memory, threads = memory+m, threads+t
		}
	}
	return memory, threads
}

// used is that of one process. Where its first thread has ended, the system tells of the memory at the others only.
func used(pid string) (memory int64, threads int) {
	tasks := filepath.Join("/proc", pid, "task")
	var st unix.Stat_t
	if unix.Stat(tasks, &st) == nil {
		threads = int(st.Nlink) - 2 //nolint:unconvert,gosec // its size is the processor's; the folders in it, as in any
	}
	if memory = resident(filepath.Join("/proc", pid)); memory > 0 {
		return memory, threads
	}
	entries, err := os.ReadDir(tasks)
	if err != nil {
		return 0, 0
	}
	for _, e := range entries {
		if memory = resident(filepath.Join(tasks, e.Name())); memory > 0 {
			break
		}
	}
	return memory, threads
}

// resident reads the second number of proc_pid_statm(5), of the process or thread whose folder is dir.
func resident(dir string) int64 {
	data, err := os.ReadFile(filepath.Join(dir, "statm"))
	if err != nil {
		return 0
	}
	var all, pages int64
	if _, err := fmt.Sscan(string(data), &all, &pages); err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

func become(p Policy, argv []string) error {
	if len(argv) == 0 {
		return errors.New("no program")
	}
	// What is set from here on is of this thread, which the program takes over.
	runtime.LockOSThread()
	if err := os.Chdir(p.Dir); err != nil {
		return err
	}
	// The signal that ownGroup asks for is the first thread's. See PR_SET_PDEATHSIG(2const).
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(syscall.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("end with whoever started it: %w", err)
	}
	if os.Getppid() != p.Starter {
		return errors.New("whoever started it has ended")
	}
	// Files that the daemon was started with, and passes on as it did not open them.
	if err := unix.CloseRange(3, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return fmt.Errorf("keep files to itself: %w", err)
	}
	program, err := exec.LookPath(argv[0])
	if err != nil {
		return err
	}
	if err := limit(p); err != nil {
		return err
	}
	if err := step(0, p.Nice); err != nil {
		return err
	}
	if err := dropRights(); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("refuse new rights: %w", err)
	}
	if err := landlocked(p); err != nil {
		return err
	}
	if err := loadFilter(p, 0); err != nil {
		return err
	}
	return fmt.Errorf("run %s: %w", program, Unstarted(program, syscall.Exec(program, argv, os.Environ())))
}

// Self holds this process back, all threads of it, as Command does a program, for good. It keeps its memory, its
// limits and what it has open. What Lacks names it leaves as it is.
func Self(p Policy) error {
	files, calls := Lacks()
	if files == nil {
		config, rules, err := visible(p)
		if err == nil {
			err = config.Restrict(rules...)
		}
		if err != nil {
			return fmt.Errorf("hide the file system: %w", err)
		}
	}
	if calls != nil {
		return nil
	}
	// The filter asks for that, and brings it to all threads. Landlock does so, too, where it is.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("refuse new rights: %w", err)
	}
	return loadFilter(p, seccomp.FilterFlagTSync)
}

// limit bounds files, dumps and memory.
func limit(p Policy) error {
	limits := map[int]uint64{unix.RLIMIT_CORE: 0, unix.RLIMIT_NOFILE: maxFiles}
	if p.Memory > 0 {
		limits[unix.RLIMIT_DATA] = uint64(p.Memory)
	}
	for what, most := range limits {
		if err := unix.Setrlimit(what, &unix.Rlimit{Cur: most, Max: most}); err != nil {
			return fmt.Errorf("limit resource %d to %d: %w", what, most, err)
		}
	}
	return nil
}

// Nice has the process pid of Plain, all threads of it, step back as Policy.Nice does.
func Nice(pid, by int) error {
	threads, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(pid), "task"))
	if err != nil {
		return fmt.Errorf("step back for others: %w", err)
	}
	for _, t := range threads {
		n, err := strconv.Atoi(t.Name())
		if err == nil {
			err = step(n, by)
		}
		if err != nil && !errors.Is(err, syscall.ESRCH) { // it has ended
			return err
		}
	}
	return nil
}

// step has a thread be as nice as the calling one, and by more; 0 for the calling one.
func step(thread, by int) error {
	now, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err == nil {
		err = unix.Setpriority(unix.PRIO_PROCESS, thread, min(20-now+by, MaxNice)) // the call tells 20 less what it is, see getpriority(2)
	}
	if err != nil {
		return fmt.Errorf("step back for others: %w", err)
	}
	return nil
}

// dropRights gives up what root has beyond other users, for good: a daemon may run as root.
func dropRights() error {
	if os.Geteuid() != 0 {
		return nil
	}
	for c := 0; c <= unix.CAP_LAST_CAP; c++ {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(c), 0, 0, 0); err != nil && !errors.Is(err, unix.EINVAL) { // this kernel knows fewer
			return fmt.Errorf("give up capability %d: %w", c, err)
		}
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("give up capabilities: %w", err)
	}
	var none [2]unix.CapUserData
	if err := unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &none[0]); err != nil {
		return fmt.Errorf("give up capabilities: %w", err)
	}
	return nil
}

// visible are the rules by which a program sees what p grants of the file system, and nothing else.
func visible(p Policy) (landlock.Config, []landlock.Rule, error) {
	own := "/proc/" + strconv.Itoa(os.Getpid()) // "self" would be the process that opens it
	read := append(append([]string{own}, system...), p.Read...)
	if p.Dir != "" {
		read = append(read, p.Dir)
	}
	if p.Network {
		read = append(read, online...)
	}
	abi, err := ll.LandlockGetABIVersion()
	if err != nil {
		return landlock.Config{}, nil, err
	}
	var rules []landlock.Rule
	for _, path := range read {
		if r, ok := rule(path, false, abi); ok {
			rules = append(rules, r)
		}
	}
	for _, path := range append(append([]string{}, devices...), p.Write...) {
		if r, ok := rule(path, true, abi); ok {
			rules = append(rules, r)
		}
	}
	config := landlock.V7
	config.HandledAccessNet = 0 // sockets are the filter's
	return config.BestEffort(), rules, nil
}

// landlocked hides the file system from this thread.
func landlocked(p Policy) error {
	config, rules, err := visible(p)
	if err != nil {
		return fmt.Errorf("hide the file system: %w", err)
	}
	fd, flags, err := config.NewRulesetFD(rules...)
	if err != nil {
		return fmt.Errorf("hide the file system: %w", err)
	}
	if fd < 0 {
		return errors.New("hide the file system: this kernel has no Landlock")
	}
	defer func() { _ = syscall.Close(fd) }() // it fails only for what is no file
	if err := ll.LandlockRestrictSelf(fd, flags); err != nil {
		return fmt.Errorf("hide the file system: %w", err)
	}
	return nil
}

// rule grants path; false where there is no such thing. The first version of Landlock moves no files between folders,
// and the library refuses rules for it that ask for that.
func rule(path string, write bool, abi int) (landlock.Rule, bool) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, false
	case write && info.IsDir() && abi < 2:
		return landlock.RWDirs(path), true
	case write && info.IsDir():
		return landlock.RWDirs(path).WithRefer().WithIoctlDev(), true
	case write:
		return landlock.RWFiles(path).WithIoctlDev(), true
	case info.IsDir():
		return landlock.RODirs(path), true
	}
	return landlock.ROFiles(path), true
}
