package confine

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// The calls of the kernel that a program is refused, beside sockets and processes. Most of them it has no right to
// anyway; what is left is for the kernels in which that was once forgotten, and against other programs of
// the same user.
var (
	refused = []string{
		"ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp", "pidfd_open", "pidfd_getfd", "pidfd_send_signal",
		"rt_sigqueueinfo", "rt_tgsigqueueinfo",
		"bpf", "perf_event_open", "userfaultfd", "fanotify_init", "open_by_handle_at", "name_to_handle_at", "lookup_dcookie",
		"add_key", "request_key", "keyctl", "unshare", "setns", "mount", "umount", "umount2", "pivot_root", "chroot", "fsopen", "fsmount",
		"fsconfig", "fspick", "move_mount", "open_tree", "mount_setattr", "swapon", "swapoff", "acct", "quotactl", "quotactl_fd", "syslog",
		"reboot", "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "create_module",
		"settimeofday", "clock_settime", "clock_settime64", "clock_adjtime", "clock_adjtime64", "adjtimex", "stime", "sethostname", "setdomainname",
		"iopl", "ioperm", "modify_ldt", "vhangup", "nfsservctl", "personality",
		// Of any process of the same user.
		"move_pages", "migrate_pages", "setpriority", "ioprio_set", "sched_setscheduler", "sched_setattr", "sched_setparam", "sched_setaffinity",
		// It stays in the group that is ended as a whole.
		"setsid", "setpgid",
	}
	// absent are calls that a program does without where the kernel does not have them. They make sockets and
	// processes in ways that a filter cannot tell from others.
	absent  = []string{"io_uring_setup", "io_uring_enter", "io_uring_register", "clone3"}
	sockets = []string{"socket", "socketcall"}
	forks   = []string{"fork", "vfork"}
)

func filterSupported() error {
	if !seccomp.Supported() {
		return errors.New("this kernel has no seccomp filters, or has them turned off")
	}
	if _, err := arch.GetInfo(""); err != nil {
		return fmt.Errorf("no filter for this processor: %w", err)
	}
	return nil
}

// loadFilter refuses calls of the kernel to this thread, and to the program that takes it over; with
// FilterFlagTSync to all threads.
func loadFilter(p Policy, flag seccomp.FilterFlag) error {
	info, err := arch.GetInfo("")
	if err != nil {
		return fmt.Errorf("filter calls: %w", err)
	}
	if err := refuseOthers(uint32(info.ID), flag); err != nil { // the library lets calls of other processors' modes pass
		return fmt.Errorf("filter calls of 32-bit programs: %w", err)
	}
	known := func(names ...[]string) (out []string) {
		for _, list := range names {
			for _, name := range list {
				if _, ok := info.SyscallNames[name]; ok {
					out = append(out, name)
				}
			}
		}
		return out
	}
	no := seccomp.SyscallGroup{Action: seccomp.ActionErrno | seccomp.Action(unix.EPERM), Names: known(refused)}
	self := uint64(os.Getpid()) //nolint:gosec // positive
	if !p.Network {
		no.Names = append(no.Names, known(sockets)...)
	}
	if v, err := ll.LandlockGetABIVersion(); err == nil && v < 6 { // which leaves signals alone
		no.Names = append(no.Names, "tkill")
	}
	if !p.Processes {
		no.Names = append(no.Names, known(forks)...)
		no.NamesWithCondtions = append(no.NamesWithCondtions, seccomp.NameWithConditions{
			Name: "clone", Conditions: seccomp.ArgumentConditions{{Argument: 0, Operation: seccomp.BitsNotSet, Value: unix.CLONE_THREAD}},
		})
		for _, name := range []string{"kill", "tgkill", "prlimit64"} { // on itself only: prlimit64 takes 0 for that as well
			c := seccomp.ArgumentConditions{{Argument: 0, Operation: seccomp.NotEqual, Value: self}}
			if name == "prlimit64" {
				c = append(c, seccomp.Condition{Argument: 0, Operation: seccomp.NotEqual, Value: 0})
			}
			no.NamesWithCondtions = append(no.NamesWithCondtions, seccomp.NameWithConditions{Name: name, Conditions: c})
		}
	}
	gone := seccomp.SyscallGroup{Action: seccomp.ActionErrno | seccomp.Action(unix.ENOSYS), Names: known(absent)}
	err = seccomp.LoadFilter(seccomp.Filter{Flag: flag, Policy: seccomp.Policy{DefaultAction: seccomp.ActionAllow, Syscalls: []seccomp.SyscallGroup{no, gone}}})
	if err != nil {
		return fmt.Errorf("filter calls: %w", err)
	}
	return nil
}

// refuseOthers ends a process that calls the kernel as another processor's program.
func refuseOthers(audit uint32, flag seccomp.FilterFlag) error {
	raw, err := bpf.Assemble(onlyOf(audit))
	if err != nil {
		return err
	}
	filter := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		filter[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]} //nolint:gosec // four
	if _, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, uintptr(flag), uintptr(unsafe.Pointer(&prog))); e != 0 {
		return e
	}
	return nil
}

// onlyOf is a filter that lets the calls of one processor's programs pass.
func onlyOf(audit uint32) []bpf.Instruction {
	return []bpf.Instruction{
		bpf.LoadAbsolute{Off: 4, Size: 4}, // arch of struct seccomp_data, seccomp(2)
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: audit, SkipTrue: 1},
		bpf.RetConstant{Val: unix.SECCOMP_RET_KILL_PROCESS},
		bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW},
	}
}
