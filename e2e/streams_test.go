//go:build e2e && linux

package e2e_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/e2e/figures"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// eventReader reads a task's events, over one connection after the other.
type eventReader struct {
	t     *testing.T
	id    bus.TaskID
	last  string // the id of the last event
	words []string
	ended bool
	warns string // at the end
	first func() // is called at the first word, where set
}

// listen reads events from n until it has most words more, or the end; then it hangs up. body is a task
// to hand over, empty to come back to one.
func (l *eventReader) listen(n *harness.Node, path, body string, most int) {
	l.t.Helper()
	ctx, cancel := context.WithCancel(within(l.t, "events"))
	defer cancel()
	method := http.MethodGet
	if body != "" {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, method, n.Info.HTTPURL+path, strings.NewReader(body))
	if err != nil {
		l.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+readFile(l.t, n, bus.HTTPKeyFile))
	req.Header.Set("Content-Type", "application/json")
	if l.last != "" {
		req.Header.Set("Last-Event-ID", l.last)
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		l.t.Fatal(err)
	}
	defer resp.Body.Close()
	event := ""
	for s := bufio.NewScanner(resp.Body); most > 0 && !l.ended && s.Scan(); {
		key, value, _ := strings.Cut(s.Text(), ": ")
		switch key {
		case "id":
			l.last = value
		case "event":
			event = value
		case "data":
			if l.data(event, value) {
				most--
			}
		}
	}
}

// data takes the data of an event, and reports whether it is a word.
func (l *eventReader) data(event, value string) bool {
	var v struct {
		TaskID bus.TaskID         `json:"task_id"`
		Data   bus.InferenceChunk `json:"data"`
		State  bus.TaskState      `json:"state"`
		Warns  string             `json:"warning"`
	}
	if err := json.Unmarshal([]byte(value), &v); err != nil {
		l.t.Fatalf("%s %s: %v", event, value, err)
	}
	switch event {
	case "task":
		l.id = v.TaskID
	case "end":
		l.ended, l.warns = true, v.Warns
		if v.State != bus.StateDone {
			l.t.Errorf("it ended as %s", value)
		}
	case "output":
		if v.Data.Text != "" {
			l.words = append(l.words, v.Data.Text)
			if len(l.words) == 1 && l.first != nil {
				l.first()
			}
			return true
		}
	default:
		l.t.Errorf("event %q %s", event, value)
	}
	return false
}

