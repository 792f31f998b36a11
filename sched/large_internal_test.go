package sched

import (
	"encoding/json"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

// A program that knows no blobs must not run a task without its payload: it cannot read it.
func TestLargeJobIsNoJob(t *testing.T) {
	t.Parallel()
	b := bus.BlobOf([]byte("1"))
	large := Job{Task: bus.Task{ID: "t1", Type: "work"}, Submitter: "myco-000000000000", Blob: &b}
	small := large
	small.Blob, small.Task.Payload = nil, []byte("1")
	for _, j := range []Job{large, small} {
		got, err := readJob(j.message())
		if err != nil || string(marshal(got)) != string(marshal(j)) {
			t.Errorf("%s came back as %s, %v", marshal(j), marshal(got), err)
		}
	}
	if err := json.Unmarshal(large.message(), &Job{}); err == nil {
		t.Error("a job with a blob is read as one without")
	}
	for _, bad := range []string{"", "{", `{"task":"t1"}`, `{"task":"t1","large":{"task":{"id":"t1"}}}`} {
		if j, err := readJob([]byte(bad)); err == nil {
			t.Errorf("%q is read as %s", bad, marshal(j))
		}
	}
}
