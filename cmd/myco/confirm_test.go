package main

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

// A script is not asked, and nothing that cannot be undone is done unless it passes --yes.
func TestWithoutATerminalItWantsYes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ command, verb, again string }{
		{"leave", bus.VerbLeave, "myco leave --yes"},
		{"rotate --swarm", bus.VerbRotateSwarm, "myco rotate --swarm --yes"},
		{"revoke tower", bus.VerbRevoke, "myco revoke --yes " + string(other)},
		{"nodes revoke tower", bus.VerbRevoke, "myco revoke --yes " + string(other)},
	} {
		t.Run(tt.command, func(t *testing.T) {
			t.Parallel()
			d := setup(t)
			on(d, bus.SubjectRPC(self, bus.VerbNodes), func(struct{}) any { return bus.Roster{Here: self, Members: members()} })
			var done atomic.Int32
			on(d, payload(tt.verb), func(struct{}) any {
				done.Add(1)
				return struct{}{}
			})
			args := strings.Fields(tt.command)
			d.mycoIn(t.Context(), "y\n", args...).want(t, 2, "nothing was changed", "no terminal", "try: "+tt.again)
			d.mycoIn(t.Context(), "y\n", append(args, "--json")...).want(t, 2, tt.again)
			if n := done.Load(); n != 0 {
				t.Errorf("it was done %d times without --yes", n)
			}
			d.myco(append(args, "--yes")...).want(t, 0)
			if n := done.Load(); n != 1 {
				t.Errorf("it was done %d times with --yes, want once", n)
			}
		})
	}
}
