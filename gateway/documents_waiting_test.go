package gateway_test

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/gateway"
)

// slow is a swarm that takes its time to read a document.
type slow struct {
	*oracle
	position int // in the queue, of a task that reads
	took     time.Duration
	fail     error
	left     chan time.Time // when a reading was cancelled
}

func newSlow(t *testing.T, position int, took time.Duration, fail error) (slow, *gateway.Gateway) {
	t.Helper()
	o, _ := newReader(t, aloud)
	s := slow{o, position, took, fail, make(chan time.Time, 1)}
	g, err := gateway.New(gateway.Config{Swarm: s, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	return s, g
}

func (s slow) Queued(_ context.Context, id bus.TaskID) (int, time.Duration, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := slices.IndexFunc(s.tasks, func(t bus.Task) bool { return t.ID == id })
	return s.position, 0, at >= 0 && s.position > 0
}

func (s slow) Stream(ctx context.Context, t bus.Task, out func(bus.Chunk) error) (bus.TaskInfo, error) {
	if t.Type == bus.TypeFile {
		select {
		case <-time.After(s.took):
		case <-ctx.Done():
			s.left <- time.Now()
			return bus.TaskInfo{}, ctx.Err()
		}
		if s.fail != nil {
			return bus.TaskInfo{}, s.fail
		}
	}
	return s.oracle.Stream(ctx, t, out)
}

// While a document is read a stream is kept open, as it is while its task waits. What fails late is told within it, in the words of
// the interface; what fails at once has a status.
func TestReadingIsTold(t *testing.T) {
	t.Parallel()
	broken := bus.Errorf(bus.CodeFailed, "it is a picture")
	const long, short = 25 * time.Second, 5 * time.Second
	message := strings.Replace(asksOf("a", "aGk="), "{", `{"stream":true,`, 1)
	response := `{"model":"m","stream":true,"input":[{"role":"user","content":[{"type":"input_file","file_data":"aGk="}]}]}`
	const reading, queued = ": reading a document\n\n", ": waiting, 3 in the queue\n\n"
	for _, tt := range []struct {
		name, path, body string
		position         int
		took             time.Duration
		fail             error
		told             string
		times, status    int
		ends             string // what the body has behind all that is told
	}{
		{"a chat", "chat/completions", inChat + `}`, 0, long, nil, reading, 2, 200, "data: [DONE]"},
		{"at once", "chat/completions", inChat + `}`, 0, short, nil, reading, 0, 200, "data: [DONE]"},
		{"in the queue", "chat/completions", inChat + `}`, 3, short, nil, queued, 1, 200, "data: [DONE]"},
		{"two answers", "chat/completions", inChat + `,"n":2}`, 0, long, nil, reading, 2, 200, "data: [DONE]"},
		{"Anthropic's", "messages", message, 0, long, nil, reading, 2, 200, "event: message_stop"},
		{"a response", "responses", response, 0, long, nil, reading, 2, 200, "event: response.completed"},
		{"a chat fails", "chat/completions", inChat + `}`, 0, long, broken, reading, 2, 200, `data: {"error":{"code":null,"message":"messages[0]: a document: it is a picture"`},
		{"two answers fail", "chat/completions", inChat + `,"n":2}`, 0, long, broken, reading, 2, 200, `data: {"error":{"code":null,"message":"messages[0]: a document: it is a picture"`},
		{"Anthropic's fails", "messages", message, 0, long, broken, reading, 2, 200, "event: error\ndata: {\"error\":{\"message\":\"messages[0]: a document: it is a picture\",\"type\":\"invalid_request_error\"}"},
		{"a response fails", "responses", response, 0, long, broken, reading, 2, 200, `"error":{"code":"invalid_prompt","message":"input[0]: a document: it is a picture"}`},
		{"fails at once", "messages", message, 0, short, broken, reading, 0, 400, `"messages[0]: a document: it is a picture"`},
		{"two fail at once", "chat/completions", inChat + `,"n":2}`, 0, short, broken, reading, 0, 400, `"messages[0]: a document: it is a picture"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				_, g := newSlow(t, tt.position, tt.took, tt.fail)
				w := local(t, g, "POST", "/v1/"+tt.path, tt.body)
				body := w.Body.String()
				at := strings.LastIndex(body, tt.told)
				if w.Code != tt.status || strings.Count(body, tt.told) != tt.times || !strings.Contains(body[max(at, 0):], tt.ends) {
					t.Errorf("%d, want %d, and told %d times:\n%s", w.Code, tt.status, tt.times, body)
				}
				if tt.fail != nil && strings.Contains(body, "[DONE]") {
					t.Errorf("it failed, and is done:\n%s", body)
				}
			})
		})
	}
}

// Who waits for the reading of another request is told so, too.
func TestReadingOfAnotherIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, g := newSlow(t, 0, 25*time.Second, nil)
		bodies := make(chan string, 2)
		for range 2 {
			go func() { bodies <- local(t, g, "POST", "/v1/chat/completions", inChat+`}`).Body.String() }()
		}
		for range 2 {
			if body := <-bodies; strings.Count(body, ": reading a document\n\n") != 2 || !strings.Contains(body, "[DONE]") {
				t.Errorf("the answer:\n%s", body)
			}
		}
	})
}

// A client that leaves ends the reading of its documents, be its answer a stream or not.
func TestReadingEndsWithItsClient(t *testing.T) {
	t.Parallel()
	for _, stream := range []string{"true", "false"} {
		synctest.Test(t, func(t *testing.T) {
			s, _ := newSlow(t, 0, time.Hour, nil)
			dial := serving(t, s, io.Discard)
			conn := dial()
			body := strings.Replace(asksOf("a", "aGk="), "{", `{"stream":`+stream+`,`, 1)
			conn.send(t, "/v1/messages", nil, len(body), body)
			time.Sleep(30 * time.Second) // a stream has begun by then
			gone := time.Now()
			if err := conn.Close(); err != nil {
				t.Fatal(err)
			}
			if late := (<-s.left).Sub(gone); late > time.Second {
				t.Errorf("stream %s: the reading ends after %v", stream, late)
			}
		})
	}
}
