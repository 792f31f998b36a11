package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	scripted "github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/internal/engine"
)

// quick makes a watcher look often, and wait long enough for a busy machine.
func quick(env func(string) string, urls ...string) engine.Config {
	return engine.Config{URLs: urls, Env: env, NoDemo: true, Interval: 10 * time.Millisecond, ProbeTimeout: patience}
}

func TestWatcherBeforeTheFirstLook(t *testing.T) {
	t.Parallel()
	w, err := engine.NewWatcher(quick(nowhere), nil)
	if err != nil {
		t.Fatal(err)
	}
	if set, _ := w.Watch(); set != nil || len(w.Models()) != 0 || len(set.Engines()) != 0 {
		t.Errorf("got %v", set)
	}
	wantError(t, ask(t.Context(), w, "tinylm", "x").err, bus.CodeNotFound, true, "no engine here")
}

func TestWatcherNoticesStartAndStop(t *testing.T) {
	t.Parallel()
	s := httptest.NewUnstartedServer(nil)
	s.Listener.Close()
	address, release, err := scripted.Reserve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = release() })
	w := watch(t, engine.Config{Env: withOllama(address), Interval: 10 * time.Millisecond, ProbeTimeout: patience})
	await(t, w, "demo at first", func(s *engine.Set) bool { return len(s.Models()) == 1 && s.Models()[0].Demo })
	wantAddresses(t, w) // nobody has said that there is one

	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	other := ollama(t, nil)
	s.Listener, s.Config.Handler = l, other.Config.Handler
	s.Start()
	await(t, w, "engine started", func(s *engine.Set) bool { return len(s.Models()) == 1 && !s.Models()[0].Demo })
	wantAddresses(t, w, engine.Address{URL: "http://" + address, Kind: engine.KindOllama, Up: true})
	s.Close()
	await(t, w, "engine stopped", func(s *engine.Set) bool { return len(s.Models()) == 1 && s.Models()[0].Demo })
	wantAddresses(t, w, engine.Address{URL: "http://" + address, Kind: engine.KindOllama})
}

// An engine that somebody named and that is not there is told in the log, once; where nobody has said that there
// is one, silence is right.
func TestWatcherTellsOfANamedEngineThatIsNotThere(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(nil)
	s.Close()
	var log bytes.Buffer
	cfg := quick(nowhere, s.URL)
	cfg.NoDemo = false
	w, stop := watchLogged(t, cfg, slog.New(slog.NewTextHandler(&log, nil)))
	await(t, w, "all were looked at", func(s *engine.Set) bool { return len(s.Models()) == 1 })
	stop()
	said := log.String()
	if strings.Count(said, "level=WARN msg=\"engine does not answer\" url="+s.URL) != 1 || strings.Count(said, "\n") != 1 {
		t.Errorf("the log says:\n%s", said)
	}
}

func wantAddresses(t *testing.T, w *engine.Watcher, want ...engine.Address) {
	t.Helper()
	if got := w.Addresses(); !slices.Equal(got, want) {
		t.Errorf("engines are told at %+v, want %+v", got, want)
	}
}

// An engine that is asked for is told before it has answered, without what opens it.
func TestWatcherTellsNamedAddresses(t *testing.T) {
	t.Parallel()
	w, err := engine.NewWatcher(quick(nowhere, "http://token:secret@127.0.0.1:9/v1"), nil)
	if err != nil {
		t.Fatal(err)
	}
	wantAddresses(t, w, engine.Address{URL: "http://127.0.0.1:9"})
}

// loadedOnce tells that the model is loaded once it is.
func loadedOnce(loaded *atomic.Bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if loaded.Load() {
			text(ollamaPS)(w, r)
			return
		}
		text(ollamaNone)(w, r)
	}
}

func TestWatcherNoticesModels(t *testing.T) {
	t.Parallel()
	var loaded atomic.Bool
	s := serve(t, map[string]http.HandlerFunc{
		"GET /api/version": text(ollamaVersion), "GET /api/tags": text(ollamaTags), "POST /api/show": ollamaShow,
		"GET /api/ps": loadedOnce(&loaded),
	})
	w := watch(t, quick(withOllama(s.URL)))
	await(t, w, "installed", func(s *engine.Set) bool {
		return hasModel("tinylm")(s) && !s.Models()[0].Loaded && s.Models()[0].ContextLength == 256
	})
	loaded.Store(true)
	await(t, w, "loaded", func(s *engine.Set) bool { return s.Models()[0].Loaded && s.Models()[0].ContextLength == 128 })
}

