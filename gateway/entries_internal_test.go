package gateway

import (
	"runtime"
	"strings"
	"testing"
)

// A long field is part of the request, and not a copy; a short one does not keep the rest in memory.
func TestSplitCopiesNoLongField(t *testing.T) {
	image := `"` + strings.Repeat("x", 8<<20) + `"`
	b := []byte(`{"model":"m","image":` + image + `,"options":{}}`)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f, err := split(b)
	runtime.ReadMemStats(&after)
	if grew := after.TotalAlloc - before.TotalAlloc; err != nil || grew > 1<<20 {
		t.Errorf("%v; it allocates %d bytes", err, grew)
	}
	if string(f["image"]) != image || string(f["model"]) != `"m"` || string(f["options"]) != "{}" || len(f) != 3 {
		t.Errorf("%d fields", len(f))
	}
	if clear(b); string(f["model"]) != `"m"` {
		t.Error("a short field is part of the request")
	}
}
