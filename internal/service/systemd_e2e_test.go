//go:build e2e && linux

package service_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/mycoswarm/mycoswarm/internal/service"
)

// exposure is what systemd-analyze may find at most, in tenths of 10: "OK" begins below 40. What is left
// of a service of the machine is the network, its GPUs and what others run; a user's systemd can hold back
// less.
var exposure = map[bool]string{true: "22", false: "66"}

// systemd reads both units without a word of complaint, and finds them held back as far as they can be.
func TestSystemdReadsUnits(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, system := range []bool{true, false} {
		unit, err := service.Unit(system, self, []string{"--slots", "4", "--name", `a "b" %n $HOME`})
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), service.Name)
		if err := os.WriteFile(file, []byte(unit), 0o600); err != nil {
			t.Fatal(err)
		}
		scope := map[bool]string{true: "--system", false: "--user"}[system]
		analyze := func(args ...string) string {
			cmd := exec.CommandContext(t.Context(), "systemd-analyze", append([]string{"--no-pager", scope}, args...)...)
			cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+t.TempDir())
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("%v: %v\n%s", cmd, err, out)
			}
			return string(out)
		}
		if out := analyze("--man=no", "verify", file); out != "" {
			t.Errorf("%s: systemd says of the unit: %s", scope, out)
		}
		analyze("security", "--offline=true", "--threshold="+exposure[system], file)
	}
}