func TestWatcherTellsOnlyChanges(t *testing.T) {
	t.Parallel()
	looks := make(chan struct{}, 1000)
	s := serve(t, map[string]http.HandlerFunc{
		"GET /v1/models": func(w http.ResponseWriter, r *http.Request) {
			text(`{"data":[{"id":"m"}]}`)(w, r)
			looks <- struct{}{}
		},
	})
	w := watch(t, quick(nowhere, s.URL))
	await(t, w, "found", hasModel("m"))
	_, changed := w.Watch()
	for range 10 {
		wait(t, looks, "the watcher does not look any more")
	}
	select {
	case <-changed:
		t.Error("a change was told although there was none")
	default:
	}
}

func TestWatcherIsNotHeldUpByASilentEngine(t *testing.T) {
	t.Parallel()
	good := openAI(t, nil)
	cfg := quick(nowhere, silent(t), good.URL)
	cfg.ProbeTimeout = 500 * time.Millisecond
	w := watch(t, cfg)
	await(t, w, "the other engine", hasModel("vllm"))
}

// TestWatcherGivesASlowEngineASecondChance: one look that takes too long changes
// nothing, two in a row do.
func TestWatcherGivesASlowEngineASecondChance(t *testing.T) {
	t.Parallel()
	var hang atomic.Bool
	hanging := make(chan struct{}, 1000)
	s := serve(t, map[string]http.HandlerFunc{
		"GET /v1/models": func(w http.ResponseWriter, r *http.Request) {
			if hang.Load() {
				hanging <- struct{}{}
				<-r.Context().Done()
				return
			}
			text(`{"data":[{"id":"m"}]}`)(w, r)
		},
	})
	cfg := quick(nowhere, s.URL)
	cfg.ProbeTimeout = 3 * time.Second // a busy machine answers in time
	w := watch(t, cfg)
	await(t, w, "found", hasModel("m"))
	hang.Store(true)
	await(t, w, "gone", func(s *engine.Set) bool { return len(s.Models()) == 0 })
	if len(hanging) < 2 {
		t.Error("one slow look took the engine away")
	}
	hang.Store(false)
	await(t, w, "back", hasModel("m"))
}

// A model that is used has another end with each look: who reads the log has no use for that, and programs are told.
func TestWatcherLogsAnEngineOnce(t *testing.T) {
	t.Parallel()
	var looks atomic.Int64
	s := serve(t, map[string]http.HandlerFunc{
		"GET /api/version": text(ollamaVersion), "GET /api/tags": text(ollamaTags), "POST /api/show": ollamaShow,
		"GET /api/ps": func(w http.ResponseWriter, _ *http.Request) {
			end := time.Date(2026, 1, 1, 0, 0, int(looks.Add(1)), 0, time.UTC)
			fmt.Fprintf(w, `{"models":[{"name":"tinylm:latest","expires_at":%q}]}`, end.Format(time.RFC3339))
		},
	})
	var log bytes.Buffer
	w, stop := watchLogged(t, quick(withOllama(s.URL)), slog.New(slog.NewTextHandler(&log, nil)))
	for end := range 3 {
		await(t, w, "another end", func(s *engine.Set) bool { return len(s.Models()) > 0 && s.Models()[0].ExpiresAt.Second() > end })
	}
	stop()
	if said := log.String(); strings.Count(said, "\n") != 1 || !strings.Contains(said, "engine answers") {
		t.Errorf("the log says:\n%s", said)
	}
}

// TestWatcherLooksAtOnceAfterAFailure: the next look would come after an hour.
func TestWatcherLooksAtOnceAfterAFailure(t *testing.T) {
	t.Parallel()
	var gone atomic.Bool
	s := serve(t, map[string]http.HandlerFunc{
		"GET /v1/models": func(w http.ResponseWriter, r *http.Request) {
			if gone.Load() {
				w.WriteHeader(http.StatusInternalServerError)
				return
			}
			text(`{"data":[{"id":"m"}]}`)(w, r)
		},
		"POST /v1/chat/completions": status(500, ""),
	})
	cfg := quick(nowhere, s.URL)
	cfg.Interval = time.Hour
	w := watch(t, cfg)
	await(t, w, "found", hasModel("m"))
	gone.Store(true)
	wantError(t, ask(t.Context(), w, "m", "x").err, bus.CodeUnavailable, true, "status 500")
	await(t, w, "gone", func(s *engine.Set) bool { return len(s.Models()) == 0 })
}

