package confine

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Guard is a job of Windows: the process that it watches, and those that this starts from then on, end with it. It ends
// when it is closed, or when this process ends, however that does.
type Guard struct{ job windows.Handle }

// NewGuard starts a guard, which guards nothing yet. It needs no program.
func NewGuard([]string) (*Guard, error) {
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return nil, fmt.Errorf("start a guard: %w", err)
	}
	limit := windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION{
		BasicLimitInformation: windows.JOBOBJECT_BASIC_LIMIT_INFORMATION{LimitFlags: windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE},
	}
	if _, err := windows.SetInformationJobObject(job, windows.JobObjectExtendedLimitInformation,
		uintptr(unsafe.Pointer(&limit)), uint32(unsafe.Sizeof(limit))); err != nil {
		_ = windows.CloseHandle(job)
		return nil, fmt.Errorf("start a guard: %w", err)
	}
	return &Guard{job}, nil
}

// Watch has it guard the process pid of Plain, and what this starts. What it has started before lives on.
func (g *Guard) Watch(pid int) error {
	p, err := windows.OpenProcess(windows.PROCESS_SET_QUOTA|windows.PROCESS_TERMINATE, false, uint32(pid))
	if err != nil {
		return fmt.Errorf("tell a guard of a process: %w", err)
	}
	defer windows.CloseHandle(p) //nolint:errcheck // nothing was changed by it
	if err := windows.AssignProcessToJobObject(g.job, p); err != nil {
		return fmt.Errorf("tell a guard of a process: %w", err)
	}
	return nil
}

// Close ends what is left of whom it guards.
func (g *Guard) Close() { _ = windows.CloseHandle(g.job) } // it fails for what is none

// guard is for systems where a Guard is a process.
func guard() error { return Supported() }
