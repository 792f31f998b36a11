package gateway_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/gateway"
)

// theatre is a swarm with one task, whose output goes to whoever attaches.
type theatre struct {
	*swarm
	cs []bus.Chunk

	mu       sync.Mutex
	started  []bus.TaskID
	life     context.Context //nolint:containedctx // of what was started last
	slow     time.Duration   // that a start takes
	lasts    time.Duration   // that an output takes before its end
	attached [][2]int
}

func (s *theatre) Start(ctx context.Context, t bus.Task, _ func()) error {
	time.Sleep(s.slow)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started, s.life = append(s.started, t.ID), ctx
	return s.err
}

func (s *theatre) Stream(ctx context.Context, t bus.Task, piece func(bus.Chunk) error) (bus.TaskInfo, error) {
	return s.Attach(ctx, t.ID, 1, 0, piece)
}

// Attach is that of a task that has just ended: its output is for who says what it has of it.
func (s *theatre) Attach(ctx context.Context, id bus.TaskID, attempt, from int, piece func(bus.Chunk) error) (bus.TaskInfo, error) {
	s.mu.Lock()
	s.attached = append(s.attached, [2]int{attempt, from})
	s.mu.Unlock()
	if s.err != nil {
		return bus.TaskInfo{}, s.err
	}
	for _, c := range s.cs {
		if attempt > 0 && (c.Attempt > attempt || c.Seq >= from) {
			if err := piece(c); err != nil {
				return bus.TaskInfo{}, err
			}
		}
	}
	select {
	case <-time.After(s.lasts):
	case <-ctx.Done():
		return bus.TaskInfo{}, ctx.Err()
	}
	return bus.TaskInfo{ID: id, State: bus.StateDone, Result: []byte(`"yes"`)}, nil
}

// The events of a task are numbered as its output is, and who comes back names the last it has.
func TestEvents(t *testing.T) {
	t.Parallel()
	s := &theatre{swarm: &swarm{}, cs: append(chunks(1, texts("Pa", "ri")...), goesOn(2))}
	g := newGateway(t, s)
	const (
		first  = "id: 1.0\nevent: output\ndata: {\"attempt\":1,\"seq\":0,\"node\":\"" + string(other) + "\",\"data\":{\"text\":\"Pa\"}}\n\n"
		second = "id: 1.1\nevent: output\n"
		third  = "id: 1.2\nevent: output\ndata: {\"attempt\":1,\"seq\":2,\"node\":\"" + string(other) + "\",\"data\":{},\"continues\":{\"attempt\":2,\"lost\":\"" + string(self) + "\"}}\n\n"
		end    = "id: end\nevent: end\ndata: {\"id\":\"t1\""
	)
	w := call(t, g, "GET", "/task/t1/events", "")
	body := w.Body.String()
	for _, want := range []string{"event: task\ndata: {\"task_id\":\"t1\"}\n\n" + first + second, third + end} {
		if !strings.Contains(body, want) || w.Header().Get("Content-Type") != "text/event-stream" {
			t.Errorf("%s\nwant %s", body, want)
		}
	}
	if body := call(t, g, "GET", "/task/t1/events", "", "Last-Event-ID", "1.1").Body.String(); strings.Contains(body, second) || !strings.Contains(body, third+end) {
		t.Errorf("after 1.1: %s", body)
	}
	if w := call(t, g, "GET", "/task/t1/events", "", "Last-Event-ID", "end"); w.Code != http.StatusNoContent {
		t.Errorf("after the end: %d %s", w.Code, w.Body)
	}
	for _, id := range []string{"x", "1", "1.x", "0.1", "1.-1"} {
		wants(t, "Last-Event-ID "+id, call(t, g, "GET", "/task/t1/events", "", "Last-Event-ID", id), http.StatusBadRequest, bus.CodeInvalid)
	}
	if got := s.attached[1]; got != [2]int{1, 2} {
		t.Errorf("attached from %v", got)
	}
	s.err = bus.Errorf(bus.CodeNotFound, "no such task")
	wants(t, "no such task", call(t, g, "GET", "/task/t1/events", ""), http.StatusNotFound, bus.CodeNotFound)
}

