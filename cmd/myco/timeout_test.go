package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// A time that is too long or none is refused by the name of its flag, with one that would do.
func TestTimeoutIsATime(t *testing.T) {
	t.Parallel()
	d := setup(t)
	for _, command := range []string{"ask hello", "run ping", "fetch https://a.example", "search mushrooms"} {
		args := strings.Fields(command)
		d.myco(append(args, "--timeout=-1s")...).want(t, 2, "--timeout -1s: want more than 0", "try: --timeout 1m")
		d.myco(append(args, "--timeout=721h")...).want(t, 2, "--timeout 721h: want at most 720h, 30 days", "try: --timeout 720h")
	}
}

// A task that had too little time says how much it had, and is offered more.
func TestTooLittleTime(t *testing.T) {
	t.Parallel()
	const queue = "its deadline passed in the queue"
	expired := bus.Errorf(bus.CodeExpired, queue)
	for _, c := range []struct {
		err          error
		timeout      time.Duration
		message, try string
	}{
		{expired, time.Millisecond, "no page within 1ms: " + queue, "give it longer: --timeout 1m"},
		{expired, 45 * time.Second, "no page within 45s: " + queue, "give it longer: --timeout 1m30s"},
		{expired, 90 * time.Minute, "no page within 1h30m: " + queue, "give it longer: --timeout 3h"},
		{expired, bus.MaxTimeout, "no page within 720h: " + queue, "myco top shows what the swarm is busy with"},
		{expired, bus.MaxTimeout - time.Hour, "no page within 719h: " + queue, "give it longer: --timeout 720h"},
		{expired, 0, queue, ""},
		{bus.Errorf(bus.CodeTimeout, "no page within 1m"), time.Minute, "no page within 1m", "give it longer: --timeout 2m"},
		{bus.Errorf(bus.CodeFailed, "broken"), time.Second, "broken", ""},
	} {
		if e := bus.AsError(late(c.err, c.timeout, "page")); e.Message != c.message || e.Hint != c.try {
			t.Errorf("%v after %v: %q, %q; want %q, %q", c.err, c.timeout, e.Message, e.Hint, c.message, c.try)
		}
	}
	if late(nil, time.Second, "page") != nil {
		t.Error("an error of nothing")
	}
	ctx, cancel := inTime(t.Context(), time.Nanosecond, 0, "page")
	defer cancel()
	<-ctx.Done()
	if err := context.Cause(ctx); err.Error() != "no page within 1ns" {
		t.Errorf("%v, want it to say what was waited for", err)
	}
}
