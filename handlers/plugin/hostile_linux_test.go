package plugin_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/handlers/plugin"
)

// endThread ends the thread that calls it, and no other.
func endThread() { _, _, _ = unix.Syscall(unix.SYS_EXIT, 0, 0, 0) }

// gone waits until a handler has no processes.
func gone(t *testing.T, h *plugin.Handler) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	end := time.NewTimer(limit)
	defer end.Stop()
	for n, _ := h.State(); n > 0; n, _ = h.State() {
		select {
		case <-tick.C:
		case <-end.C:
			t.Fatalf("%d processes are left", n)
		}
	}
}

// What a program takes is seen also where it hides it, and where it has no task.
func TestPluginTakesTooMuch(t *testing.T) {
	for do, c := range map[string]struct{ memory, want string }{
		"headless": {"64MiB", "more than 64 MiB"},
		"threads":  {"16GiB", "more than 1024 threads"}, // the stacks of so many are mapped
	} {
		t.Run(do, func(t *testing.T) {
			h := open(t, folder(t, fmt.Sprintf("memory = %q", c.memory)))
			_, _, err := doOne(t, h, order{Do: do})
			if !errors.Is(err, &bus.Error{Code: bus.CodeFailed}) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("idle", func(t *testing.T) {
		h := open(t, folder(t, `memory = "64MiB"`))
		if _, _, err := doOne(t, h, order{Say: []string{`{"result":1}`}, Do: "eat"}); err != nil {
			t.Fatal(err)
		}
		gone(t, h)
	})
}

func doOne(t *testing.T, h *plugin.Handler, o order) ([]string, json.RawMessage, error) {
	t.Helper()
	return do(t, h, "t1", o)
}

// A program that may be what fills the disk is ended, and what it wrote is free again.
func TestPluginFillsTheDisk(t *testing.T) {
	var full atomic.Bool
	h := open(t, folder(t, ""), func(c *plugin.Config) {
		c.Disk = func() (uint64, error) {
			if full.Load() {
				return 1 << 20, errors.New("1 MiB is free")
			}
			return 1 << 30, nil
		}
	})
	payload := json.RawMessage(`{"say":["{\"output\":1}"],"do":"hang"}`)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	_, err := h.Handle(ctx, &bus.Task{ID: "t1", Type: "shout", Payload: payload}, func(any) error {
		full.Store(true)
		return nil
	})
	if !errors.Is(err, &bus.Error{Code: bus.CodeFailed}) || !strings.Contains(err.Error(), "1 MiB is free") {
		t.Errorf("%v", err)
	}
	tell(t, h) // on a disk that is full already it may work
}

// A program that does not read its tasks does not have them pile up here.
func TestPluginIsDeaf(t *testing.T) {
	h := open(t, folder(t, `run = ["sh", "-c", "echo '{\"result\":1}'; exec sleep 1000"]`), soon)
	if _, res, err := doOne(t, h, order{Say: []string{strings.Repeat("x", 1<<20)}}); err != nil || string(res) != "1" {
		t.Errorf("%s, %v", res, err)
	}
	gone(t, h)
}

// An error that goes through the swarm is no place for much else.
func TestPluginTellsALongError(t *testing.T) {
	h := open(t, folder(t, ""))
	_, _, err := doOne(t, h, order{Say: []string{`{"error":{"message":"a` + strings.Repeat("ö", 1<<20) + `","hint":"` + strings.Repeat("x", 1<<20) + `"}}`}})
	e := bus.AsError(err)
	if e == nil || len(e.Message) != 4095 || len(e.Hint) != 4096 {
		t.Fatalf("%d bytes: %.100v", len(err.Error()), err)
	}
}

// What a program wrote goes also where it has made folders that nobody but root may read.
func TestPluginsUnreadableFolders(t *testing.T) {
	temp, err := os.MkdirTemp("", "") //nolint:usetesting // what t.TempDir makes is in a folder that another user does not enter
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(temp)
	const nobody = 65534
	if os.Getuid() == 0 {
		if err := os.Chown(temp, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	made := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: it is another user's from here on
		if os.Getuid() == 0 {
			_, _ = unix.SetfsuidRetUid(nobody) // it tells no errors: below, Mkdir does
		}
		inner := filepath.Join(temp, "temp", "a", "b")
		err := errors.Join(os.MkdirAll(filepath.Dir(inner), 0o700), os.Mkdir(inner, 0o300), os.Mkdir(filepath.Join(inner, "c"), 0), syscall.Chmod(filepath.Dir(inner), 0o300))
		if err == nil {
			err = plugin.Clean(filepath.Join(temp, "temp"))
		}
		made <- err
	}()
	if err := <-made; err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(temp, "temp")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what it wrote: %v", err)
	}
}