// A client that drops, again and again, comes back for the rest: at the same node or at another, over
// HTTP or with the command, while its task runs and just after, it gets each word once, in order.
func TestClientComesBack(t *testing.T) {
	t.Parallel()
	var ledger engine.Ledger
	s := harness.New(t, programs)
	paced := func(r engine.Request) engine.Script {
		return engine.Script{Words: scriptedWords(r.Marker), Between: 10 * wordEvery} // slow enough for a command to start meanwhile
	}
	a := s.Found(t, "a", "--engine", startEngine(t, s, engine.Config{Name: "a", Ledger: &ledger, Script: paced}).URL())
	b := s.Join(t, a, "b")
	harness.Settle(t, a, b)
	awaitModel(t, b, "a", engine.Model, true)
	task := func(marker string) string {
		body, err := json.Marshal(newDriver(t).task(marker))
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	check := func(what, marker string, words []string) {
		// On a busy machine several words come in one piece.
		if want := strings.Join(scriptedWords(marker), ""); strings.Join(words, "") != want {
			t.Errorf("%s: read %q, want %q", what, words, want)
		}
		if runs := begun(ledger.Runs(), marker); len(runs) != 1 || runs[0].Outcome != engine.Finished {
			t.Errorf("%s: runs %+v", what, runs)
		}
	}
	for marker, from := range map[string]*harness.Node{"attached": b, "durable": b} {
		l := &eventReader{t: t}
		if marker == "attached" {
			l.listen(from, "/task?events=1&reattach=1", task(marker), 5)
		} else {
			if r := httpDo(t, from, http.MethodPost, "/task?durable=1", task(marker)); r.status != http.StatusAccepted {
				t.Fatalf("%+v", r)
			}
			l.id = bus.TaskID(marker)
			l.listen(from, "/task/"+marker+"/events", "", 5)
		}
		for i, at := range []*harness.Node{from, a, from} { // a is not the submitter's
			if l.ended {
				t.Fatalf("%s: over after %d connections: the test is too slow", marker, i+1)
			}
			l.listen(at, "/task/"+string(l.id)+"/events", "", 7)
		}
		// The command, on the other node, from where it joins.
		r := a.Myco(t, "task", "attach", "--json", "--stream", "--from", fmt.Sprint(len(l.words)), string(l.id))
		var rest []string
		for line := range strings.Lines(r.Stdout) {
			var p struct {
				Seq  *int   `json:"seq"`
				Text string `json:"text"`
			}
			if json.Unmarshal([]byte(line), &p) == nil && p.Seq != nil && p.Text != "" {
				rest = append(rest, p.Text)
			}
		}
		check(marker+", with the command", marker, append(append([]string(nil), l.words...), rest...))
		l.listen(from, "/task/"+string(l.id)+"/events", "", answerWords) // it has ended meanwhile
		check(marker, marker, l.words)
	}
}

// Whoever asked over HTTP hangs up, or presses ^C: the engine is told within a second.
func TestHangingUpCancels(t *testing.T) {
	t.Parallel()
	var ledger engine.Ledger
	s := harness.New(t, programs)
	eng := startEngine(t, s, engine.Config{Name: "a", Ledger: &ledger, Script: func(engine.Request) engine.Script {
		return engine.Script{Words: []string{"one ", "two "}, Ending: engine.Hang}
	}})
	a := s.Found(t, "a", "--engine", eng.URL())
	b := s.Join(t, a, "b")
	harness.Settle(t, a, b)
	awaitModel(t, b, "a", engine.Model, true)
	hangUp := func(path string, content func([]byte) (string, bool)) func(marker string) time.Time {
		return func(marker string) time.Time {
			ctx, cancel := context.WithCancel(within(t, path))
			var gone time.Time
			_, err := overHTTP(b.Info.HTTPURL, path, engine.Model, content)(ctx, engine.Prompt(marker), func(bus.NodeID) {
				gone = time.Now()
				cancel()
			})
			if err == nil || gone.IsZero() {
				t.Fatalf("%s: no answer to hang up on: %v", path, err)
			}
			return gone
		}
	}
	for marker, leave := range map[string]func(string) time.Time{
		"ollama": hangUp("/api/chat", ollamaLine),
		"openai": hangUp("/v1/chat/completions", openAILine),
		"interrupt": func(marker string) time.Time {
			cli := b.LaunchMyco(t, "ask", engine.Prompt(marker))
			if _, err := ledger.Wait(within(t, "an answer"), func(r []engine.Run) bool {
				runs := begun(r, marker)
				return len(runs) == 1 && runs[0].Words == 2
			}); err != nil {
				t.Fatal(err)
			}
			if err := cli.Signal(syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
			return time.Now()
		},
	} {
		gone := leave(marker)
		runs, err := ledger.Wait(within(t, marker+" leaves"), func(r []engine.Run) bool {
			runs := begun(r, marker)
			return len(runs) == 1 && runs[0].Outcome == engine.Left
		})
		if err != nil {
			t.Fatalf("%s: %+v: %v", marker, begun(runs, marker), err)
		}
		if took := begun(runs, marker)[0].End.Sub(gone); took > figures.Limit*time.Second {
			t.Errorf("%s: the engine was told after %v, want within %v", marker, took, figures.Limit*time.Second)
		} else {
			t.Logf("%s: the engine was told after %v", marker, took)
		}
	}
}
