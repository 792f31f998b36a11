//go:build unix

package jet_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/mycoswarm/mycoswarm/bus"
)

// However many wait for a disk that hangs, what is in memory is had all the same. They are not too many: each takes memory, too.
func TestMemoryIsServedWhileTheDiskHangs(t *testing.T) {
	t.Parallel()
	var f *os.File
	t.Cleanup(func() { check(t, f.Close()) })
	nodes := swarm(t, 2, 0)
	here, far := nodes[0], nodes[1]
	disk, _ := largeBlob("t1")
	name := string(disk.Task) + ".in." + disk.SHA256
	path := filepath.Join(here.dir, "blobs", name)
	check(t, syscall.Mkfifo(path, 0o600)) // whoever opens it waits for one who writes
	t.Cleanup(func() {                    // before the nodes stop
		var err error
		f, err = os.OpenFile(path, os.O_RDWR, 0)
		check(t, err)
	})
	for range 64 + 1024 {
		check(t, far.fabric.PublishMsg(&nats.Msg{
			Subject: bus.SubjectBlob(here.ID, "get"), Reply: far.fabric.NewInbox(),
			Header: nats.Header{"Myco-Blob": {name}, "Myco-Size": {"1"}, "Myco-Offset": {"0"}},
		}))
	}
	memory, data := largeBlob("t2")
	check(t, far.jet.PutBlob(t.Context(), here.ID, memory, true, data))
	check(t, far.jet.HasBlob(t.Context(), here.ID, memory))
	if got, err := far.jet.GetBlob(t.Context(), here.ID, memory); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes, error %v", len(got), err)
	}
	if err := far.jet.HasBlob(t.Context(), here.ID, disk); !errors.Is(err, &bus.Error{Code: bus.CodeBusy}) {
		t.Errorf("one more that waits for the disk is told %v, want %s", err, bus.CodeBusy)
	}
}
