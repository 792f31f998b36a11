package daemon

import (
	"context"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// A node tells its address five times a second, and on a machine with many containers to list them
// takes a millisecond and more.
func TestAddressesAreNotListedForEachHeartbeat(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var listed byte
		list := func(context.Context) []netip.Addr {
			listed++
			return []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, listed})}
		}
		var own ownAddrs
		for range 51 {
			own.get(list)
			time.Sleep(200 * time.Millisecond)
		}
		if listed != 6 {
			t.Errorf("listed %d times in 10 s of heartbeats, want 6", listed)
		}
		time.Sleep(addrsFor)
		if got := own.get(list); got[0].As4()[3] != 7 {
			t.Errorf("after %v it is still %v", addrsFor, got)
		}
	})
}
