package gateway_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/gateway"
)

// crowded is a swarm whose tasks wait for a while before they are answered.
type crowded struct {
	*swarm
	wait time.Duration
	lost time.Duration // for so long nobody goes on with the answer, once it has begun
	fail error
	ids  chan bus.TaskID // of the task, and of who asked for it
	runs bool            // it is in no queue
}

func (c crowded) Queued(_ context.Context, id bus.TaskID) (int, time.Duration, bool) {
	c.ids <- id
	if c.runs {
		return 0, 0, false
	}
	return 3, 4200 * time.Millisecond, true
}

func (c crowded) Stream(ctx context.Context, t bus.Task, piece func(bus.Chunk) error) (bus.TaskInfo, error) {
	c.ids <- t.ID
	select {
	case <-time.After(c.wait):
	case <-ctx.Done():
		return bus.TaskInfo{}, ctx.Err()
	}
	if c.fail != nil {
		return bus.TaskInfo{}, c.fail
	}
	text, _ := json.Marshal(bus.InferenceChunk{Text: "yes"})
	if err := piece(bus.Chunk{Attempt: 1, Node: self, Data: text}); err != nil {
		return bus.TaskInfo{}, err
	}
	time.Sleep(c.lost)
	res, _ := json.Marshal(bus.InferenceResult{Text: "yes"})
	return bus.TaskInfo{ID: t.ID, State: bus.StateDone, NodeID: self, Result: res}, nil
}

// A client whose streamed request waits, or whose answer pauses, is told after a second, and every ten, where the interface has
// comments; where it has none it finds headers.
func TestWaitingIsTold(t *testing.T) {
	t.Parallel()
	full := bus.Errorf(bus.CodeBusy, "the swarm is full")
	for _, tt := range []struct {
		name, path string
		wait, lost time.Duration
		fail       error
		told       int // comments
		position   string
	}{
		{"at once", "/v1/chat/completions", 900 * time.Millisecond, 0, nil, 0, ""},
		{"a while", "/v1/chat/completions", 5 * time.Second, 0, nil, 1, "3"},
		{"Anthropic's events", "/v1/messages", 5 * time.Second, 0, nil, 1, "3"},
		{"long", "/v1/chat/completions", 25 * time.Second, 0, nil, 3, "3"},
		{"its worker is lost", "/v1/chat/completions", 0, 25 * time.Second, nil, 2, ""},
		{"lines of JSON and no worker", "/api/chat", 0, 25 * time.Second, nil, 0, ""},
		{"lines of JSON", "/api/chat", 5 * time.Second, 0, nil, 0, "3"},
		{"and fails", "/v1/chat/completions", 5 * time.Second, 0, full, 1, "3"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := crowded{&swarm{}, tt.wait, tt.lost, tt.fail, make(chan bus.TaskID, 8), false}
				g, err := gateway.New(gateway.Config{Swarm: c, Key: key})
				if err != nil {
					t.Fatal(err)
				}
				w := local(t, g, "POST", tt.path, hello+`,"max_tokens":9,"stream":true}`)
				body := w.Body.String()
				if n := strings.Count(body, ": waiting, 3 in the queue, about 4s\n\n"); w.Code != http.StatusOK || n != tt.told {
					t.Errorf("status %d, told %d times, want %d:\n%s", w.Code, n, tt.told, body)
				}
				// Who answers is told once: in the header, or behind comments that had to go before it.
				comment := strings.Contains(body, ": node "+string(self)+"\n\n")
				if header := w.Header().Get("X-Myco-Node") != ""; tt.fail == nil && header == comment || tt.fail != nil && comment {
					t.Errorf("who answers: in the header %v, in a comment %v:\n%s", header, comment, body)
				}
				if got := w.Header().Get("X-Myco-Queue-Position"); got != tt.position {
					t.Errorf("position %q, want %q", got, tt.position)
				}
				if got := w.Header().Get("X-Myco-Queue-Wait"); (got == "4") != (tt.position != "") {
					t.Errorf("wait %q", got)
				}
				if want := `"yes"`; tt.fail == nil && !strings.Contains(body, want) || tt.fail != nil && !strings.Contains(body, "the swarm is full") {
					t.Errorf("the answer:\n%s", body)
				}
				close(c.ids)
				first := <-c.ids
				for id := range c.ids {
					if id != first || id == "" {
						t.Errorf("asked for task %q, which is %q", id, first)
					}
				}
			})
		})
	}
}

