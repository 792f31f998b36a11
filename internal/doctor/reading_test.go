package doctor_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/internal/doctor"
)

// Where the kernel does not hold back what reads foreign documents, or in part, that is said, and what helps.
func TestReadingIsNotHeldBack(t *testing.T) {
	t.Parallel()
	const why, helps = "there is no Landlock here", "use another kernel"
	for _, c := range []struct {
		hidden, filtered bool
		hint, says       string
	}{
		{false, false, "", "has the files and the network of mycod,"}, // as a mycod from before the two says
		{false, true, helps, "has no network and starts no programs, but has the files of mycod"},
		{true, false, helps, "sees no files, but has the network of mycod"},
	} {
		f := well()
		f.Daemon.Unconfined, f.Daemon.UnconfinedHint, f.Daemon.Hidden, f.Daemon.Filtered = why, c.hint, c.hidden, c.filtered
		r := doctor.Examine(f)
		if !slices.ContainsFunc(r.Checks, func(is doctor.Check) bool {
			return is.Name == "documents" && is.Status == doctor.Warn && strings.Contains(is.Detail, c.says) && strings.HasSuffix(is.Detail, why) &&
				strings.HasPrefix(is.Hint, c.hint) && strings.Contains(is.Hint, "--no-files --no-web")
		}) {
			t.Errorf("%+v: %+v", c, r.Checks)
		}
	}
}
