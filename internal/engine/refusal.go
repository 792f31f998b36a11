package engine

import (
	"errors"
	"fmt"

	"github.com/mycoswarm/mycoswarm/bus"
)

// asked is an engine and a model of it.
type asked struct{ url, model string }

// refusal is what an engine said that did not take the last question for a model.
type refusal struct {
	err *bus.Error
	key string // with which it was asked
}

// heed notes how a question went that one of s was asked: an engine may list its models for everybody, and want a key, or
// another one, for questions alone.
func (w *Watcher) heed(s *Set, model string, can func(Engine, bus.ModelInfo) bool, err error) {
	e, name, ok := s.find(model, can)
	if !ok {
		return
	}
	of := asked{e.URL(), name}
	w.mu.Lock()
	before, known := w.refusals[of]
	switch {
	case err == nil:
		delete(w.refusals, of)
	case errors.Is(err, errRefuses):
		w.refusals[of] = refusal{bus.AsError(err), w.keyOf(of.url)}
	}
	now, refuses := w.refusals[of]
	w.mu.Unlock()
	if refuses && (!known || before.err.Message != now.err.Message || before.err.Hint != now.err.Hint) {
		w.log.Warn("engine refuses questions", "url", of.url, "model", of.model, "error", now.err, "try", now.err.Hint)
	}
}

// keyOf is the key of the engine at url.
func (w *Watcher) keyOf(url string) string {
	for _, t := range w.targets {
		if t.url.Redacted() == url {
			return t.key.get()
		}
	}
	return ""
}

// Refused adds to what was found at each address whether its last question was refused, with the key that it has now.
func (w *Watcher) Refused(found []bus.EngineDiagnosis) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range found {
		d := &found[i]
		for of, r := range w.refusals {
			if d.Error == "" && d.URL == of.url && r.key == w.keyOf(of.url) {
				d.Error, d.Hint = fmt.Sprintf("%s, asked for %s", r.err.Message, of.model), r.err.Hint
			}
		}
	}
}
