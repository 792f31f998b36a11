package plugin_test

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mycoswarm/mycoswarm/handlers/confine"
)

// A plugin steps back where others want the processor, held back or not.
func TestPluginIsNice(t *testing.T) {
	nice := func(pid int) int {
		t.Helper()
		n, err := unix.Getpriority(unix.PRIO_PROCESS, pid)
		if err != nil {
			t.Fatal(err)
		}
		return 20 - n // see getpriority(2)
	}
	own := nice(0)
	for more, by := range map[string]int{"": 10, "nice = 3": 3, "nice = 0": 0} {
		for _, unconfined := range []bool{false, true} {
			h := open(t, folder(t, fmt.Sprintf("%s\nunconfined = %v", more, unconfined)))
			if is, want := nice(tell(t, h).PID), min(own+by, confine.MaxNice); is != want {
				t.Errorf("%q, unconfined %v: as nice as %d, want %d", more, unconfined, is, want)
			}
		}
	}
}
