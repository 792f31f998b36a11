package daemon

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/bus/store"
	"github.com/mycoswarm/mycoswarm/internal/config"
)

// What reads the output of a task for a client that may come back has ended when the daemon has.
func TestReadersEndWithTheDaemon(t *testing.T) {
	t.Parallel()
	d, ctx, stop, ended := running(t, config.Config{})
	task, err := bus.NewTask(bus.TypeInference, bus.InferenceRequest{Prompt: "What is the capital of France?"})
	if err != nil {
		t.Fatal(err)
	}
	read, release := make(chan struct{}), make(chan struct{})
	if err := (nativeAPI{d}).Start(ctx, task, func() { close(read); <-release }); err != nil {
		t.Fatal(err)
	}
	<-read
	stop()
	for { // all else has ended
		unlock, err := store.Lock(d.cfg.DataDir)
		if err == nil {
			_ = unlock()
			break
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-t.Context().Done():
			t.Fatal(err)
		}
	}
	select {
	case err := <-ended:
		t.Fatalf("the daemon has ended before who reads for it: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	close(release)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// The copies that a node has kept for others of a swarm must not come to another: where they could not be deleted it joins none.
func TestCopiesThatAreLeftKeepANodeFromJoining(t *testing.T) {
	t.Parallel()
	d, _, stop, ended := running(t, config.Config{NoDemoEngine: true})
	// A folder that is not empty, in the place of a copy, is deleted on no system.
	left := filepath.Join(d.schedDir(), "blobs", "another.in."+strings.Repeat("0", 64))
	if err := os.MkdirAll(filepath.Join(left, "within"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := d.dropCustody(t.Context()); err == nil {
		t.Fatal("what cannot be deleted was")
	}
	_, err := d.joinSwarm(t.Context(), bus.JoinRequest{Token: "myco1"})
	if e := bus.AsError(err); e.Code != bus.CodeConflict || !strings.Contains(e.Hint, "restart") {
		t.Errorf("%v with code %q and the hint %q", err, e.Code, e.Hint)
	}
	if err := errors.Join(os.Remove(filepath.Join(left, "within")), d.dropCustody(t.Context())); err != nil {
		t.Fatal(err)
	}
	if _, err := d.joinSwarm(t.Context(), bus.JoinRequest{Token: "myco1"}); bus.AsError(err).Code == bus.CodeConflict {
		t.Errorf("once they are deleted: %v", err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	// A store that has ended keeps what it has.
	if err := d.dropCustody(t.Context()); err == nil {
		t.Error("copies were deleted from a store that does not run")
	}
	if _, err := d.joinSwarm(t.Context(), bus.JoinRequest{Token: "myco1"}); bus.AsError(err).Code != bus.CodeConflict {
		t.Errorf("once its store has ended: %v", err)
	}
}
