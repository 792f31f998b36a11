package daemon_test

import (
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/engine"
)

// A program lists and cancels tasks at any node, whichever they were handed to, and whichever runs them.
func TestTasksOverHTTP(t *testing.T) {
	t.Parallel()
	var ledger engine.Ledger
	b, a := dialectSwarm(t, &ledger, func(engine.Request) engine.Script {
		return engine.Script{Words: []string{"first"}, Ending: engine.Hang}
	})
	status, body := call(t, b, "POST", "/task?durable=1", `{"type":"inference","model":"scripted","payload":{"prompt":"<secret>"}}`)
	var receipt bus.Receipt
	if err := json.Unmarshal([]byte(body), &receipt); err != nil || status != 202 {
		t.Fatalf("%d %s: %v", status, body, err)
	}
	eventually(t, "the task is listed as running, by its node alone", func() string {
		for _, n := range []*node{a, b} {
			for query, want := range map[string]int{"?state=running&node=a&type=inference": 1, "?node=b": 0} {
				var page struct{ Tasks []bus.TaskInfo }
				status, body := call(t, n, "GET", "/tasks"+query, "")
				if err := json.Unmarshal([]byte(body), &page); err != nil || status != 200 || len(page.Tasks) != want || want == 1 && page.Tasks[0].ID != receipt.ID {
					return query + ": " + body
				}
			}
		}
		return ""
	})
	for range 2 { // a cancelled task stays so
		status, body = call(t, a, "DELETE", "/task/"+string(receipt.ID), "")
		var info bus.TaskInfo
		if err := json.Unmarshal([]byte(body), &info); err != nil || status != 200 || info.State != bus.StateCancelled || info.ID != receipt.ID ||
			info.Error == nil || strings.Contains(info.Error.Message, "submitter") { // it was the owner, at another node
			t.Errorf("cancel at another node: %d %s: %v", status, body, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	_, err := ledger.Wait(ctx, func(runs []engine.Run) bool { return len(runs) == 1 && runs[0].Outcome == engine.Left })
	check(t, err)
	eventually(t, "all nodes tell the end", func() string {
		for _, n := range []*node{a, b} {
			var info bus.TaskInfo
			_, body := call(t, n, "GET", "/task/"+string(receipt.ID), "")
			if err := json.Unmarshal([]byte(body), &info); err != nil || info.State != bus.StateCancelled {
				return body
			}
		}
		return ""
	})
	if status, body = call(t, a, "GET", "/task/"+string(receipt.ID)+"/why", ""); status != 200 {
		t.Errorf("why: %d %s", status, body)
	}
	// So it is with an answer that somebody waits for, whose header tells the task.
	resp := open(t, b, "/v1/chat/completions", `{"model":"scripted","stream":true,"messages":[{"role":"user","content":"x"}]}`)
	defer resp.Body.Close()
	status, body = call(t, a, "DELETE", "/task/"+resp.Header.Get("X-Myco-Task"), "")
	if status != 200 || !strings.Contains(body, `"model":"scripted:latest"`) || !strings.Contains(body, `"state":"cancelled"`) {
		t.Errorf("cancel an answer: %d %s", status, body)
	}
	if rest, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(rest), `"code":"cancelled"`) {
		t.Errorf("who waits for it hears %s, %v", rest, err)
	}
	if status, body = call(t, a, "DELETE", "/task/nothing", ""); status != 404 {
		t.Errorf("cancel what nobody knows: %d %s", status, body)
	}
}
