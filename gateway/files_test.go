package gateway_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/gateway"
)

func TestFilesAreSent(t *testing.T) {
	t.Parallel()
	o, _ := newOracle(t, answers)
	g, _ := batching(t, o, t.TempDir())
	long := strings.Repeat("x", 2<<10)
	for _, c := range []struct {
		fields []string
		status int
		says   string
	}{
		{[]string{"purpose", "batch", "file", "{}"}, 200, `"filename":"in.jsonl"`},
		{[]string{"file", "{}", "purpose", "batch", "expires_after[anchor]", "created_at", "expires_after[seconds]", "3600"}, 200, `"bytes":2`},
		{[]string{"file " + long[:255], "{}", "purpose", "batch"}, 200, long[:255]},
		{[]string{"file " + long[:256], "{}", "purpose", "batch"}, 400, "name of the file"},
		{[]string{"purpose", "batch"}, 400, "file is required"},
		{[]string{"file", "{}"}, 400, "this node keeps files for batches"},
		{[]string{"file", "{}", "purpose", "fine-tune"}, 400, `purpose is \"fine-tune\"`},
		{[]string{"file", "{}", "file", "{}"}, 400, "more than one file"},
		{[]string{"file", "{}", "purpose", long}, 400, "purpose has over"},
		{[]string{"file", "{}", strings.Repeat("name", 1<<18), long, "purpose", "batch"}, 200, `"bytes":2`},
		{[]string{"file", "{}", "purpose", "batch", "expires_after[seconds]", "5"}, 400, "expires_after"},
	} {
		w := sent(t, g, key, c.fields...)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.says) {
			t.Errorf("%.80q: %d %s", c.fields, w.Code, w.Body)
		}
	}
	body, media := form(t, "file", "{}", "purpose", "batch")
	for what, w := range map[string]*httptest.ResponseRecorder{
		"without a key":    local(t, g, "POST", "/v1/files", body, "Content-Type", media),
		"as JSON":          local(t, g, "POST", "/v1/files", body, "Authorization", "Bearer x"),
		"cut off":          local(t, g, "POST", "/v1/files", body[:len(body)/2], "Content-Type", media, "Authorization", "Bearer x"),
		"with no boundary": local(t, g, "POST", "/v1/files", body, "Content-Type", "multipart/form-data", "Authorization", "Bearer x"),
	} {
		if w.Code != 400 {
			t.Errorf("%s: %d %s", what, w.Code, w.Body)
		}
	}
	// What was refused is not kept.
	list := object(t, call(t, g, "GET", "/v1/files", ""))
	if data := list["data"].([]any); len(data) != 4 || list["has_more"] != false {
		t.Errorf("%v", list)
	}
}

// Many clients do not look for an answer before they have sent all: one whose file is refused hears why, and not of a broken
// connection.
func TestRefusedFilesAreReadToTheirEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o, _ := newOracle(t, answers)
		full := func() error { return bus.Errorf(bus.CodeNoSpace, "the disk is full") }
		dial := listening(t, gateway.Config{Swarm: o, Key: key, BatchDir: t.TempDir(), Room: full})
		body, media := form(t, "purpose", "batch", "file", strings.Repeat("x", 1<<20))
		for media, status := range map[string]int{media: http.StatusInsufficientStorage, "text/plain": http.StatusBadRequest} {
			c := dial()
			c.send(t, "/v1/files", map[string]string{"Content-Type": media}, len(body), body)
			if code, said := c.hears(t); code != status {
				t.Errorf("%s: %d %s, want %d", media, code, said, status)
			}
		}
		// And one who has asked before, and was told to go on.
		dial = listening(t, gateway.Config{Swarm: o, Key: key, BatchDir: t.TempDir(), Room: func() error { return nil }})
		body, media = form(t, "purpose", "batch", "file "+strings.Repeat("x", 256), strings.Repeat("x", 1<<20))
		c := dial()
		c.send(t, "/v1/files", map[string]string{"Content-Type": media, "Expect": "100-continue"}, len(body), "")
		if code, _ := c.hears(t); code != http.StatusContinue {
			t.Errorf("who asks hears %d", code)
		}
		if _, err := io.WriteString(c, body); err != nil {
			t.Errorf("who was told to go on cannot send it all: %v", err)
		}
		if code, said := c.hears(t); code != http.StatusBadRequest {
			t.Errorf("who was told to go on: %d %s", code, said)
		}
	})
}

// Files are listed and read as they were sent, and are kept as long as was said.
func TestFilesAreKept(t *testing.T) {
	t.Parallel()
	o, _ := newOracle(t, answers)
	g, _ := batching(t, o, t.TempDir())
	line := asks("a", "/v1/completions", `{"model":"m","prompt":"hi"}`)
	first := object(t, sent(t, g, key, "file a\"ü.jsonl", line, "purpose", "batch", "expires_after[anchor]", "created_at", "expires_after[seconds]", "7200"))
	if first["expires_at"].(float64)-first["created_at"].(float64) != 7200 {
		t.Errorf("sent: %v", first)
	}
	w := call(t, g, "GET", fmt.Sprintf("/v1/files/%v/content", first["id"]), "")
	if h := w.Header(); w.Body.String() != line || h.Get("Content-Length") != fmt.Sprint(len(line)) || h.Get("Content-Disposition") != "attachment; filename*=utf-8''a%22%C3%BC.jsonl" {
		t.Errorf("read: %q, %v", w.Body, h)
	}
	b := object(t, call(t, g, "POST", "/v1/batches", fmt.Sprintf(`{"input_file_id":%q,"endpoint":"/v1/completions","completion_window":"24h","output_expires_after":{"anchor":"created_at","seconds":3600}}`, first["id"])))
	b = becomes(t, g, key, b["id"].(string), "completed")
	out := object(t, call(t, g, "GET", fmt.Sprintf("/v1/files/%v", b["output_file_id"]), ""))
	if out["expires_at"].(float64)-out["created_at"].(float64) != 3600 || out["purpose"] != "batch_output" {
		t.Errorf("what came: %v", out)
	}
	for query, want := range map[string][]any{
		"": {out["id"], first["id"]}, "order=asc": {first["id"], out["id"]}, "purpose=batch": {first["id"]}, "purpose=vision": nil,
		"limit=1": {out["id"]}, "limit=1&order=asc&after=" + first["id"].(string): {out["id"]},
	} {
		var got []any
		for _, f := range object(t, call(t, g, "GET", "/v1/files?"+query, ""))["data"].([]any) {
			got = append(got, f.(map[string]any)["id"])
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
}
