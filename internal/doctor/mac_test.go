package doctor_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/doctor"
)

// TestMacIsTold finds what keeps a program of a Mac from the machines around it only where the node is on one.
func TestMacIsTold(t *testing.T) {
	t.Parallel()
	for _, system := range []string{"darwin", "linux"} {
		f := well()
		f.Daemon.OS, f.Daemon.MDNS.Others = system, 0
		lost(&f, bus.DialDiagnosis{Addr: "192.0.2.1:7422", Result: bus.DialNoWay})
		checks := doctor.Examine(f).Checks
		for _, name := range []string{"route", "mDNS"} {
			i := slices.IndexFunc(checks, func(c doctor.Check) bool { return c.Name == name && c.Status != doctor.OK })
			if i < 0 {
				t.Fatalf("%s: nothing is said of %s: %+v", system, name, checks)
			}
			if told := strings.Contains(checks[i].Hint, "Privacy & Security > Local Network"); told != (system == "darwin") {
				t.Errorf("%s: the hint about %s is %q", system, name, checks[i].Hint)
			}
		}
	}
}
