package engine

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// errRefuses is of an engine that is there and does not take requests of this node.
var errRefuses = errors.New("refuses requests")

// refuses tells of an answer with status 401 or 403 and body data, which says so.
func (c *client) refuses(resp *http.Response, data []byte, said string) *bus.Error {
	tell := func(more string, args ...any) *bus.Error {
		return bus.Errorf(bus.CodeUnavailable, "%s %w"+more, append([]any{c, errRefuses}, args...)...)
	}
	switch s := resp.StatusCode; {
	case wantsAccount(data): // whatever key the way to Ollama had
		return tell(": for this model it needs an account of ollama.com").WithHint("where that Ollama is: ollama signin")
	case s == http.StatusForbidden && strings.Contains(said, "ollama.com/upgrade"):
		return tell(": for this model its account of ollama.com needs a subscription").
			WithHint("subscribe at https://ollama.com/upgrade, or ask another model: myco swarm")
	case sentKey(resp.Request): // its words may quote a part of the key
		return tell(" in spite of its key (status %d)", s).WithHint("%s", c.key.hint())
	default:
		return tell(" with status %d: %s", s, cmp.Or(c.hide(said), http.StatusText(s))).WithHint("%s", c.key.hint())
	}
}

// wantsAccount reports whether the body of an error is Ollama's of a model in the cloud that it has no account for.
func wantsAccount(data []byte) bool {
	var body struct {
		SigninURL string `json:"signin_url"`
	}
	return json.Unmarshal(data, &body) == nil && body.SigninURL != ""
}

// asked is an engine and a model of it.
type asked struct{ url, model string }

// refusal is what an engine said that did not take the last question for a model.
type refusal struct {
	err *bus.Error
	key string // with which it was asked
	at  time.Time
}

// question is one that is put to a model, and the key of its engine; zero where none has the model.
type question struct {
	asked
	key string
}

// question tells where a question for a model of s goes. It is called before it goes: the engine's key may be another when
// its answer has come.
func (w *Watcher) question(s *Set, model string, can func(Engine, bus.ModelInfo) bool) question {
	e, name, ok := s.find(model, can)
	if !ok {
		return question{}
	}
	return question{asked{e.URL(), name}, w.keyOf(e.URL())}
}

// heed notes how a question went: an engine may list its models for everybody, and want a key, or another one, for questions
// alone. How one went with a key that the engine has no more tells nothing of the one that it has.
func (w *Watcher) heed(q question, err error) {
	if q == (question{}) || q.key != w.keyOf(q.url) {
		return
	}
	w.mu.Lock()
	before, known := w.refusals[q.asked]
	switch {
	case err == nil:
		delete(w.refusals, q.asked)
	case errors.Is(err, errRefuses):
		w.refusals[q.asked] = refusal{bus.AsError(err), q.key, time.Now()}
	}
	now, refuses := w.refusals[q.asked]
	w.mu.Unlock()
	if refuses && (!known || before.err.Message != now.err.Message || before.err.Hint != now.err.Hint) {
		w.log.Warn("engine refuses questions", "url", q.url, "model", q.model, "error", now.err, "try", now.err.Hint)
	}
}

// forget drops the refusals of the engine at url for models that it has no more, all where it is gone: what comes there next may
// be mended. w.mu is held.
func (w *Watcher) forget(url string, now *member) {
	maps.DeleteFunc(w.refusals, func(of asked, _ refusal) bool {
		return of.url == url && (now == nil || !slices.ContainsFunc(now.models, func(m bus.ModelInfo) bool { return m.Name == of.model }))
	})
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

// Refused adds to what was found at each address whether the last question for a model that it has was refused, with the key that
// it has now, and when. Of several it tells the latest.
func (w *Watcher) Refused(found []bus.EngineDiagnosis) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range found {
		d, at := &found[i], time.Time{}
		if d.Error != "" {
			continue
		}
		for of, r := range w.refusals {
			if d.URL == of.url && slices.Contains(d.Models, of.model) && r.key == w.keyOf(of.url) && r.at.After(at) {
				at = r.at
				d.Error, d.Hint = fmt.Sprintf("%s, asked for %s at %s", r.err.Message, of.model, at.Format("2006-01-02 15:04")), r.err.Hint
			}
		}
	}
}
