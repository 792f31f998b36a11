package confine

import (
	"fmt"
	"os"
	"unsafe"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
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
		// Of any file of the same user: Landlock is not asked about these. Times are let through for open files.
		"chmod", "fchmod", "fchmodat", "chown", "fchown", "lchown", "fchownat", "chown32", "fchown32", "lchown32",
		"setxattr", "lsetxattr", "fsetxattr", "removexattr", "lremovexattr", "fremovexattr", "utime", "utimes", "futimesat",
		// They reach other programs of the same user, and what they hold stays when its maker ends.
		"ipc", "shmget", "shmat", "shmctl", "semget", "semop", "semtimedop", "semtimedop_time64", "semctl",
		"msgget", "msgsnd", "msgrcv", "msgctl", "mq_open", "mq_unlink",
		"socketcall", // sockets in which a filter cannot tell what is asked for
	}
	// absent are calls that a program does without where the kernel does not have them. They make sockets and
	// processes in ways that a filter cannot tell from others, take memory that nobody sees in the process, or tell
	// of names in folders that it may not list.
	absent = []string{"io_uring_setup", "io_uring_enter", "io_uring_register", "clone3", "memfd_create", "inotify_init", "inotify_init1"}
	forks  = []string{"fork", "vfork"}
)

// worlds are the flags of clone that make namespaces, in which a program has all rights, and the one that makes
// a child of whoever started it.
const worlds = unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS |
	unix.CLONE_NEWCGROUP | unix.CLONE_PARENT

// loadFilter refuses calls of the kernel to this thread, and to the program that takes it over; with
// FilterFlagTSync to all threads.
func loadFilter(p Policy, flag seccomp.FilterFlag) error {
	info, err := arch.GetInfo("")
	if err != nil {
		return fmt.Errorf("filter calls: %w", err)
	}
	if err := load(onlyOf(uint32(info.ID)), flag); err != nil { // the library lets calls of other processors' modes pass
		return fmt.Errorf("filter calls of 32-bit programs: %w", err)
	}
	if err := load(byNumber(), flag); err != nil {
		return fmt.Errorf("filter calls by their numbers: %w", err)
	}
	abi, _ := landlockVersion()                                                                            // what it does not do, the filter does
	err = seccomp.LoadFilter(seccomp.Filter{Flag: flag, Policy: calls(p, info, uint64(os.Getpid()), abi)}) //nolint:gosec // positive
	if err != nil {
		return fmt.Errorf("filter calls: %w", err)
	}
	return nil
}

// calls are the rules for the process self under a version of Landlock, 0 for none: what that leaves alone, they refuse,
// but for files.
func calls(p Policy, info *arch.Info, self uint64, abi int) seccomp.Policy {
	known := func(names ...string) (out []string) {
		for _, name := range names {
			if _, ok := info.SyscallNames[name]; ok {
				out = append(out, name)
			}
		}
		return out
	}
	no := seccomp.SyscallGroup{Action: seccomp.ActionErrno | seccomp.Action(unix.EPERM), Names: known(refused...)}
	gone := seccomp.SyscallGroup{Action: seccomp.ActionErrno | seccomp.Action(unix.ENOSYS), Names: known(absent...)}
	refuse := func(name string, when ...seccomp.Condition) {
		if len(known(name)) > 0 {
			no.NamesWithCondtions = append(no.NamesWithCondtions, seccomp.NameWithConditions{Name: name, Conditions: when})
		}
	}
	is := func(arg uint32, op seccomp.Operation, value uint64) seccomp.Condition {
		return seccomp.Condition{Argument: arg, Operation: op, Value: value}
	}
	if p.Network { // the internet, and what resolvers ask the kernel: local sockets lead to services that do all a user may
		refuse("socket", is(0, seccomp.NotEqual, unix.AF_INET), is(0, seccomp.NotEqual, unix.AF_INET6), is(0, seccomp.NotEqual, unix.AF_NETLINK))
		refuse("socket", is(0, seccomp.Equal, unix.AF_NETLINK), is(2, seccomp.NotEqual, unix.NETLINK_ROUTE))
	} else {
		no.Names = append(no.Names, "socket")
	}
	refuse("socketpair", is(0, seccomp.NotEqual, unix.AF_UNIX))
	refuse("socketpair", is(1, seccomp.BitsSet, unix.SOCK_DGRAM)) // and SOCK_RAW, which is the same there: they send to any address
	for _, name := range []string{"utimensat", "utimensat_time64"} {
		refuse(name, is(1, seccomp.NotEqual, 0))
	}
	for _, c := range []uint64{unix.F_SETOWN, unix.F_SETOWN_EX, unix.F_SETSIG} { // of 32-bit processors; see commands
		refuse("fcntl64", is(1, seccomp.Equal, c))
	}
	for _, name := range []string{"mmap", "mmap2"} { // what is not mapped any more stays, and nobody sees it in the process
		refuse(name, is(3, seccomp.BitsSet, unix.MAP_ANONYMOUS), is(3, seccomp.BitsSet, unix.MAP_SHARED))
	}
	refuse("clone", is(0, seccomp.BitsSet, worlds))
	if !p.Processes {
		no.Names = append(no.Names, known(forks...)...)
		refuse("clone", is(0, seccomp.BitsNotSet, unix.CLONE_THREAD))
		refuse("prlimit64", is(0, seccomp.NotEqual, self), is(0, seccomp.NotEqual, 0))
	}
	if !p.Processes || abi < 6 { // from 6 on, signals stay among the program's own processes
		refuse("kill", is(0, seccomp.NotEqual, self), is(0, seccomp.NotEqual, 0))
		refuse("tgkill", is(0, seccomp.NotEqual, self))
	}
	if abi < 6 {
		no.Names = append(no.Names, "tkill")
	}
	if abi < 3 { // which lets all be cut short that the user may write
		no.Names = append(no.Names, known("truncate", "truncate64")...)
		gone.Names = append(gone.Names, known("openat2")...)
		refuse("open", is(1, seccomp.BitsSet, unix.O_TRUNC), is(1, seccomp.BitsNotSet, unix.O_ACCMODE))
		refuse("openat", is(2, seccomp.BitsSet, unix.O_TRUNC), is(2, seccomp.BitsNotSet, unix.O_ACCMODE))
	}
	return seccomp.Policy{DefaultAction: seccomp.ActionAllow, Syscalls: []seccomp.SyscallGroup{no, gone}}
}

