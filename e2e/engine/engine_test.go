package engine_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mycoswarm/mycoswarm/e2e/engine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type bundle struct {
	*engine.Engine
	ledger *engine.Ledger
	client *http.Client
}

func setup(t *testing.T, script func(engine.Request) engine.Script) bundle {
	t.Helper()
	b := bundle{ledger: &engine.Ledger{}, client: &http.Client{Transport: &http.Transport{}}}
	e, err := engine.Start(t.Context(), "127.0.0.1:0", engine.Config{Name: "e1", Ledger: b.ledger, Script: script})
	if err != nil {
		t.Fatal(err)
	}
	b.Engine = e
	t.Cleanup(func() {
		if err := e.Stop(); err != nil {
			t.Error(err)
		}
		b.client.CloseIdleConnections()
	})
	return b
}

func (b bundle) post(ctx context.Context, t *testing.T, path string, body any) (*http.Response, error) {
	t.Helper()
	j, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.URL()+path, strings.NewReader(string(j)))
	if err != nil {
		t.Fatal(err)
	}
	return b.client.Do(req)
}

func (b bundle) wait(t *testing.T, want engine.Outcome) engine.Run {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	runs, err := b.ledger.Wait(ctx, func(r []engine.Run) bool { return len(r) == 1 && r[0].Outcome == want })
	if err != nil {
		t.Fatalf("runs %+v: want one %q: %v", runs, want, err)
	}
	return runs[0]
}

func TestAnswersAndRecords(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		path string
		body map[string]any
	}{
		{"/api/generate", map[string]any{"model": "scripted", "prompt": engine.Prompt("t-1")}},
		{"/api/chat", map[string]any{
			"model":    "scripted:latest",
			"messages": []map[string]any{{"role": "user", "content": engine.Prompt("t-1")}},
		}},
		{"/api/generate", map[string]any{"model": "scripted", "prompt": engine.Prompt("t-1"), "stream": false}},
	} {
		b := setup(t, nil)
		resp, err := b.post(t.Context(), t, c.path, c.body)
		if err != nil {
			t.Fatal(err)
		}
		text, done := "", false
		for s := bufio.NewScanner(resp.Body); s.Scan(); {
			var l struct {
				Response string `json:"response"`
				Message  struct {
					Content string `json:"content"`
				} `json:"message"`
				Done bool `json:"done"`
			}
			if err := json.Unmarshal(s.Bytes(), &l); err != nil {
				t.Fatal(err)
			}
			text += l.Response + l.Message.Content
			done = l.Done
		}
		resp.Body.Close()
		if text != "done t-1" || !done {
			t.Errorf("%s: text %q, done %v", c.path, text, done)
		}
		if r := b.wait(t, engine.Finished); r.Marker != "t-1" || r.Engine != "e1" || r.End.Before(r.Start) {
			t.Errorf("%s: run %+v", c.path, r)
		}
	}
}

// A raw prompt that ends in the beginning of an answer is gone on with, as text; a message of the
// assistant's in a conversation is not.
func TestGoesOnWithARawPrompt(t *testing.T) {
	t.Parallel()
	b := setup(t, func(engine.Request) engine.Script { return engine.Script{Words: []string{"one ", "two ", "three"}} })
	ask := func(path string, body map[string]any) (text, rendered string) {
		body["model"] = engine.Model
		resp, err := b.post(t.Context(), t, path, body)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		for s := bufio.NewScanner(resp.Body); s.Scan(); {
			var l struct {
				Response string
				Message  struct{ Content string }
				Info     struct {
					Rendered string `json:"rendered_template"`
				} `json:"_debug_info"`
			}
			if err := json.Unmarshal(s.Bytes(), &l); err != nil {
				t.Fatal(err)
			}
			text += l.Response + l.Message.Content
			rendered += l.Info.Rendered
		}
		return text, rendered
	}
	chat := func(more ...map[string]any) map[string]any {
		return map[string]any{"messages": append([]map[string]any{{"role": "user", "content": engine.Prompt("t-1")}}, more...)}
	}
	shown := chat()
	shown["_debug_render_only"] = true
	_, prompt := ask("/api/chat", shown)
	for said, want := range map[string]string{"": "one two three", "one ": "two three", "one tw": "o three", "one two three": "", "other": "one two three"} {
		if got, _ := ask("/api/generate", map[string]any{"raw": true, "prompt": prompt + said}); got != want {
			t.Errorf("after %q: %q, want %q", said, got, want)
		}
	}
	if got, _ := ask("/api/chat", chat(map[string]any{"role": "assistant", "content": "one "})); got != "one two three" {
		t.Errorf("after a message of the assistant's: %q", got)
	}
	runs := b.ledger.Runs()
	if len(runs) != 6 || runs[0].Marker != "t-1" || runs[5].Words != 3 {
		t.Errorf("runs %+v", runs)
	}
}

