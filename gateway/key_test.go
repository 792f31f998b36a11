package gateway_test

import (
	"context"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/gateway"
)

// limit is far more than anything here takes.
const limit = 30 * time.Second

// waiting is a swarm whose tasks run until they are cancelled.
type waiting struct {
	*swarm
	began chan struct{}
}

func (w waiting) Run(ctx context.Context, _ bus.Task) (bus.TaskInfo, error) {
	close(w.began)
	<-ctx.Done()
	return bus.TaskInfo{}, ctx.Err()
}

// A key that was replaced lets nobody in, and ends what it let in.
func TestKeyIsReplaced(t *testing.T) {
	t.Parallel()
	s := waiting{&swarm{}, make(chan struct{})}
	g, err := gateway.New(gateway.Config{Swarm: s, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan *httptest.ResponseRecorder, 1)
	go func() { ended <- call(t, g, "POST", "/task", `{"type":"ping"}`) }()
	<-s.began
	g.SetKey("")
	wantStatus(t, "the key after no key", call(t, g, "GET", "/status", ""), 200)
	g.SetKey("another")
	select {
	case w := <-ended:
		wants(t, "a request under way", w, 403, bus.CodeForbidden)
	case <-time.After(limit):
		t.Fatal("a request under way goes on")
	}
	wants(t, "the old key", call(t, g, "GET", "/status", ""), 401, bus.CodeForbidden)
	wantStatus(t, "the new key", call(t, g, "GET", "/status", "", "Authorization", "Bearer another"), 200)
}

func wantStatus(t *testing.T, what string, w *httptest.ResponseRecorder, status int) {
	t.Helper()
	if w.Code != status {
		t.Errorf("%s: %d %s, want %d", what, w.Code, w.Body, status)
	}
}
