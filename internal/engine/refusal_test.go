package engine_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

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
		found := []bus.EngineDiagnosis{{URL: "http://127.0.0.1:1", Models: []string{"m"}}, {URL: g.URL, Kind: engine.KindOpenAI, Models: []string{"m", "other"}}}
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
	begin := time.Now()
	for range 2 { // the log has it once
		if a := ask(t.Context(), w, "m", "x"); !bus.IsRetryFew(a.err) {
			t.Errorf("asked with a wrong key: %v, want few tries", a.err)
		}
	}
	d := told()
	if !strings.Contains(d.Error, "in spite of its key (status 401), asked for m at 20") || !strings.Contains(d.Hint, cfg.Keys) {
		t.Errorf("%+v", d)
	}
	const minute = "2006-01-02 15:04"
	if !strings.HasSuffix(d.Error, begin.Format(minute)) && !strings.HasSuffix(d.Error, time.Now().Format(minute)) {
		t.Errorf("not told when: %s", d.Error)
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

// What an engine refused is over where it has the model no more, or was away meanwhile: nobody may ask for that again.
func TestRefusedQuestionsAreForgotten(t *testing.T) {
	t.Parallel()
	var lists atomic.Pointer[string]
	list := func(models string) { lists.Store(&models) }
	list(`{"data":[{"id":"m"},{"id":"other"}]}`)
	s := serve(t, map[string]http.HandlerFunc{
		"GET /v1/models": func(w http.ResponseWriter, _ *http.Request) {
			if models := *lists.Load(); models != "" {
				fmt.Fprint(w, models)
				return
			}
			w.WriteHeader(http.StatusServiceUnavailable)
		},
		"POST /v1/chat/completions": status(http.StatusForbidden, `{"error":"not yours"}`),
	})
	w := watch(t, quick(nowhere, s.URL))
	await(t, w, "its list", hasModel("m"))
	refused := func(models ...string) bool {
		found := []bus.EngineDiagnosis{{URL: s.URL, Kind: engine.KindOpenAI, Models: models}}
		w.Refused(found)
		return found[0].Error != ""
	}
	is := func(when string, want bool) {
		t.Helper()
		if got := refused("m", "other"); got != want {
			t.Errorf("%s: told of: %t, want %t", when, got, want)
		}
	}
	for when, models := range map[string]string{"without the model": `{"data":[{"id":"other"}]}`, "away": ""} {
		wantError(t, ask(t.Context(), w, "m", "x").err, bus.CodeUnavailable, true, "refuses requests")
		is("just refused", true)
		if refused("other") {
			t.Error("told of a model that is not found there")
		}
		before := *lists.Load()
		list(models)
		await(t, w, when, func(s *engine.Set) bool { return !hasModel("m")(s) })
		is(when, false)
		list(before)
		await(t, w, "again", hasModel("m"))
		is("again after "+when, false)
	}
}

// A key may change while a question is under way: how that goes with the one before tells nothing of the present one.
func TestQuestionsWithTheKeyBefore(t *testing.T) {
	t.Parallel()
	for name, refuses := range map[string]string{"it is refused": wrongKey, "it is answered, and the present key is refused meanwhile": rightKey} {
		looked := make(chan struct{})
		var keys string
		var w *engine.Watcher
		s := serve(t, map[string]http.HandlerFunc{
			"GET /v1/models": func(w http.ResponseWriter, r *http.Request) {
				text(`{"data":[{"id":"m"}]}`)(w, r)
				if r.Header.Get("Authorization") == "Bearer "+rightKey {
					select {
					case looked <- struct{}{}:
					default:
					}
				}
			},
			"POST /v1/chat/completions": func(out http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") == "Bearer "+wrongKey { // the first
					writeKeys(t, keys, "http://"+r.Host+" "+rightKey)
					select {
					case <-looked:
					case <-r.Context().Done():
					}
					if refuses == rightKey {
						wantError(t, ask(r.Context(), w, "m", "x").err, bus.CodeUnavailable, true, "in spite of its key")
					}
				}
				if r.Header.Get("Authorization") == "Bearer "+refuses {
					out.WriteHeader(http.StatusUnauthorized)
					return
				}
				fmt.Fprint(out, event("Paris")+finish+doneEvent)
			},
		})
		keys = keyFile(t, s.URL+" "+wrongKey)
		cfg := quick(nowhere, s.URL)
		cfg.Keys = keys
		w = watch(t, cfg)
		await(t, w, "its list", hasModel("m"))
		if a := ask(patiently(t), w, "m", "x"); (a.err != nil) != (refuses == wrongKey) {
			t.Errorf("%s: %v", name, a.err)
		}
		found := []bus.EngineDiagnosis{{URL: s.URL, Kind: engine.KindOpenAI, Models: []string{"m"}}}
		if w.Refused(found); (found[0].Error != "") != (refuses == rightKey) {
			t.Errorf("%s: told of the key that it has now: %q", name, found[0].Error)
		}
	}
}

// Ollama lists models of ollama.com's before it has an account there, or one that may ask them. No key of the way to that Ollama
// helps; what stands before it may want one, and say so in the same words.
func TestModelsOfOllamasCloud(t *testing.T) {
	t.Parallel()
	const (
		account      = `{"error":"unauthorized","signin_url":"https://ollama.com/connect?name=box&key=c3No"}`
		subscription = `{"error":"this model requires a subscription, upgrade for access: https://ollama.com/upgrade (ref: 1)"}`
	)
	for name, tt := range map[string]struct {
		status          int
		body, says, try string
	}{
		"no account":           {http.StatusUnauthorized, account, "needs an account of ollama.com", "where that Ollama is: ollama signin"},
		"no subscription":      {http.StatusForbidden, subscription, "needs a subscription", "https://ollama.com/upgrade"},
		"what stands before":   {http.StatusUnauthorized, `{"error":"unauthorized"}`, "refuses requests", "key"},
		"forbidden as a whole": {http.StatusForbidden, `{"error":"forbidden"}`, "refuses requests", "key"},
	} {
		s := ollama(t, status(tt.status, tt.body))
		for _, keys := range []string{"", keyFile(t, s.URL+" "+wrongKey)} {
			cfg := quick(nowhere, s.URL)
			cfg.Keys = keys
			set, _ := find(t, cfg)
			err := ask(t.Context(), set, "tinylm:latest", "x").err
			wantError(t, err, bus.CodeUnavailable, true, tt.says)
			if try := bus.AsError(err).Hint; !strings.Contains(try, tt.try) || tt.try != "key" && strings.Contains(strings.ToLower(try), "key") {
				t.Errorf("%s, with keys of %q: try: %s", name, keys, try)
			}
		}
	}
}
