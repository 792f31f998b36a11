//go:build linux

package confine

import (
	"strings"
	"syscall"
	"testing"
)

// Why there is no Landlock is told apart, as what helps is another thing for each.
func TestWhyNoLandlock(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		release   string
		err       error
		filtered  bool
		why, help string
	}{
		{"4.4.302+", syscall.ENOSYS, true, "this kernel is 4.4.302+", "5.13"},
		{"5.10.55-generic", syscall.ENOSYS, false, "this kernel is 5.10.55-generic", "5.13"},
		{"6.1.0-13-amd64", syscall.EOPNOTSUPP, true, "turned off", "lsm="},
		{"5.15.0", syscall.EPERM, true, "the container", "--security-opt seccomp=unconfined"},
		{"6.1.0", syscall.ENOSYS, true, "the container", "20.10.18"},
		{"6.1.0", syscall.ENOSYS, false, "built without", "CONFIG_SECURITY_LANDLOCK"},
		{"odd", syscall.ENOSYS, false, "built without", "CONFIG_SECURITY_LANDLOCK"},
	} {
		if lack := whyNoLandlock(c.release, c.err, c.filtered); !strings.Contains(lack.Why, c.why) || !strings.Contains(lack.Help, c.help) {
			t.Errorf("%s, %v, %v: %+v, want %q and %q", c.release, c.err, c.filtered, lack, c.why, c.help)
		}
	}
}
