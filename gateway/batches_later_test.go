package gateway_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// A request that no node can answer at present waits, whatever keeps it, and is no error.
func TestBatchesWaitForAModel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		keeps := []bus.Code{bus.CodeNoWorker, bus.CodeBusy, bus.CodeUnavailable, bus.CodeNoSpace}
		n := 0
		o, _ := newOracle(t, func(task bus.Task, out func(bus.Chunk) error) (any, error) {
			if n++; n <= len(keeps) {
				return nil, bus.Errorf(keeps[n-1], "not now")
			}
			return paris()(task, out)
		})
		g, stop := batching(t, o, t.TempDir())
		defer stop()
		b := begins(t, g, key, "/v1/completions", asks("a", "/v1/completions", `{"model":"m","prompt":"hi"}`))
		time.Sleep(time.Minute)
		b = becomes(t, g, key, b["id"].(string), "completed")
		if out := came(t, g, key, b["output_file_id"]); n != len(keeps)+1 || !strings.HasPrefix(out["a"], "200") {
			t.Errorf("asked %d times: %v", n, out)
		}
	})
}

// What an engine fails at is an error at once: the same one would fail again, for a day.
func TestBatchesAskOnceWhatFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := 0
		o, _ := newOracle(t, func(bus.Task, func(bus.Chunk) error) (any, error) {
			n++
			return nil, bus.Errorf(bus.CodeFailed, "the engine has no such thing")
		})
		g, stop := batching(t, o, t.TempDir())
		defer stop()
		b := begins(t, g, key, "/v1/completions", asks("a", "/v1/completions", `{"model":"m","prompt":"hi"}`))
		time.Sleep(time.Minute)
		b = becomes(t, g, key, b["id"].(string), "completed")
		if out := came(t, g, key, b["error_file_id"]); n != 1 || !strings.HasPrefix(out["a"], "502") {
			t.Errorf("asked %d times: %v", n, out)
		}
	})
}
