package bus_test

import (
	"encoding/json"
	"sync/atomic"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

// The daemon hands a large result over for a minute. Who was at an earlier piece of the output for longer asks for it again.
func TestALargeResultThatIsReadLate(t *testing.T) {
	t.Parallel()
	d, c := setup(t)
	result := json.RawMessage(`{"n":1}`)
	told := func(token string) bus.TaskInfo {
		b := bus.BlobOf(result)
		b.Token = token
		return bus.TaskInfo{ID: "t1", State: bus.StateDone, ResultBlob: &b}
	}
	late := told("late")
	submits(d, text(1, 0, "a"), bus.Chunk{Attempt: 1, Seq: 1, End: &late})
	var away atomic.Bool
	on(d, payload(bus.VerbTask), func(bus.TaskRequest) any {
		if away.Load() {
			return bus.Errorf(bus.CodeUnavailable, "nobody has it any more")
		}
		return told("fresh")
	})
	lost := bus.Errorf(bus.CodeNotFound, "it has waited for too long")
	on(d, payload(bus.VerbDownload)+".late", func(int) any { return lost })
	var gone atomic.Bool
	on(d, payload(bus.VerbDownload)+".fresh", func(int) any {
		if gone.Load() {
			return lost
		}
		return result
	})
	var end *bus.TaskInfo
	for chunk, err := range c.Submit(t.Context(), bus.Task{ID: "t1", Type: "ping"}) {
		must(t, err)
		end = chunk.End
	}
	if end == nil || string(end.Result) != string(result) || end.ResultBlob != nil {
		t.Errorf("the end is %+v, want one with the result", end)
	}
	gone.Store(true)
	_, err := c.Task(t.Context(), "t1")
	wantCode(t, err, bus.CodeNotFound) // it was told a moment ago
	away.Store(true)                   // as the result of an attached task is, once it was told: to hand the task over anew is no way to it
	for _, err = range c.Submit(t.Context(), bus.Task{ID: "t1", Type: "ping"}) {
	}
	wantCode(t, err, bus.CodeNotFound)
}
