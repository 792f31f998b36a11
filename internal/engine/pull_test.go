package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/engine"
)

// codeOf is the code of an error, or "".
func codeOf(err error) bus.Code {
	if e := bus.AsError(err); e != nil {
		return e.Code
	}
	return ""
}

// keeper answers /api/pull and /api/delete as a test says.
func keeper(t *testing.T, pull, del http.HandlerFunc) *engine.Ollama {
	t.Helper()
	o, ok := probe(t, serve(t, map[string]http.HandlerFunc{
		"GET /api/version": text(ollamaVersion), "GET /api/tags": text(ollamaTags), "GET /api/ps": text(ollamaPS),
		"POST /api/show": ollamaShow, "POST /api/pull": pull, "DELETE /api/delete": del,
	})).(*engine.Ollama)
	if !ok {
		t.Fatal("it is no Ollama")
	}
	return o
}

func TestOllamaPulls(t *testing.T) {
	t.Parallel()
	var got map[string]any
	says := `{"status":"pulling manifest"}` + "\n" + `{"status":"pulling abc","digest":"sha256:abc","total":9,"completed":4}` + "\n"
	for name, c := range map[string]struct {
		status int
		body   string
		code   bus.Code
		retry  bool
		pieces int
	}{
		"to the end":           {200, says + `{"status":"success"}` + "\n", "", false, 2},
		"a model that is none": {200, `{"status":"pulling manifest"}` + "\n" + `{"error":"pull model manifest: file does not exist"}` + "\n", bus.CodeNotFound, false, 1},
		"no disk":              {200, says + `{"error":"write: no space left on device"}` + "\n", bus.CodeFailed, false, 2},
		"a name that is none":  {400, `{"error":"invalid model name"}`, bus.CodeInvalid, false, 0},
		"broken off":           {200, says, bus.CodeUnavailable, true, 2},
		"nonsense":             {200, "hello\n", bus.CodeUnavailable, true, 0},
	} {
		o := keeper(t, func(w http.ResponseWriter, r *http.Request) {
			if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
				t.Error(err)
			}
			w.WriteHeader(c.status)
			fmt.Fprint(w, c.body)
		}, nil)
		var pieces []bus.PullProgress
		err := o.Pull(t.Context(), bus.PullRequest{Model: "m", Insecure: true}, func(p bus.PullProgress) error {
			pieces = append(pieces, p)
			return nil
		})
		if code := codeOf(err); code != c.code || bus.IsRetry(err) != c.retry || len(pieces) != c.pieces {
			t.Errorf("%s: %v (retry %v) after %+v", name, err, bus.IsRetry(err), pieces)
		}
		if c.pieces == 2 && pieces[1] != (bus.PullProgress{Status: "pulling abc", Digest: "sha256:abc", Total: 9, Completed: 4}) {
			t.Errorf("%s: %+v", name, pieces[1])
		}
	}
	if got["model"] != "m" || got["insecure"] != true || got["stream"] != true {
		t.Errorf("asked %v", got)
	}
}

// What Ollama says of a pull that failed is told with its cause, and with what to do about it.
func TestOllamaPullTellsTheCause(t *testing.T) {
	t.Parallel()
	get := func(why string) string {
		return `{"error":"pull model manifest: Get \"https://registry.ollama.ai/v2/library/m/manifests/latest\": ` + why + `"}`
	}
	for _, c := range []struct {
		status            int
		body, cause, next string
	}{
		{200, `{"error":"pull model manifest: file does not exist"}`, "finds no such model", "check the name"},
		{400, `{"error":"invalid model name"}`, "invalid model name", "check the name"},
		{200, get("dial tcp: lookup registry.ollama.ai on 127.0.0.53:53: no such host"), "cannot reach the registry", "HTTPS_PROXY"},
		{200, get("dial tcp 192.0.2.1:443: connect: network is unreachable"), "cannot reach the registry", "myco pull m"},
		{200, get("net/http: TLS handshake timeout"), "cannot reach the registry", "myco pull m"},
		{200, `{"error":"max retries exceeded: unexpected EOF"}`, "cannot reach the registry", "myco pull m"},
		{200, get("tls: failed to verify certificate: x509: certificate signed by unknown authority"), "does not trust", "--insecure m"},
		{200, get("http: server gave HTTP response to HTTPS client"), "does not trust", "--insecure m"},
		{200, `{"error":"write /m/blobs/sha256-abc-partial: no space left on device"}`, "no room on its disk", "myco pull m --node NODE"},
		{200, `{"error":"open /m/blobs/sha256-abc-partial: permission denied"}`, "may not write", "myco pull m"},
		{200, `{"error":"pull model manifest: 412: The model requires a newer version of Ollama."}`, "too old", "update Ollama"},
		{200, `{"error":"something else"}`, "something else", "log"},
	} {
		o := keeper(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(c.status)
			fmt.Fprintln(w, c.body)
		}, nil)
		err := o.Pull(t.Context(), bus.PullRequest{Model: "m"}, func(bus.PullProgress) error { return nil })
		if e := bus.AsError(err); e == nil || !strings.Contains(e.Message, c.cause) || !strings.Contains(e.Hint, c.next) {
			t.Errorf("%s\n%v\nwant the cause %q and the hint %q", c.body, err, c.cause, c.next)
		}
	}
}

// Whoever stops waiting stops the engine.
func TestOllamaStopsToPull(t *testing.T) {
	t.Parallel()
	left := make(chan struct{})
	o := keeper(t, func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err != nil { // what is not read hides that the client leaves
			t.Error(err)
		}
		fmt.Fprintln(w, `{"status":"pulling manifest"}`)
		_ = http.NewResponseController(w).Flush() // as Ollama does
		<-r.Context().Done()
		close(left)
	}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := o.Pull(ctx, bus.PullRequest{Model: "m"}, func(bus.PullProgress) error { cancel(); return nil })
	if codeOf(err) != bus.CodeCancelled {
		t.Errorf("%v, want it cancelled", err)
	}
	select {
	case <-left:
	case <-time.After(patience):
		t.Error("the engine goes on")
	}
}

func TestOllamaDeletes(t *testing.T) {
	t.Parallel()
	for status, code := range map[int]bus.Code{200: "", 404: bus.CodeNotFound, 500: bus.CodeUnavailable} {
		var asked map[string]string
		o := keeper(t, nil, func(w http.ResponseWriter, r *http.Request) {
			if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
				t.Error(err)
			}
			w.WriteHeader(status)
			if status != 200 {
				fmt.Fprint(w, `{"error":"model 'm' says no"}`)
			}
		})
		if err := o.Delete(t.Context(), "m"); codeOf(err) != code || code != "" && !strings.Contains(err.Error(), "says no") {
			t.Errorf("%d: %v, want %q", status, err, code)
		}
		if asked["model"] != "m" {
			t.Errorf("asked %v", asked)
		}
	}
}

// What keeps the folder of models elsewhere says so.
func TestOllamaModelsFolder(t *testing.T) {
	t.Setenv("OLLAMA_MODELS", "/big/models")
	if got := engine.OllamaModels(); got != "/big/models" {
		t.Errorf("%q, want what OLLAMA_MODELS says", got)
	}
	t.Setenv("OLLAMA_MODELS", "")
	if got := engine.OllamaModels(); !strings.HasSuffix(got, "models") {
		t.Errorf("%q, want a folder of models", got)
	}
}
