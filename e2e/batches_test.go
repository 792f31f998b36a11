//go:build e2e && linux

package e2e_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// batchView is what HTTP tells of a batch.
type batchView struct {
	ID      string
	Status  string
	Output  string                                 `json:"output_file_id"`
	Failure string                                 `json:"error_file_id"`
	Counts  struct{ Total, Completed, Failed int } `json:"request_counts"`
}

// sendBatch has a node answer so many prompts, each of which names a task to the ledger.
func sendBatch(t *testing.T, n *harness.Node, prompts int) (b batchView) {
	t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	out, err := form.CreateFormFile("file", "in.jsonl")
	for i := range prompts {
		if err != nil {
			break
		}
		_, err = fmt.Fprintf(out, `{"custom_id":"c%d","method":"POST","url":"/v1/completions","body":{"model":"scripted","prompt":%q}}`+"\n", i, engine.Prompt(fmt.Sprintf("b-%d", i)))
	}
	if err = errors.Join(err, form.WriteField("purpose", "batch"), form.Close()); err != nil {
		t.Fatal(err)
	}
	r := httpDo(t, n, http.MethodPost, "/v1/files", body.String(), func(r *http.Request) { r.Header.Set("Content-Type", form.FormDataContentType()) })
	var file struct{ ID string }
	if err := json.Unmarshal([]byte(r.body), &file); err != nil || r.status != http.StatusOK {
		t.Fatalf("send a file: %d %s", r.status, r.body)
	}
	r = httpDo(t, n, http.MethodPost, "/v1/batches", fmt.Sprintf(`{"input_file_id":%q,"endpoint":"/v1/completions","completion_window":"24h"}`, file.ID))
	if err := json.Unmarshal([]byte(r.body), &b); err != nil || r.status != http.StatusOK {
		t.Fatalf("begin a batch: %d %s", r.status, r.body)
	}
	return b
}

// view asks a node how far a batch is.
func (b batchView) view(t *testing.T, n *harness.Node) (now batchView) {
	t.Helper()
	r := httpDo(t, n, http.MethodGet, "/v1/batches/"+b.ID, "")
	if err := json.Unmarshal([]byte(r.body), &now); err != nil || r.status != http.StatusOK {
		t.Fatalf("look at a batch: %d %s", r.status, r.body)
	}
	return now
}

// A batch goes on whoever dies: the node that answers, and the one that was asked, which begins anew. Each request has one
// answer in the end, and what had one is not asked again.
func TestBatchOutlastsItsNodes(t *testing.T) {
	t.Parallel()
	const prompts, inFlight = 400, 64
	s := harness.New(t, programs)
	var ledger engine.Ledger
	script := func(r engine.Request) engine.Script {
		return engine.Script{Words: []string{"done ", r.Marker}, Between: 20 * time.Millisecond}
	}
	a := s.Found(t, "a")
	workers := map[string]*harness.Node{}
	args := map[string][]string{}
	for _, name := range []string{"b", "c"} {
		args[name] = []string{"--slots", "4", "--engine", startEngine(t, s, engine.Config{Name: name, Ledger: &ledger, Script: script}).URL()}
		workers[name] = s.Join(t, a, name, args[name]...)
		awaitModel(t, a, name, engine.Model, true)
	}
	b := sendBatch(t, a, prompts)
	done := func(n int) {
		t.Helper()
		harness.Poll(t, harness.Patience, fmt.Sprintf("%d requests have an answer", n), func() string {
			if now := b.view(t, a); now.Counts.Completed < n {
				return fmt.Sprintf("%+v", now)
			}
			return ""
		})
	}
	done(20)
	workers["b"].Kill()
	done(100)
	a.Kill()
	a.Start(t)
	workers["b"].Start(t, args["b"]...)
	harness.Poll(t, harness.Patience, "the batch is completed", func() string {
		if now := b.view(t, a); now.Status != "completed" {
			return fmt.Sprintf("%+v", now)
		}
		return ""
	})
	if b = b.view(t, a); b.Counts.Completed != prompts || b.Counts.Failed != 0 || b.Failure != "" {
		t.Errorf("%+v", b)
	}
	answers := map[string]int{}
	for line := range strings.Lines(httpDo(t, a, http.MethodGet, "/v1/files/"+b.Output+"/content", "").body) {
		var o struct {
			CustomID string `json:"custom_id"`
			Response struct {
				Body struct{ Choices []struct{ Text string } }
			}
		}
		if err := json.Unmarshal([]byte(line), &o); err != nil || len(o.Response.Body.Choices) != 1 {
			t.Fatalf("%s: %v", line, err)
		}
		if want := "done b-" + strings.TrimPrefix(o.CustomID, "c"); o.Response.Body.Choices[0].Text != want {
			t.Errorf("%s: %q, want %q", o.CustomID, o.Response.Body.Choices[0].Text, want)
		}
		answers[o.CustomID]++
	}
	for id, n := range answers {
		if n != 1 {
			t.Errorf("%s has %d answers", id, n)
		}
	}
	runs := len(ledger.Runs())
	if len(answers) != prompts || runs > prompts+inFlight+len(workers)*4 {
		t.Errorf("%d answers in %d runs", len(answers), runs)
	}
	t.Logf("%d answers in %d runs", len(answers), runs)
}
