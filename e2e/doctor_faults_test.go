//go:build e2e && linux

package e2e_test

import (
	"testing"

	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// patched builds programs with a fault in them.
func patched(t *testing.T, patches ...harness.Patch) harness.Binaries {
	t.Helper()
	bin, err := harness.BuildPatched(t.Context(), t.TempDir(), patches...)
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

// The clock of one node is an hour ahead: each side names the other, and work goes on.
func TestDoctorNamesAWrongClock(t *testing.T) {
	t.Parallel()
	s := harness.New(t, programs)
	a := s.Found(t, "a")
	b := s.Node(t, "b")
	b.Use(patched(t, harness.Patch{
		File: "sched/node.go", Old: "c.Clock = time.Now\n",
		New: "c.Clock = func() time.Time { return time.Now().Add(time.Hour) }\n",
	}))
	b.Start(t, "--join", a.Invite(t))
	harness.Settle(t, a, b)
	eventually(t, a, "the clock of b is named", func(c checkup) string {
		if c.code != 0 || c.find("warn", "clocks: ", "that of b ", "1h0m0s ahead of this one", "NTP") == "" {
			return c.String()
		}
		return ""
	})
	eventually(t, b, "the clock of a is named", func(c checkup) string {
		if c.code != 0 || c.find("warn", "clocks: ", "that of a ", "1h0m0s behind this one", "NTP") == "" {
			return c.String()
		}
		return ""
	})
	if c := doctor(t, a, "--strict"); c.code != 1 {
		t.Errorf("--strict: %s", c)
	}
}

// Two daemons run from copies of one data directory, and neither gives way, as of a version that did not
// look for copies: both are named.
func TestDoctorNamesTwins(t *testing.T) {
	t.Parallel()
	s := harness.NewLAN(t, programs)
	a := s.Found(t, "a")
	b := s.Node(t, "b")
	stubborn := patched(t,
		harness.Patch{File: "internal/daemon/twin.go", Old: "if d.isCopy.CompareAndSwap(false, true) {", New: "if by.Boot == \"none\" {"},
		harness.Patch{File: "internal/daemon/twin.go", Old: "if by, older := d.copyAt(k); older {\n\t\t\treturn", New: "if by, older := d.copyAt(k); older && by.Boot == \"none\" {\n\t\t\treturn"},
		harness.Patch{File: "internal/daemon/twin.go", Old: "if by != nil {\n\t\treturn", New: "if by != nil && by.Boot == \"none\" {\n\t\treturn"})
	b.Use(stubborn)
	b.Start(t, "--join", a.Invite(t))
	harness.Settle(t, a, b)
	c := s.Node(t, "copy")
	c.Use(stubborn)
	copyDir(t, b.Dir, c.Dir)
	c.Launch(t, c.Flags()...)
	eventually(t, b, "both are named", func(r checkup) string {
		if r.code != 1 || r.find("fail", "identity: two daemons have the identity of "+string(b.Info.NodeID), b.Host.Addr.String(), c.Host.Addr.String(), "--data-dir") == "" {
			return r.String()
		}
		return ""
	})
	c.Kill()
}
