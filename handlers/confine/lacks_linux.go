package confine

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/elastic/go-seccomp-bpf/arch"
	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

// Lacks tells what Self cannot do here, each a *LackError: files, where it does not hide the file system; calls, where it
// refuses no network, no other programs, and no other calls of the kernel.
func Lacks() (files, calls error) {
	if lack := noLandlock(); lack != nil {
		files = lack
	}
	if lack := noFilter(); lack != nil {
		calls = lack
	}
	return files, calls
}

// landlockVersion is the version of Landlock that this process may use, 0 where it may use none.
func landlockVersion() (int, error) {
	v, err := ll.LandlockGetABIVersion()
	if err != nil || v < 1 {
		return 0, err
	}
	return v, nil
}

// noLandlock is nil where there is Landlock.
func noLandlock() *LackError {
	v, err := landlockVersion()
	if v > 0 {
		return nil
	}
	var name unix.Utsname
	_ = unix.Uname(&name) // it fails for what is no memory
	mode, _ := unix.PrctlRetInt(unix.PR_GET_SECCOMP, 0, 0, 0, 0)
	return whyNoLandlock(unix.ByteSliceToString(name.Release[:]), err, mode != 0)
}

// whyNoLandlock tells the causes apart: of the kernel's release, of what it said, and of whether this process was under a
// filter of calls when it asked.
func whyNoLandlock(release string, err error, filtered bool) *LackError {
	const none = "there is no Landlock here: "
	var major, minor int
	_, odd := fmt.Sscanf(release, "%d.%d", &major, &minor)
	switch {
	case errors.Is(err, syscall.EOPNOTSUPP):
		return &LackError{none + "this kernel has it turned off", "add landlock to what lsm= lists on the kernel's command line"}
	case odd == nil && (major < 5 || major == 5 && minor < 13):
		return &LackError{none + "Linux has it from 5.13 on, and this kernel is " + release, "use a kernel from 5.13 on"}
	case filtered:
		return &LackError{
			none + "the container or the service that this is keeps it out, or the kernel was built without",
			"Docker lets it through from 20.10.18 on, Podman from 4.3 on, older ones with --security-opt seccomp=unconfined in the command that runs the container",
		}
	}
	return &LackError{none + "this kernel was built without", "use a kernel with CONFIG_SECURITY_LANDLOCK"}
}

// noFilter is nil where there are seccomp filters, and one for this processor.
func noFilter() *LackError {
	// It fails for there is no filter at that address, where it would take one: see seccomp(2). A kernel may have the call and
	// no filters.
	if _, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, 0); e != unix.EFAULT {
		return &LackError{"this kernel has no seccomp filters, or has them turned off", "use a kernel with CONFIG_SECCOMP_FILTER"}
	}
	if _, err := arch.GetInfo(""); err != nil {
		return &LackError{fmt.Sprintf("no filter for this processor: %v", err), ""}
	}
	return nil
}
