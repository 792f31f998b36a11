package gateway_test

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
)

// An image or a document is not copied from one step of reading to the next: a copy of 256 MiB into fresh memory has
// the whole process wait on some machines.
func TestLargeRequestsAreSeldomCopied(t *testing.T) {
	data := base64.StdEncoding.EncodeToString(make([]byte, 12<<20))
	for path, c := range map[string]struct {
		body string
		most float64 // of what is allocated: times the body
	}{
		"/task":     {`{"type":"inference","model":"m","payload":{"prompt":"` + data + `"}}`, 2.5},
		"/api/chat": {`{"model":"m","messages":[{"role":"user","content":"hi","images":["` + data + `"]}]}`, 5.5},
		"/v1/chat/completions": {
			`{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,` + data + `"}}]}]}`, 8.5,
		},
	} {
		_, g := setup(t)
		ask := func() *httptest.ResponseRecorder { return call(t, g, http.MethodPost, path, c.body) }
		if path != "/task" {
			_, g := newOracle(t, paris())
			ask = func() *httptest.ResponseRecorder { return local(t, g, http.MethodPost, path, c.body) }
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		w := ask()
		runtime.ReadMemStats(&after)
		times := float64(after.TotalAlloc-before.TotalAlloc) / float64(len(c.body))
		if w.Code != http.StatusOK || times > c.most {
			t.Errorf("%s: %d %.100s, and allocates %.1f times the body, want at most %.1f", path, w.Code, strings.TrimSpace(w.Body.String()), times, c.most)
		}
		t.Logf("%s: %.1f times", path, times)
	}
}

// What a request's fields are, and what is wrong with them, is as encoding/json has it.
func TestOddFieldsAreRead(t *testing.T) {
	for body, want := range map[string]string{
		`{"model":"x","model":"m","messages":[{"role":"user","content":"hi"}]}`:                                        "",
		`{"mod\u0065l":"m","messages":[{"role":"user","content":"hi"}]}` + " \n":                                       "",
		"{\"model\":\"m\",\"\xff\":1,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}":                           "",
		`{"model":"m","messages":[{"role":"user","content":"` + strings.Repeat("long ", 2000) + `"}],"format":"json"}`: "",
		`{"model":"m"`:    "unexpected end of JSON input",
		`{"model":"m"} {`: "after top-level value",
		`{"model":"m",}`:  "invalid character '}'",
	} {
		_, g := newOracle(t, paris())
		w := local(t, g, http.MethodPost, "/api/chat", body)
		if code := w.Code; (code == http.StatusOK) != (want == "") || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%.80s: %d %.200s, want %q", body, code, w.Body, want)
		}
	}
}
