package gateway_test

import (
	"net/http"
	"runtime"
	"strings"
	"testing"
)

// A document is not copied from one step of reading to the next: a copy of 256 MiB into fresh memory has the whole
// process wait on some machines.
func TestLargeTasksAreSeldomCopied(t *testing.T) {
	const size, most = 16 << 20, 2.5 // times the body: it, and the payload that goes on
	body := `{"type":"inference","model":"m","payload":{"prompt":"` + strings.Repeat("x", size) + `"}}`
	_, g := setup(t)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	w := call(t, g, http.MethodPost, "/task", body)
	runtime.ReadMemStats(&after)
	times := float64(after.TotalAlloc-before.TotalAlloc) / float64(len(body))
	if t.Logf("%.1f times", times); w.Code != http.StatusOK || times > most {
		t.Errorf("%d %.100s, and it allocates %.1f times the body, want at most %.1f", w.Code, w.Body, times, most)
	}
}

// Nor is a question: the body, what it says, and the task's payload are in memory, and the payload alone while the answer is
// waited for, with what was set aside for it; of a document only its text.
func TestLargeQuestionsAreSeldomCopied(t *testing.T) {
	for kind, asks := range largeAsks(4 << 20) {
		const most = 4 // times the body
		mostHeld := 1.5
		if kind == "document" { // which is the payload of a task of its own
			mostHeld = 0.1
		}
		for path, body := range asks {
			if allocates, holds := cost(t, path, body); allocates > most || holds > mostHeld {
				t.Errorf("%s of %s: allocates %.1f times the body and holds %.1f, want at most %.1f and %.1f", path, kind, allocates, holds, float64(most), mostHeld)
			}
		}
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
