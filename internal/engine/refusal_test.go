package engine_test

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/engine"
)

// An engine that lists its models for everybody and takes no question is told of, until it takes one or has another key; a
// question that it refuses is tried few times.
func TestRefusedQuestionsAreToldOf(t *testing.T) {
	t.Parallel()
	g := guard(t, serve(t, map[string]http.HandlerFunc{
		"GET /v1/models":            text(`{"data":[{"id":"m"},{"id":"other"}]}`),
		"POST /v1/chat/completions": text(event("Paris") + finish + doneEvent),
		"POST /v1/embeddings":       text(`{"data":[{"index":0,"embedding":[1]}]}`),
	}).URL, "/v1/models", "/api/version")
	log := &logged{}
	cfg := quick(nowhere, g.URL)
	cfg.Keys = keyFile(t, g.URL+" "+wrongKey)
	w, _ := watchLogged(t, cfg, slog.New(slog.NewTextHandler(log, nil)))
	await(t, w, "its list", hasModel("m"))
	told := func() bus.EngineDiagnosis {
		found := []bus.EngineDiagnosis{{URL: "http://127.0.0.1:1"}, {URL: g.URL, Kind: engine.KindOpenAI}}
		w.Refused(found)
		if found[0].Error != "" {
			t.Errorf("another engine: %+v", found[0])
		}
		return found[1]
	}
	none := func(when string) {
		t.Helper()
		if d := told(); d.Error != "" || d.Hint != "" {
			t.Errorf("%s: %+v", when, d)
		}
	}
	none("before a question")
	for range 2 { // the log has it once
		if a := ask(t.Context(), w, "m", "x"); !bus.IsRetryFew(a.err) {
			t.Errorf("asked with a wrong key: %v, want few tries", a.err)
		}
	}
	if d := told(); !strings.HasSuffix(d.Error, "in spite of its key (status 401), asked for m") || !strings.Contains(d.Hint, cfg.Keys) {
		t.Errorf("%+v", d)
	}
	if said := log.String(); strings.Count(said, "engine refuses questions") != 1 || !strings.Contains(said, cfg.Keys) || strings.Contains(said, wrongKey) {
		t.Errorf("the log does not say once what to do:\n%s", said)
	}

	g.wants(wrongKey) // from here on
	if a := ask(t.Context(), w, "m", "x"); a.err != nil {
		t.Error(a.err)
	}
	none("once it has answered")

	g.wants(rightKey)
	if _, err := w.Embed(t.Context(), "other", bus.EmbedRequest{Inputs: []string{"x"}}); !bus.IsRetryFew(err) {
		t.Errorf("vectors with a wrong key: %v", err)
	}
	if d := told(); !strings.Contains(d.Error, "asked for other") {
		t.Errorf("%+v", d)
	}
	writeKeys(t, cfg.Keys, g.URL+" "+rightKey)
	for ctx := patiently(t); told().Error != ""; { // until the file is read again
		if ctx.Err() != nil {
			t.Fatal("it is told of though its key is another")
		}
	}
}

// Ollama lists models of ollama.com's before it has an account there.
func TestOllamaWithoutItsAccount(t *testing.T) {
	t.Parallel()
	s := ollama(t, status(http.StatusUnauthorized, `{"error":"unauthorized","signin_url":"https://ollama.com/connect"}`))
	a := ask(t.Context(), probe(t, s), "tinylm:latest", "x")
	wantError(t, a.err, bus.CodeUnavailable, true, "needs an account of ollama.com")
	if e := bus.AsError(a.err); !strings.Contains(e.Hint, "ollama signin") {
		t.Errorf("try: %s", e.Hint)
	}
}