// Who has a model loaded, and asks at once where it is, is told; the next look would come after an hour.
func TestWatcherLooksAtOnceAfterLoading(t *testing.T) {
	t.Parallel()
	var loaded atomic.Bool
	s := serve(t, map[string]http.HandlerFunc{
		"GET /api/version": text(ollamaVersion), "GET /api/tags": text(ollamaTags), "POST /api/show": ollamaShow,
		"GET /api/ps": loadedOnce(&loaded),
		"POST /api/generate": func(w http.ResponseWriter, _ *http.Request) {
			loaded.Store(!loaded.Load())
			fmt.Fprintln(w, `{"model":"tinylm:latest","response":"","done":true,"done_reason":"load"}`)
		},
	})
	cfg := quick(withOllama(s.URL))
	cfg.Interval = time.Hour
	w := watch(t, cfg)
	await(t, w, "installed", func(s *engine.Set) bool { return hasModel("tinylm")(s) && !s.Models()[0].Loaded })
	for _, want := range []bool{true, false} {
		if _, err := w.Generate(t.Context(), "tinylm", bus.InferenceRequest{Load: true}, func(bus.InferenceChunk) error { return nil }); err != nil {
			t.Fatal(err)
		}
		await(t, w, fmt.Sprintf("loaded: %v", want), func(s *engine.Set) bool { return s.Models()[0].Loaded == want })
	}
}

func TestWatcherStopsWhileAnEngineHangs(t *testing.T) {
	t.Parallel()
	w, err := engine.NewWatcher(quick(nowhere, silent(t)), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := w.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	cancel()
	wait(t, done, "Run does not return")
}

// Of a request that the watchdog stopped the engine lets go of the model, and of no other.
func TestStalledModelIsUnloaded(t *testing.T) {
	t.Parallel()
	unloads, asked := make(chan string, 9), make(chan struct{}, 9)
	hang := func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // the server sees the client leave only then
		asked <- struct{}{}
		<-r.Context().Done()
	}
	s := serve(t, map[string]http.HandlerFunc{
		"GET /api/version": text(ollamaVersion), "GET /api/tags": text(ollamaTags), "GET /api/ps": text(ollamaPS),
		"POST /api/show": ollamaShow, "POST /api/chat": hang, "POST /api/embed": hang,
		"POST /api/generate": func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			unloads <- string(body)
			fmt.Fprint(w, `{"done":true,"done_reason":"unload"}`)
		},
	})
	w := watch(t, engine.Config{Env: withOllama(s.URL)})
	await(t, w, "the engine", hasModel("tinylm:latest"))
	left := errors.New("the reader left")
	for what, do := range map[string]func(context.Context) error{
		"generate": func(ctx context.Context) error { return ask(ctx, w, "tinylm", "hello").err },
		"embed": func(ctx context.Context) error {
			_, err := w.Embed(ctx, "tinylm", bus.EmbedRequest{Inputs: []string{"a"}})
			return err
		},
	} {
		for _, cause := range []error{left, bus.ErrStalled} {
			ctx, cancel := context.WithCancelCause(patiently(t))
			go func() {
				<-asked
				cancel(cause)
			}()
			if err := do(ctx); !errors.Is(err, cause) {
				t.Errorf("%s, %v: got %v", what, cause, err)
			}
			want := 0
			if errors.Is(cause, bus.ErrStalled) {
				want = 1
			}
			if len(unloads) != want {
				t.Errorf("%s, %v: %d times unloaded, want %d", what, cause, len(unloads), want)
			}
			for range len(unloads) {
				if body := <-unloads; body != `{"keep_alive":0,"model":"tinylm:latest"}` {
					t.Errorf("%s, %v: unloaded with %s", what, cause, body)
				}
			}
		}
	}
}
