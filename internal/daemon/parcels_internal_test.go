package daemon

import (
	"errors"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

// A large result is not fetched unless there is room for it.
func TestResultHasNoRoom(t *testing.T) {
	t.Parallel()
	d := &Daemon{parcels: newParcels()}
	blob := bus.Blob{SHA256: strings.Repeat("0", 64), Size: bus.MaxPayload}
	for range 2 {
		if err := d.parcels.reserve(blob.Size); err != nil {
			t.Fatal(err)
		}
	}
	info := bus.TaskInfo{ID: "t1", ResultBlob: &blob}
	err := d.told(t.Context(), nil, &info) // there is no node to fetch it from
	if e := bus.AsError(err); !errors.Is(err, &bus.Error{Code: bus.CodeBusy}) || e.Hint == "" || !strings.Contains(e.Hint, "t1") {
		t.Errorf("%v, want %s and what to do", err, bus.CodeBusy)
	}
	if info.ResultBlob != &blob || d.parcels.size != parcelRoom {
		t.Errorf("%+v is left, and %d bytes are counted", info, d.parcels.size)
	}
}
