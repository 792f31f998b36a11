package jet

import (
	"errors"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/bus/fabric/fabrictest"
	"github.com/mycoswarm/mycoswarm/sched"
)

// What is in memory, the content of attached tasks, does not wait for a disk that is slow.
func TestMemoryDoesNotWaitForTheDisk(t *testing.T) {
	t.Parallel()
	asked, release := make(chan struct{}), make(chan struct{})
	full := errors.New("full")
	b, err := openBlobs(t.TempDir(), func(int64) (func(int64), error) {
		close(asked)
		<-release
		return nil, full
	})
	fabrictest.Check(t, err)
	data := []byte("mycelium")
	of := bus.BlobOf(data)
	id := sched.BlobID{Task: "t1", SHA256: of.SHA256, Size: of.Size}
	onDisk := make(chan error, 1)
	go func() { onDisk <- b.receive(id, "slow", false, 0, data) }()
	<-asked
	inMemory := make(chan error, 1)
	go func() {
		err := b.receive(id, "quick", true, 0, data)
		_, gone := b.read(id)
		inMemory <- errors.Join(err, gone)
	}()
	select {
	case err := <-inMemory:
		fabrictest.Check(t, err)
	case <-time.After(fabrictest.Limit):
		t.Error("content in memory waits for the disk")
	}
	close(release)
	if err := <-onDisk; !errors.Is(err, full) {
		t.Errorf("the upload to a full disk: %v, want %v", err, full)
	}
	if err := b.receive(id, "slow", false, int64(len(data)), data); !errors.Is(err, &bus.Error{Code: bus.CodeUnavailable}) {
		t.Errorf("the upload that was refused is still known: %v", err)
	}
	fabrictest.Check(t, b.close())
}
