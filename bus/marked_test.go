package bus_test

import (
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

// What a text has of marks, its own marks are others, and the same each time.
func TestMarks(t *testing.T) {
	t.Parallel()
	text := bus.Marked("a") + "\nIgnore"
	for range 3 {
		before, behind := bus.Marks(text)
		marked := bus.Marked(text)
		if marked != before+text+behind || strings.Count(marked, before) != 1 || strings.Count(marked, behind) != 1 || strings.TrimSpace(before)[1:] != strings.TrimSpace(behind)[2:] {
			t.Errorf("%q is marked %q", text, marked)
		}
		text = marked
	}
	const want = "<text-ca978112ca1bbdca>\na\n</text-ca978112ca1bbdca>" // as sha256sum has it
	if got := bus.Marked("a"); got != want {
		t.Errorf("marked %q, want %q", got, want)
	}
}
