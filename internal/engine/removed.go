package engine

import (
	"slices"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// What was removed is told for so long, and of so many models at most: every heartbeat tells it, and who waits for one of them
// is told after seconds.
const (
	removedFor  = 5 * time.Minute
	removedMost = 32
)

// removal is a model that an engine had, and has no more, though it answers: it was deleted there, or another program with
// other models was started in its place.
type removal struct {
	name string
	at   time.Time
}

// missed notes which models the engine of target i had, and has no more by the look of now. An engine that does not answer
// tells nothing of its models, however long: those it had are kept. w.mu is held.
func (w *Watcher) missed(i int, now time.Time) {
	had := w.had[i]
	w.had[i] = w.members[i].models
	for _, m := range had {
		if !w.listed(m.Name) {
			w.removed = append(w.removed, removal{m.Name, now})
		}
	}
	w.removed = slices.DeleteFunc(w.removed, func(r removal) bool { return w.listed(r.name) })
	w.removed = w.removed[max(0, len(w.removed)-removedMost):]
}

// listed reports whether an engine has a model, or had it when it answered last. w.mu is held.
func (w *Watcher) listed(model string) bool {
	return slices.ContainsFunc(w.had, func(models []bus.ModelInfo) bool {
		return slices.ContainsFunc(models, func(o bus.ModelInfo) bool { return bus.SameModel(o.Name, model) })
	})
}

// Removed are the models that engines had, and have no more though they answer, where that was noticed in the last five
// minutes. It must not block.
func (w *Watcher) Removed(now time.Time) (names []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.removed {
		if now.Sub(r.at) < removedFor {
			names = append(names, r.name)
		}
	}
	return names
}