// A task may be followed from its submission on, and where its client asks for that, it is told the id
// first, to come back with.
func TestSubmitWithEvents(t *testing.T) {
	t.Parallel()
	s := &theatre{swarm: &swarm{}, cs: chunks(1, texts("Pa")...)}
	g := newGateway(t, s)
	body := call(t, g, "POST", "/task?events=1", `{"id":"t7","type":"ping"}`).Body.String()
	if !strings.HasPrefix(body, "event: task\ndata: {\"task_id\":\"t7\"}\n\nid: 1.0\n") || !strings.Contains(body, "id: end\n") || len(s.started) != 0 {
		t.Errorf("%s", body)
	}
	if body := call(t, g, "POST", "/task?events=1&reattach=1", `{"id":"t8","type":"ping"}`).Body.String(); !strings.HasPrefix(body, "event: task\n") ||
		!strings.Contains(body, "id: 1.0\n") || len(s.started) != 1 {
		t.Errorf("%s, started %v", body, s.started)
	}
	wants(t, "the same again", call(t, g, "POST", "/task?events=1&reattach=1", `{"id":"t8","type":"ping"}`), http.StatusConflict, bus.CodeConflict)
	for _, query := range []string{"events=perhaps", "events=1&reattach=perhaps"} {
		wants(t, query, call(t, g, "POST", "/task?"+query, `{"type":"ping"}`), http.StatusBadRequest, bus.CodeInvalid)
	}
	s.err = bus.Errorf(bus.CodeNoWorker, "nobody")
	wants(t, "nobody can", call(t, g, "POST", "/task?events=1&reattach=1", `{"type":"ping"}`), http.StatusServiceUnavailable, bus.CodeNoWorker)
}

// A task waits for a client that has dropped as long as it is told to, from the last time on, and no longer.
func TestReattachGrace(t *testing.T) {
	t.Parallel()
	for told, grace := range map[time.Duration]time.Duration{0: 30 * time.Second, 5 * time.Minute: 5 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			s := &theatre{swarm: &swarm{}, slow: 2 * grace} // who waits for a start has not left
			g, err := gateway.New(gateway.Config{Swarm: s, Key: key, ReattachGrace: told})
			if err != nil {
				t.Fatal(err)
			}
			defer g.Close()
			call(t, g, "POST", "/task?events=1&reattach=1", `{"id":"t1","type":"ping"}`)
			for range 2 { // it drops, and comes back in time
				time.Sleep(grace - time.Second)
				synctest.Wait()
				if s.life.Err() != nil {
					t.Fatalf("a grace of %v: it is over before", grace)
				}
				call(t, g, "GET", "/task/t1/events", "")
			}
			time.Sleep(grace + time.Second)
			synctest.Wait()
			if s.life.Err() == nil {
				t.Errorf("a grace of %v: the task goes on after", grace)
			}
		})
	}
}

// Who follows a task hears of its end however long that takes, and asks over the same connection again: the time that a
// request's body has does not go on once it has come.
func TestEventsLastAsLongAsTheTask(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct{ request, body string }{
		"one that runs":        {"GET /task/t1/events", ""},
		"a new one":            {"POST /task?events=1", `{"type":"ping"}`},
		"one that may be left": {"POST /task?events=1&reattach=1", `{"type":"ping"}`},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &theatre{swarm: &swarm{}, cs: chunks(1, texts("Paris")...), lasts: 10 * time.Minute}
				conn := serving(t, s, t.Output())()
				for range 2 {
					conn.asks(t, c.request, nil, len(c.body), c.body)
					if code, said := conn.hears(t); code != http.StatusOK || !strings.Contains(said, "id: end\nevent: end\n") {
						t.Fatalf("%d %s", code, said)
					}
				}
			})
		})
	}
}
