package plugin

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/handlers/confine"
)

const (
	// lookEvery is how often it is looked at what a task takes.
	lookEvery = 100 * time.Millisecond
	// maxThreads is how many threads, its processes' together, a program may have.
	maxThreads = 1024
	// idleEvery is how often at a process that has no task.
	idleEvery = time.Second
	// maxFilled is how much of a disk that is nearly full may have gone since a process was started, in bytes.
	maxFilled = 64 << 20
)

// watch looks at what the process takes, with a task and without, and ends it where that is too much. The disk had before
// bytes free when it was started.
func (p *process) watch(before uint64) {
	for looked := time.Now(); ; {
		every := idleEvery
		if p.busy.Load() {
			every = lookEvery
		}
		select {
		case <-p.ended:
			p.h.retire(p) // where it had no task, and nobody sees that it ended
			return
		case <-p.begun: // from now on more often, however many tasks there are
			continue
		case <-time.After(time.Until(looked.Add(every))):
		}
		looked = time.Now()
		if over := p.takes(before); over != nil {
			p.over.Store(over)
			p.cancel()
			if !p.busy.Load() {
				p.h.cfg.Log.Warn("a plugin is ended that has no task", "plugin", p.h.Name, "err", over)
			}
			<-p.ended
		}
	}
}

// takes returns what the process takes too much of. The disk had before bytes free when it was started.
func (p *process) takes(before uint64) *bus.Error {
	m := p.h.Manifest
	memory, threads := confine.Used(p.cmd.Process.Pid, m.Allow.Processes)
	free, full := p.h.cfg.disk()
	switch {
	case memory > int64(m.Memory):
		return bus.Errorf(bus.CodeFailed, "the plugin %s takes more than %d MiB of memory", p.h.Name, m.Memory>>20).WithHint("memory in its %s", ManifestName)
	case threads > maxThreads:
		return bus.Errorf(bus.CodeFailed, "the plugin %s has more than %d threads and processes", p.h.Name, maxThreads)
	case full != nil && free+maxFilled < before:
		return bus.Errorf(bus.CodeFailed, "the plugin %s was ended while it may be what fills the disk: %w", p.h.Name, full)
	}
	return nil
}

// Clean removes what programs left, in the folder that holds Config.Temp, that the last daemon could not end.
func Clean(dir string) error {
	if err := removeAll(dir); err != nil {
		return fmt.Errorf("empty the plugins' temporary folder: %w", err)
	}
	return nil
}

// removeAll removes a folder that a program of the same user wrote, which may have made folders that nobody reads.
func removeAll(dir string) error {
	if os.RemoveAll(dir) == nil {
		return nil
	}
	_ = filepath.WalkDir(dir, func(path string, e fs.DirEntry, _ error) error { // the second attempt tells what is left
		if e != nil && e.IsDir() {
			_ = os.Chmod(path, 0o700) //nolint:gosec // it is a folder
		}
		return nil
	})
	return os.RemoveAll(dir)
}