func TestLoadingAndUnknownModelsAreNoRuns(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	for body, want := range map[string]int{"": http.StatusOK, "hello": http.StatusNotFound} {
		model := engine.Model
		if body != "" {
			model = "other"
		}
		resp, err := b.post(t.Context(), t, "/api/generate", map[string]any{"model": model, "prompt": body})
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("prompt %q: status %d, want %d", body, resp.StatusCode, want)
		}
	}
	if runs := b.ledger.Runs(); len(runs) != 0 {
		t.Errorf("runs %+v, want none", runs)
	}
}

func TestHangEndsWhenTheCallerLeaves(t *testing.T) {
	t.Parallel()
	b := setup(t, func(engine.Request) engine.Script { return engine.Script{Words: []string{}, Ending: engine.Hang} })
	ctx, cancel := context.WithCancel(t.Context())
	resp, err := b.post(ctx, t, "/api/generate", map[string]any{"model": engine.Model, "prompt": "x"})
	if err != nil {
		t.Fatal(err)
	}
	b.wait(t, engine.Running)
	cancel()
	resp.Body.Close()
	b.wait(t, engine.Left)
}

func TestResetBreaksTheStream(t *testing.T) {
	t.Parallel()
	b := setup(t, func(engine.Request) engine.Script { return engine.Script{Ending: engine.Reset} })
	resp, err := b.post(t.Context(), t, "/api/generate", map[string]any{"model": engine.Model, "prompt": "x"})
	if err == nil {
		_, err = io.ReadAll(resp.Body)
		resp.Body.Close()
	}
	if err == nil {
		t.Error("the stream ended well, want it broken")
	}
	b.wait(t, engine.Broken)
}

func TestFailIsAnError(t *testing.T) {
	t.Parallel()
	b := setup(t, func(engine.Request) engine.Script { return engine.Script{Ending: engine.Fail} })
	resp, err := b.post(t.Context(), t, "/api/generate", map[string]any{"model": engine.Model, "prompt": "x"})
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusInternalServerError {
		t.Errorf("status %d, want 500", resp.StatusCode)
	}
}

func TestGateHoldsTheAnswer(t *testing.T) {
	t.Parallel()
	for words, script := range map[int]func(gate chan struct{}) engine.Script{
		0: func(gate chan struct{}) engine.Script { return engine.Script{Gate: gate} },
		1: func(gate chan struct{}) engine.Script { return engine.Script{Rest: gate} },
	} {
		gate := make(chan struct{})
		b := setup(t, func(engine.Request) engine.Script { return script(gate) })
		ended := make(chan error, 1)
		go func() {
			resp, err := b.post(t.Context(), t, "/api/generate", map[string]any{"model": engine.Model, "prompt": "x"})
			if err == nil {
				_, err = io.ReadAll(resp.Body)
				resp.Body.Close()
			}
			ended <- err
		}()
		if _, err := b.ledger.Wait(t.Context(), func(runs []engine.Run) bool { return len(runs) == 1 && runs[0].Words == words }); err != nil {
			t.Fatal(err)
		}
		b.wait(t, engine.Running)
		close(gate)
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		b.wait(t, engine.Finished)
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	want := errors.New("enough")
	cancel(want)
	var l engine.Ledger
	if _, err := l.Wait(ctx, func([]engine.Run) bool { return false }); !errors.Is(err, want) {
		t.Errorf("error %v, want %v", err, want)
	}
}
