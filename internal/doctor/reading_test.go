package doctor_test

import (
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/internal/doctor"
)

// Where the kernel does not hold back what reads foreign documents, that is said.
func TestReadingIsNotHeldBack(t *testing.T) {
	t.Parallel()
	f := well()
	f.Daemon.Unconfined = "there is no Landlock here"
	r := doctor.Examine(f)
	for _, c := range r.Checks {
		if c.Name == "documents" && c.Status == doctor.Warn && strings.Contains(c.Detail, f.Daemon.Unconfined) && strings.Contains(c.Hint, "--no-files --no-web") {
			return
		}
	}
	t.Errorf("%+v", r.Checks)
}
