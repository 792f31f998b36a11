package plugin_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/handlers/plugin"
)

// until waits for what others do.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	end := time.NewTimer(limit)
	defer end.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-end.C:
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

// A handler that leaves ends the task that it has as any other, and then its process. Who follows has its slot when
// that is free.
func TestHandlerLeaves(t *testing.T) {
	dir := folder(t, "slots = 2")
	h := open(t, dir)
	slots := func(h *plugin.Handler) int {
		c, err := h.Capability(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return c.Slots
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	var next *plugin.Handler
	idle := 0
	res, err := h.Handle(ctx, &bus.Task{ID: "t1", Type: "shout", Payload: json.RawMessage(`{"say":["{\"output\":1}","{\"result\":2}"]}`)}, func(any) error {
		idle = tell(t, h).PID
		h.Leave()
		if n, _ := h.State(); n != 1 || !errors.Is(syscall.Kill(idle, 0), syscall.ESRCH) {
			t.Errorf("%d processes, that with the task alone should be left", n)
		}
		next = open(t, dir, func(c *plugin.Config) { c.Before = h })
		if slots(h) != 0 || slots(next) != 1 {
			t.Errorf("it offers %d slots, who follows %d: want 0 and 1, for it has a task", slots(h), slots(next))
		}
		return nil
	})
	if raw, _ := res.(json.RawMessage); err != nil || string(raw) != "2" {
		t.Errorf("the task that it had: %v, %v", res, err)
	}
	if n, _ := h.State(); n != 0 || slots(next) != 2 {
		t.Errorf("%d processes after the task, %d slots of who follows", n, slots(next))
	}
	// A task may have been on its way to it.
	tell(t, h)
	if n, _ := h.State(); n != 0 {
		t.Errorf("%d processes are kept", n)
	}
}

// One whose program has gone meanwhile gives a task back, and that is no failure of the task.
func TestHandlerLeavesWithoutItsProgram(t *testing.T) {
	h := open(t, folder(t, "unconfined = true\nrun = [\"/bin/sh\"]"))
	h.Leave()
	if err := os.RemoveAll(h.Dir); err != nil {
		t.Fatal(err)
	}
	_, _, err := do(t, h, "t1", order{})
	if !errors.Is(err, &bus.Error{Code: bus.CodeUnavailable}) || !bus.IsRetry(err) || bus.IsRetryFew(err) {
		t.Errorf("%v", err)
	}
}

// All processes end at once, and not one after the other, though what they started keeps their output open.
func TestHandlerCloses(t *testing.T) {
	h := open(t, folder(t, `unconfined = true
slots = 2
run = ["/bin/sh", "-c", 'read -r t; setsid sleep 1000 & echo "{\"output\":[$$,$!]}"; echo "{\"result\":1}"; read -r t']`))
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	var pids [][2]int
	var one func()
	one = func() {
		_, err := h.Handle(ctx, &bus.Task{ID: "t1", Type: "shout"}, func(chunk any) error {
			var p [2]int
			if err := json.Unmarshal(chunk.(json.RawMessage), &p); err != nil {
				return err
			}
			if pids = append(pids, p); len(pids) == 1 {
				one() // in a process of its own
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	one()
	t.Cleanup(func() {
		for _, p := range pids {
			_ = syscall.Kill(p[1], syscall.SIGKILL) // gone, where all is well
		}
	})
	// Until setsid has run, what they started is of their group, which ends with them.
	for _, p := range pids {
		until(t, fmt.Sprintf("process %d leaves their group", p[1]), func() bool {
			group, err := syscall.Getpgid(p[1])
			return err == nil && group == p[1]
		})
	}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		h.Close()
	}()
	for _, p := range pids {
		until(t, fmt.Sprintf("process %d ends", p[0]), func() bool { return errors.Is(syscall.Kill(p[0], 0), syscall.ESRCH) })
	}
	select {
	case <-closed:
		t.Error("nothing kept their output open")
	default:
	}
	for _, p := range pids {
		if err := syscall.Kill(p[1], syscall.SIGKILL); err != nil {
			t.Error(err)
		}
	}
	<-closed
}
