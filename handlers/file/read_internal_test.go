package file

import (
	"context"
	"errors"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

// One document is read at a time, whoever asks: who waits for another can leave.
func TestOneAtATime(t *testing.T) {
	t.Parallel()
	h := New(Config{})
	h.reading <- struct{}{} // another
	cause := errors.New("no longer wanted")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	req := bus.FileRequest{Content: []byte("hi")}
	if _, err := h.Read(ctx, req); !errors.Is(err, cause) {
		t.Errorf("error %v, want %v", err, cause)
	}
	<-h.reading
	for range 2 {
		if res, err := h.Read(t.Context(), req); err != nil || res.Text != "hi\n" {
			t.Errorf("%+v, error %v", res, err)
		}
	}
}
