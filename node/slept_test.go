package node_test

import (
	"testing"

	"github.com/mycoswarm/mycoswarm/node"
)

// This machine is not suspended while it runs a test, so that two readings differ by no more than the time between
// two readings of clocks.
func TestSleptStandsStillWhileAwake(t *testing.T) {
	t.Parallel()
	a := node.Slept()
	if d := node.Slept() - a; a < 0 || d.Seconds() > 30 || d.Seconds() < -30 {
		t.Errorf("slept for %v, and for %v more a moment later", a, d)
	}
}
