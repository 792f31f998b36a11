package toolbox_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/toolbox"
)

func piece(t *testing.T, c bus.InferenceChunk) bus.Chunk {
	t.Helper()
	data, err := json.Marshal(c)
	if err != nil {
		t.Error(err)
	}
	return bus.Chunk{Attempt: 1, Node: tower, Data: data}
}

// A client that wants to know hears where its task stands, and how much is written; the number grows each time.
func TestProgress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var stands bus.TaskInfo
		var mu sync.Mutex
		stand := func(i bus.TaskInfo) {
			mu.Lock()
			defer mu.Unlock()
			stands = i
		}
		wait := func(d time.Duration) { <-time.After(d) }
		s := &swarm{
			task: func(bus.TaskID) bus.TaskInfo {
				mu.Lock()
				defer mu.Unlock()
				return stands
			},
			do: func(_ context.Context, _ bus.Task, out func(bus.Chunk)) (any, error) {
				stand(bus.TaskInfo{State: bus.StateQueued, Position: 2, Wait: 5 * time.Second})
				wait(2 * time.Second)
				stand(bus.TaskInfo{State: bus.StateRunning, NodeID: tower})
				wait(2 * time.Second)
				out(piece(t, bus.InferenceChunk{Loading: true}))
				wait(2 * time.Second)
				for range 20 {
					out(piece(t, bus.InferenceChunk{Text: "a"}))
				}
				wait(12 * time.Second)
				return bus.InferenceResult{Text: "a"}, nil
			},
		}
		var heard []string
		last := 0.0
		_, c := connect(t, toolbox.Config{Swarm: s}, &mcp.ClientOptions{
			ProgressNotificationHandler: func(_ context.Context, r *mcp.ProgressNotificationClientRequest) {
				mu.Lock()
				defer mu.Unlock()
				if r.Params.Progress <= last || r.Params.ProgressToken != "mine" {
					t.Errorf("%v after %v, for %v", r.Params.Progress, last, r.Params.ProgressToken)
				}
				last = r.Params.Progress
				heard = append(heard, r.Params.Message)
			},
		})
		params := &mcp.CallToolParams{Name: "ask", Arguments: args{"prompt": "hi"}}
		if _, err := c.CallTool(t.Context(), params); err != nil || len(heard) > 0 {
			t.Errorf("%v; who did not ask hears %q", err, heard)
		}
		params.SetProgressToken("mine")
		if _, err := c.CallTool(t.Context(), params); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		written := "tower writes: 20 tokens so far"
		want := []string{"waiting: 2 in the queue, about 5s", "tower works on it", "tower loads the model", written, written, written}
		if fmt.Sprint(heard) != fmt.Sprint(want) || last < 20 {
			t.Errorf("heard %q up to %v, want %q", heard, last, want)
		}
	})
}

// endless has tasks that end with their context alone, and tells when one has begun, and ended.
func endless() (s *swarm, begun, ended chan struct{}) {
	begun, ended = make(chan struct{}, 1), make(chan struct{}, 1)
	return &swarm{do: func(ctx context.Context, _ bus.Task, _ func(bus.Chunk)) (any, error) {
		begun <- struct{}{}
		<-ctx.Done()
		ended <- struct{}{}
		return nil, ctx.Err()
	}}, begun, ended
}

// What a client cancels is cancelled in the swarm, and so is what is under way where all ends.
func TestCallsEnd(t *testing.T) {
	t.Parallel()
	s, begun, ended := endless()
	_, c := connect(t, toolbox.Config{Swarm: s}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan bool, 1)
	ask := func() {
		_, err := c.CallTool(ctx, &mcp.CallToolParams{Name: "ask", Arguments: args{"prompt": "hi"}})
		over <- err == nil
	}
	go ask()
	<-begun
	if cancel(); <-over {
		t.Error("there is an answer to what was cancelled")
	}
	<-ended

	life, end := context.WithCancel(t.Context())
	box := toolbox.New(life, toolbox.Config{Swarm: s})
	ours, theirs := mcp.NewInMemoryTransports()
	ran := make(chan struct{})
	go func() {
		defer close(ran)
		_ = box.Run(life, ours) // it ends with life
	}()
	var err error
	if c, err = mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil).Connect(t.Context(), theirs, nil); err != nil {
		t.Fatal(err)
	}
	ctx = t.Context()
	go ask()
	<-begun
	end()
	<-ended
	<-ran
	<-over
	_ = c.Close() // the box has left
}

// Over HTTP each request is alone: it needs no session, and its end is that of its calls.
func TestServe(t *testing.T) {
	t.Parallel()
	s, begun, ended := endless()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		toolbox.Serve(toolbox.Config{Swarm: s, Manages: true}, nodes(), w, r)
	}))
	defer srv.Close()
	post := func(ctx context.Context, version, body string) (*http.Response, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, srv.URL, strings.NewReader(body))
		if err != nil {
			return nil, err
		}
		for name, v := range map[string]string{"Content-Type": "application/json", "Accept": "application/json, text/event-stream", "MCP-Protocol-Version": version} {
			r.Header.Set(name, v)
		}
		return srv.Client().Do(r)
	}
	resp, err := post(t.Context(), "2025-06-18", `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
	if err != nil {
		t.Fatal(err)
	}
	list, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(list), `"name":"fetch"`) || resp.Header.Get("Mcp-Session-Id") != "" {
		t.Errorf("%v: %d %s", err, resp.StatusCode, list)
	}
	for _, version := range []string{"2025-03-26", "2025-06-18", "2025-11-25"} {
		ctx, cancel := context.WithCancel(t.Context())
		over := make(chan struct{})
		go func() {
			defer close(over)
			if resp, err := post(ctx, version, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"ask","arguments":{"prompt":"hi"}}}`); err == nil {
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		}()
		<-begun
		cancel()
		<-over
		<-ended
	}
	srv.CloseClientConnections()
	srv.Client().CloseIdleConnections()
}
