package engine_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/engine"
)

// lists is a server that lists one model, or none; it does not answer at all where that is "down".
func lists(t *testing.T, model *atomic.Value) string {
	return serve(t, map[string]http.HandlerFunc{
		"GET /v1/models": func(w http.ResponseWriter, r *http.Request) {
			switch name := model.Load().(string); name {
			case "down":
				w.WriteHeader(http.StatusServiceUnavailable)
			case "":
				text(`{"data":[]}`)(w, r)
			default:
				text(fmt.Sprintf(`{"data":[{"id":%q}]}`, name))(w, r)
			}
		},
		"POST /v1/chat/completions": status(404, `{"error":{"message":"not found","code":"model_not_found"}}`),
	}).URL
}

func wantRemoved(t *testing.T, w *engine.Watcher, at time.Time, want ...string) {
	t.Helper()
	if got := w.Removed(at); !slices.Equal(got, want) {
		t.Errorf("removed: %q, want %q", got, want)
	}
}

// A model that an engine has no more, though it answers, is told of; of an engine that does not answer nothing is known.
func TestWatcherTellsRemovedModels(t *testing.T) {
	t.Parallel()
	var one, two atomic.Value
	one.Store("m")
	two.Store("n")
	w := watch(t, quick(nowhere, lists(t, &one), lists(t, &two)))
	await(t, w, "found", func(s *engine.Set) bool { return hasModel("m")(s) && hasModel("n")(s) })
	has := func(what string, ok func(bool, bool) bool) {
		t.Helper()
		await(t, w, what, func(s *engine.Set) bool { return ok(hasModel("m")(s), hasModel("n")(s)) })
	}

	one.Store("down")
	has("an engine is down", func(m, n bool) bool { return !m && n })
	wantRemoved(t, w, time.Now())
	one.Store("other") // and it comes back without the model
	await(t, w, "it is back", hasModel("other"))
	wantRemoved(t, w, time.Now(), "m")
	wantRemoved(t, w, time.Now().Add(6*time.Minute))

	one.Store("m")
	has("the model is there again", func(m, n bool) bool { return m && n })
	wantRemoved(t, w, time.Now(), "other")
	one.Store("down")
	has("an engine is down again", func(m, _ bool) bool { return !m })
	wantRemoved(t, w, time.Now(), "other")

	// What another engine has is not removed, nor once that one is down.
	one.Store("n")
	await(t, w, "two have it", func(s *engine.Set) bool { return len(s.Engines()) == 2 })
	one.Store("m")
	has("one has it", func(m, n bool) bool { return m && n })
	two.Store("down")
	has("it is down", func(_, n bool) bool { return !n })
	wantRemoved(t, w, time.Now(), "other")

	// Nor what one that is down had, which may have it still.
	one.Store("n")
	has("the first has it", func(m, n bool) bool { return n && !m })
	one.Store("m")
	has("the first has it no more", func(m, n bool) bool { return m && !n })
	wantRemoved(t, w, time.Now(), "other")
}

// An engine that says that it has not the model of a question is looked at at once: the next look would come after an hour.
func TestWatcherLooksAtOnceWhereAModelIsMissing(t *testing.T) {
	t.Parallel()
	var has atomic.Value
	has.Store("m")
	cfg := quick(nowhere, lists(t, &has))
	cfg.Interval = time.Hour
	w := watch(t, cfg)
	await(t, w, "found", hasModel("m"))
	has.Store("")
	wantError(t, ask(t.Context(), w, "m", "x").err, bus.CodeNotFound, true, "does not have the model")
	await(t, w, "gone", func(s *engine.Set) bool { return len(s.Models()) == 0 })
	wantRemoved(t, w, time.Now(), "m")
}

// What every heartbeat tells is short, whatever an engine lists.
func TestWatcherTellsFewRemovedModels(t *testing.T) {
	t.Parallel()
	var has atomic.Value
	has.Store("m0")
	w := watch(t, quick(nowhere, lists(t, &has)))
	for i := range 40 {
		name := fmt.Sprintf("m%d", i)
		has.Store(name)
		await(t, w, name, hasModel(name))
	}
	got := w.Removed(time.Now())
	if len(got) != 32 || got[31] != "m38" {
		t.Errorf("removed: %q, want the last 32", got)
	}
}
