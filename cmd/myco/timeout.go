package main

import (
	"context"
	"strings"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// timeoutGrace is how much longer than the task's own timeout the command waits for the daemon
// to say that it expired.
const timeoutGrace = 5 * time.Second

// checkTimeout looks at the value of --timeout. A script whose variable is 0 by mistake is not to wait for ever.
func checkTimeout(flag *time.Duration) *bus.Error {
	switch d := given(flag); {
	case flag != nil && d <= 0:
		return bus.Errorf(bus.CodeInvalid, "--timeout %v: want more than 0", d).WithHint("--timeout 1m; without it there is no limit")
	case d > bus.MaxTimeout:
		return bus.Errorf(bus.CodeInvalid, "--timeout %v: want at most %s, 30 days", spell(d), spell(bus.MaxTimeout)).
			WithHint("--timeout %s; without it there is no limit", spell(bus.MaxTimeout))
	}
	return nil
}

// inTime is ctx for what waits for a task of that timeout; want is what it waits for.
func inTime(ctx context.Context, timeout, grace time.Duration, want string) (context.Context, context.CancelFunc) {
	if timeout <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, timeout+grace, bus.Errorf(bus.CodeTimeout, "no %s within %s", want, spell(timeout)))
}

// late tells how to give a task more time that had too little of it, and leaves other errors as they are.
func late(err error, timeout time.Duration, want string) error {
	e := bus.AsError(err)
	if e == nil || timeout <= 0 || e.Code != bus.CodeExpired && e.Code != bus.CodeTimeout || e.Hint != "" {
		return err
	}
	longer := *e
	if e.Code == bus.CodeExpired {
		longer.Message = "no " + want + " within " + spell(timeout) + ": " + e.Message
	}
	if timeout >= bus.MaxTimeout {
		return longer.WithHint("myco top shows what the swarm is busy with")
	}
	return longer.WithHint("give it longer: --timeout %s", spell(min(bus.MaxTimeout, max(time.Minute, 2*timeout))))
}

// spell is a time as people write it: 1m, and not 1m0s.
func spell(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
