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

// Whatever is accepted between two looks, at any rate, the reserve stays free; and what is being written
// while the disk is looked at is counted once at least.
func TestNoRatePassesTheReserve(t *testing.T) {
	t.Parallel()
	const total, reserve, piece = 24 << 20, 8 << 20, 64 << 10
	used := uint64(0)
	during := func() {} // what goes on while the disk is looked at
	r := &room{dir: "/data", name: "tower", usage: func(string) (uint64, uint64, error) {
		free := total - used
		during()
		return free, total, nil
	}}
	if err := r.look(); err != nil {
		t.Fatal(err)
	}
	// All at once, without a look.
	fill := func() (accepted int) {
		for total-used > 0 {
			release, err := r.take(piece)
			if err != nil {
				break
			}
			used += piece
			accepted++
			release()
		}
		return accepted
	}
	accepted := fill()
	if total-used < reserve || accepted != (total-reserve)/piece {
		t.Errorf("%d pieces were accepted, and %d MiB are free", accepted, (total-used)>>20)
	}
	if err := r.check(); err == nil || !errors.Is(r.look(), err) && r.look() == nil {
		t.Errorf("it is full: %v", err)
	}

	// Half is freed. While the disk is looked at, one piece is being written, and one is done.
	used = 12 << 20
	if err := r.look(); err != nil {
		t.Fatalf("with 12 MiB free: %v", err)
	}
	first, err := r.take(piece)
	if err != nil {
		t.Fatal(err)
	}
	during = func() {
		second, err := r.take(piece)
		if err != nil {
			t.Fatal(err)
		}
		used += 2 * piece // the disk has told before
		first()
		second()
	}
	if err := r.look(); err != nil {
		t.Fatal(err)
	}
	during = func() {}
	fill()
	if total-used < reserve {
		t.Errorf("%d bytes below the reserve are in use", reserve-(total-used))
	}
	if err := r.look(); err == nil {
		t.Errorf("%d MiB are free, and it is not full", (total-used)>>20)
	}
	if r.taken != 0 || r.written != 0 {
		t.Errorf("%d bytes are still counted, %d of them written", r.taken, r.written)
	}
}

// A blob has to fit in beside the reserve.
func TestRoomForABlob(t *testing.T) {
	t.Parallel()
	r := &room{dir: "/data", name: "tower", usage: func(string) (uint64, uint64, error) { return 100 << 20, 200 << 20, nil }}
	if err := r.look(); err != nil {
		t.Fatal(err)
	}
	release, err := r.takeLarge(80 << 20)
	if err != nil {
		t.Fatalf("80 MiB of 90: %v", err)
	}
	if _, err := r.takeLarge(11 << 20); err == nil {
		t.Error("11 MiB were taken where 10 are left")
	}
	if err := r.check(); err != nil {
		t.Errorf("what is smaller fits no more: %v", err)
	}
	release(80 << 20)
	release(80 << 20) // it had no more
	if err := r.look(); err != nil {
		t.Fatal(err)
	}
	if r.taken != 0 || r.written != 0 {
		t.Errorf("%d bytes are still counted, %d of them written", r.taken, r.written)
	}
	_, err = r.takeLarge(91 << 20)
	if !errors.Is(err, &bus.Error{Code: bus.CodeNoSpace}) || !strings.Contains(err.Error(), "tower") || !strings.Contains(err.Error(), "/data") {
		t.Errorf("91 MiB of 90: %v, want %s naming node and path", err, bus.CodeNoSpace)
	}
}

// What is written of a blob is counted once: by the disk. So a blob that fits does not fill it.
func TestRoomForABlobAsItIsWritten(t *testing.T) {
	t.Parallel()
	free := uint64(100 << 20)
	r := &room{dir: "/data", name: "tower", usage: func(string) (uint64, uint64, error) { return free, 200 << 20, nil }}
	if err := r.look(); err != nil {
		t.Fatal(err)
	}
	const step = 16 << 20
	release, err := r.takeLarge(5 * step)
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		free -= step
		release(step)
		if err := r.look(); err != nil {
			t.Fatalf("with %d MiB free: %v", free>>20, err)
		}
		if want := free - (5*step - (100<<20 - free)); r.left() != want {
			t.Errorf("%d MiB are left, want %d", r.left()>>20, want>>20)
		}
	}
	if r.taken != 0 || r.written != 0 {
		t.Errorf("%d bytes are still counted, %d of them written", r.taken, r.written)
	}
	free = 9 << 20
	full := r.look()
	if _, err := r.takeLarge(1); full == nil || !errors.Is(err, full) {
		t.Errorf("on a full disk: %v, want %v", err, full)
	}
}