// command is a call that does many things, of which the argument arg, of 32 bits, tells which. What the library
// compares has 64, and the kernel looks at the lower half only.
type command struct {
	call    uint32
	arg     uint32
	refused []uint32
}

var commands = []command{
	{unix.SYS_PRCTL, 0, []uint32{
		unix.PR_SET_PDEATHSIG, // it ends with whoever started it
		unix.PR_SET_DUMPABLE,  // its use of memory can be seen
	}},
	// Signals to any process of the same user, by way of a file that has news.
	{unix.SYS_FCNTL, 1, []uint32{unix.F_SETOWN, unix.F_SETOWN_EX, unix.F_SETSIG}},
	{unix.SYS_IOCTL, 1, []uint32{fioSetOwn, sioSetGroup}},
}

// FIOSETOWN and SIOCSPGRP, ioctl_list(2).
const fioSetOwn, sioSetGroup = 0x8901, 0x8902

// newest is the last call that these rules know of: file_setattr is it, in Linux 6.17.
const newest = 469

// private is where ARM has calls of its own, and the library looks after what else is there.
const private = 0xf0000

// newer are the calls since the numbers are the same for all processors, 424, that do what is refused above, and
// that not each library knows by name.
var newer = []uint32{
	447, // memfd_secret
	452, // fchmodat2
	463, // setxattrat
	466, // removexattrat
	467, // open_tree_attr
	469, // file_setattr
}

// byNumber refuses commands, and has calls be absent that are newer than these rules.
func byNumber() []bpf.Instruction {
	const first = 16 // args of struct seccomp_data, the lower half first
	out := []bpf.Instruction{
		bpf.LoadAbsolute{Off: 0, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpGreaterThan, Val: newest, SkipFalse: 2},
		bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: private, SkipTrue: 1},
		bpf.RetConstant{Val: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)},
	}
	for _, n := range newer {
		out = append(out, bpf.JumpIf{Cond: bpf.JumpEqual, Val: n, SkipFalse: 1}, bpf.RetConstant{Val: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)})
	}
	for _, c := range commands {
		n := uint8(1 + 2*len(c.refused) + 1) //nolint:gosec // a few
		out = append(out, bpf.JumpIf{Cond: bpf.JumpEqual, Val: c.call, SkipFalse: n}, bpf.LoadAbsolute{Off: first + 8*c.arg, Size: 4})
		for _, v := range c.refused {
			out = append(out, bpf.JumpIf{Cond: bpf.JumpEqual, Val: v, SkipFalse: 1}, bpf.RetConstant{Val: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)})
		}
		out = append(out, bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW})
	}
	return append(out, bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW})
}

// load adds a filter.
func load(rules []bpf.Instruction, flag seccomp.FilterFlag) error {
	raw, err := bpf.Assemble(rules)
	if err != nil {
		return err
	}
	filter := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		filter[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]} //nolint:gosec // some dozens
	if _, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, uintptr(flag), uintptr(unsafe.Pointer(&prog))); e != 0 {
		return e
	}
	return nil
}

// onlyOf is a filter that lets the calls of one processor's programs pass, and ends others.
func onlyOf(audit uint32) []bpf.Instruction {
	return []bpf.Instruction{
		bpf.LoadAbsolute{Off: 4, Size: 4}, // arch of struct seccomp_data, seccomp(2)
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: audit, SkipTrue: 1},
		bpf.RetConstant{Val: unix.SECCOMP_RET_KILL_PROCESS},
		bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW},
	}
}