// A client whose model takes long to begin is told that it works. Until then an error has a status of its own.
func TestLongBeginningIsTold(t *testing.T) {
	t.Parallel()
	full := bus.Errorf(bus.CodeBusy, "the swarm is full")
	for _, tt := range []struct {
		name, path string
		wait       time.Duration
		fail       error
		told       int // comments
		status     int
	}{
		{"a while", "/v1/chat/completions", 10 * time.Second, nil, 0, 200},
		{"long", "/v1/chat/completions", 25 * time.Second, nil, 2, 200},
		{"Anthropic's events", "/v1/messages", 25 * time.Second, nil, 2, 200},
		{"responses", "/v1/responses", 25 * time.Second, nil, 2, 200},
		{"lines of JSON", "/api/chat", 25 * time.Second, nil, 0, 200},
		{"a while, and fails", "/v1/chat/completions", 10 * time.Second, full, 0, 429},
		{"long, and fails", "/v1/chat/completions", 25 * time.Second, full, 2, 200},
		{"responses, and fails", "/v1/responses", 25 * time.Second, full, 2, 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g, err := gateway.New(gateway.Config{Swarm: crowded{&swarm{}, tt.wait, 0, tt.fail, make(chan bus.TaskID, 8), true}, Key: key})
				if err != nil {
					t.Fatal(err)
				}
				body := hello + `,"max_tokens":9,"stream":true}`
				if tt.path == "/v1/responses" {
					body = `{"model":"m","input":"hi","stream":true}`
				}
				w := local(t, g, "POST", tt.path, body)
				if n := strings.Count(w.Body.String(), ": working\n\n"); w.Code != tt.status || n != tt.told {
					t.Errorf("status %d, told %d times:\n%s", w.Code, n, w.Body)
				}
				if want := map[bool]string{true: "yes", false: "the swarm is full"}[tt.fail == nil]; !strings.Contains(w.Body.String(), want) {
					t.Errorf("want %s:\n%s", want, w.Body)
				}
				if tt.path == "/v1/responses" { // no event has a meaning for clients before the one that makes the response
					checkBeginning(t, w.Body.String())
				}
			})
		})
	}
}

// checkBeginning wants events of /v1/responses to begin with its creation, and what fails not to be stored.
func checkBeginning(t *testing.T, events string) {
	t.Helper()
	if _, first, _ := strings.Cut(events, "event: "); !strings.HasPrefix(first, "response.created\n") {
		t.Errorf("it begins with %.100s", first)
	}
	if _, failed, ok := strings.Cut(events, "event: response.failed\n"); ok && !strings.Contains(failed, `"store":false`) {
		t.Errorf("what failed is told to be stored: %s", failed)
	}
}

// Where several answers had to wait, who gives the first of them is told in a comment, too.
func TestWaitingOfSeveralAnswersIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := crowded{&swarm{}, 5 * time.Second, 0, nil, make(chan bus.TaskID, 8), false}
		g, err := gateway.New(gateway.Config{Swarm: c, Key: key})
		if err != nil {
			t.Fatal(err)
		}
		w := local(t, g, "POST", "/v1/chat/completions", hello+`,"n":2,"stream":true}`)
		body := w.Body.String()
		if told := strings.Count(body, ": node "+string(self)+"\n\n"); told != 1 || strings.Index(body, ": node") > strings.Index(body, "data:") {
			t.Errorf("who answers is told %d times:\n%s", told, body)
		}
	})
}
