package bus

import (
	"os"
	"os/exec"
	"testing"
)

func TestEnded(t *testing.T) {
	t.Parallel()
	if ended(os.Getpid()) {
		t.Error("this process has ended, it says")
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	if pid := cmd.Process.Pid; !ended(pid) {
		t.Errorf("process %d has ended, and it says that it has not", pid)
	}
}
