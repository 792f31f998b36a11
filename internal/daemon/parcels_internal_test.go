package daemon

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Who reads an output slowly comes to its end, and to a large result, late. For others there is room before.
func TestALentParcelWaitsForASlowReader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newParcels()
		lend := func(data string, wanted func() bool) bus.Blob {
			b, err := p.lend([]byte(data), wanted)
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		var left atomic.Bool
		b := lend("result", func() bool { return true })
		gone := lend("nobody's", func() bool { return true })
		lend("of one who leaves", func() bool { return !left.Load() })
		lend("of one who waits for an answer", nil)
		time.Sleep(90 * time.Second)
		synctest.Wait()
		if want := int64(len("result" + "nobody's" + "of one who leaves")); p.size != want {
			t.Errorf("%d bytes are counted after a minute, want %d", p.size, want)
		}
		left.Store(true)
		time.Sleep(time.Minute)
		synctest.Wait()
		if want := int64(len("result" + "nobody's")); p.size != want {
			t.Errorf("%d bytes are counted after one has left, want %d", p.size, want)
		}
		time.Sleep(6*time.Minute + 30*time.Second)
		if data, err := p.piece(b.Token, 0); err != nil || string(data) != "result" {
			t.Errorf("%q, %v", data, err)
		}
		time.Sleep(2 * time.Minute)
		if _, err := p.piece(gone.Token, 0); !errors.Is(err, &bus.Error{Code: bus.CodeNotFound}) || p.size != 0 {
			t.Errorf("%v, and %d bytes are counted, want that what nobody fetches is gone", err, p.size)
		}
	})
}

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
	err := d.told(t.Context(), nil, "", &info) // there is no node to fetch it from
	if e := bus.AsError(err); !errors.Is(err, &bus.Error{Code: bus.CodeBusy}) || e.Hint == "" || !strings.Contains(e.Hint, "t1") {
		t.Errorf("%v, want %s and what to do", err, bus.CodeBusy)
	}
	if info.ResultBlob != &blob || d.parcels.size != parcelRoom {
		t.Errorf("%+v is left, and %d bytes are counted", info, d.parcels.size)
	}
}
