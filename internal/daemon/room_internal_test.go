package daemon

import (
	"errors"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

func TestRoom(t *testing.T) {
	t.Parallel()
	var free, total uint64
	var broken error
	r := &room{dir: "/data", name: "tower", usage: func(string) (uint64, uint64, error) { return free, total, broken }}
	for _, step := range []struct {
		freeMB, totalMB uint64
		broken          error
		full            bool
		why             string
	}{
		{24, 24, nil, false, "an empty small disk"},
		{8, 24, nil, false, "what is left is the least reserve"},
		{7, 24, nil, true, "less"},
		{9, 24, nil, true, "a little more is no reason to begin again"},
		{0, 0, errors.New("gone"), true, "not known: nothing changes"},
		{11, 24, nil, false, "a quarter more is"},
		{0, 0, errors.New("gone"), false, "not known: nothing changes"},
		{1023, 100_000, nil, true, "a twentieth of a large disk is too much to keep"},
		{2000, 100_000, nil, false, "a gibibyte is enough"},
		{100, 4000, nil, true, "a twentieth of a disk in between"},
	} {
		free, total, broken = step.freeMB<<20, step.totalMB<<20, step.broken
		err := r.look()
		if (err != nil) != step.full || !errors.Is(r.check(), err) {
			t.Errorf("%s: %d of %d MiB free: %v", step.why, step.freeMB, step.totalMB, err)
		}
		if err != nil && (!errors.Is(err, &bus.Error{Code: bus.CodeNoSpace}) || !strings.Contains(err.Error(), "tower") || !strings.Contains(err.Error(), "/data")) {
			t.Errorf("the error names no node and path: %v", err)
		}
	}
}

// A blob has to fit in beside the reserve.
func TestRoomForABlob(t *testing.T) {
	t.Parallel()
	r := &room{dir: "/data", name: "tower", usage: func(string) (uint64, uint64, error) { return 100 << 20, 200 << 20, nil }}
	if err := r.fits(89 << 20); err != nil {
		t.Errorf("89 MiB of 90: %v", err)
	}
	err := r.fits(91 << 20)
	if !errors.Is(err, &bus.Error{Code: bus.CodeNoSpace}) || !strings.Contains(err.Error(), "tower") || !strings.Contains(err.Error(), "/data") {
		t.Errorf("91 MiB of 90: %v, want %s naming node and path", err, bus.CodeNoSpace)
	}
}
