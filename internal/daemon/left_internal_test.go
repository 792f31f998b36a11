package daemon

import (
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
