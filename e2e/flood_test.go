//go:build e2e && linux

package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// A flood is taken up to a limit, and refused from there on with the depth and when to try again;
// who asks in between is answered before it, memory stays bounded, and all that was accepted is done.
func TestFlood(t *testing.T) {
	t.Parallel()
	var ledger engine.Ledger
	gate := make(chan struct{})
	s := harness.New(t, programs)
	n := s.Found(t, "a", "--slots", "2", "--engine", startEngine(t, s, engine.Config{
		Name: "a", Ledger: &ledger, Script: func(r engine.Request) engine.Script {
			if r.Marker == "person" {
				return engine.Script{}
			}
			return engine.Script{Gate: gate}
		},
	}).URL())
	awaitModel(t, n, "a", engine.Model, true)
	d, ctx := newDriver(t), within(t, "a flood")

	padding := strings.Repeat("x", 480<<10)
	refused, unsure := false, 0
	for i := 0; !refused; i++ {
		if i > 700 { // the limit is 256 MiB
			t.Fatalf("%d tasks of 480 KiB were taken, and none refused", i)
		}
		id := fmt.Sprintf("flood-%04d", i)
		payload, err := json.Marshal(bus.InferenceRequest{Prompt: engine.Prompt(id) + padding})
		if err != nil {
			t.Fatal(err)
		}
		status, after, e := post(t, n, bus.Task{ID: bus.TaskID(id), Type: bus.TypeInference, Model: engine.Model, Payload: payload})
		switch status {
		case http.StatusAccepted:
			d.durable[bus.TaskID(id)] = true
		case http.StatusTooManyRequests:
			refused = true
			if after < 1 || e.Code != bus.CodeBusy || !strings.Contains(e.Message, "MiB of payload") || e.Hint == "" {
				t.Errorf("refused with Retry-After %d, %v, hint %q: want the depth and when to try again", after, e, e.Hint)
			}
		case http.StatusServiceUnavailable: // the disk took longer than a client is held up: it asks again
			if unsure++; unsure > 20 {
				t.Fatalf("task %d: %v, the %dth of these", i, e, unsure)
			}
			i--
		default:
			t.Fatalf("task %d: status %d, %v", i, status, e)
		}
	}
	d.submit(ctx, n.Dial(t), "person")
	close(gate)
	d.wg.Wait()
	before := 0
	for before < len(ledger.Runs()) && ledger.Runs()[before].Marker != "person" {
		before++
	}
	if before > 10 { // those that ran when it was asked, and what the slots took in that moment
		t.Errorf("%d of %d tasks of the flood went before a person's question", before, len(d.durable))
	}
	rss := residentMiB(t, n.PID())
	t.Logf("%d tasks accepted, %d began before the person's, the daemon takes %d MiB", len(d.durable), before, rss)
	if rss > 2048 {
		t.Errorf("the daemon takes %d MiB under a flood of 256 MiB", rss)
	}
	d.audit(ctx, n.Dial(t))
	reach(t, "flood", 1, fmt.Sprintf("%d tasks of 480 KiB accepted and done, %d before the person's", len(d.durable), before))
}

// post hands over a durable task over HTTP.
func post(t *testing.T, n *harness.Node, task bus.Task) (status, retryAfter int, e *bus.Error) {
	t.Helper()
	key, err := os.ReadFile(filepath.Join(n.Dir, bus.HTTPKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(task)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, n.Info.HTTPURL+"/task?durable=1", bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(key)))
	req.Header.Set("Content-Type", "application/json")
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var body struct {
		Error *bus.Error `json:"error"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
		t.Fatal(err)
	}
	retryAfter, _ = strconv.Atoi(resp.Header.Get("Retry-After")) // 0 where there is none
	return resp.StatusCode, retryAfter, body.Error
}

// residentMiB is the memory that a process takes, in MiB.
func residentMiB(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(b))[1])
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize() >> 20
}
