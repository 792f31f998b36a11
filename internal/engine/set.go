package engine

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// member is an engine with the models it had when it was last asked.
type member struct {
	engine Engine
	models []bus.ModelInfo
}

func (m member) equal(o member) bool {
	return m.engine.Kind() == o.engine.Kind() && m.engine.URL() == o.engine.URL() && slices.Equal(m.models, o.models)
}

// Set is the engines that this machine has at one moment, in the order in which
// they are asked. It does not change. The nil Set is empty.
type Set struct{ members []member }

// newSet puts the demo model behind the engines where none of them has a model.
func newSet(found []member, demo Engine) *Set {
	s := &Set{members: found}
	if demo != nil && len(s.Models()) == 0 {
		models, _ := demo.Models(context.Background()) // it never fails
		s.members = append(s.members, member{demo, models})
	}
	return s
}

// Engines returns the engines, those without models too.
func (s *Set) Engines() []Engine {
	if s == nil {
		return nil
	}
	var out []Engine
	for _, m := range s.members {
		out = append(out, m.engine)
	}
	return out
}

// ModelsOf returns the models that e, one of Engines, had when it was last asked.
func (s *Set) ModelsOf(e Engine) []bus.ModelInfo {
	for _, m := range s.members {
		if m.engine == e {
			return slices.Clone(m.models)
		}
	}
	return nil
}

// Models returns the models that can answer, each name once.
func (s *Set) Models() []bus.ModelInfo { return s.modelsThat(answers) }

// Embedders returns the models that make embeddings, each name once.
func (s *Set) Embedders() []bus.ModelInfo { return s.modelsThat(embeds) }

// answers reports whether a model answers questions; one that does not tell does.
func answers(_ Engine, m bus.ModelInfo) bool { return m.Can == 0 || m.Can&bus.Answers != 0 }

// embeds reports whether a model makes embeddings: all do, but for the demo model. Ollama makes vectors with any
// model, and other servers do not tell.
func embeds(e Engine, _ bus.ModelInfo) bool { return e.Kind() != KindDemo }

func (s *Set) modelsThat(can func(Engine, bus.ModelInfo) bool) []bus.ModelInfo {
	if s == nil {
		return nil
	}
	var out []bus.ModelInfo
	seen := map[string]bool{}
	for _, m := range s.members {
		for _, info := range m.models {
			if name := bus.CanonicalModel(info.Name); !seen[name] && can(m.engine, info) {
				seen[name] = true
				out = append(out, info)
			}
		}
	}
	return out
}

// Generate answers with exactly the model asked for, on the first engine that has
// it. Without one it returns an Error with CodeNotFound that says what there is,
// marked by bus.Retry: another node may have it. Other errors are Engine's.
func (s *Set) Generate(ctx context.Context, model string, req bus.InferenceRequest, emit func(bus.InferenceChunk) error) (bus.InferenceResult, error) {
	e, name, ok := s.find(model, answers)
	if !ok {
		return bus.InferenceResult{}, bus.Retry(s.missing(model))
	}
	defer unhang(ctx, e, name)
	return e.Generate(ctx, name, req, emit)
}

// Continue is Continuer's, on the engine that Generate would ask. ok is false where that is no Continuer.
func (s *Set) Continue(ctx context.Context, model string, req bus.InferenceRequest, said bus.Said, goesOn func() error, emit func(bus.InferenceChunk) error) (bus.InferenceResult, bool, error) {
	e, name, ok := s.find(model, answers)
	c, can := e.(Continuer)
	if !ok || !can || !continuable(req, said) {
		return bus.InferenceResult{}, false, nil
	}
	defer unhang(ctx, e, name)
	return c.Continue(ctx, name, req, said, goesOn, emit)
}

// Embed makes vectors with exactly the model asked for. Errors are as in Generate.
func (s *Set) Embed(ctx context.Context, model string, req bus.EmbedRequest) (bus.EmbedResult, error) {
	e, name, ok := s.find(model, embeds)
	if !ok {
		return bus.EmbedResult{}, bus.Retry(s.missing(model))
	}
	defer unhang(ctx, e, name)
	return e.Embed(ctx, name, req)
}

// unloadTime is for an engine to say that it lets go of a model: milliseconds, where it answers at all.
const unloadTime = 2 * time.Second

// unhang has an engine let go of a model of which the watchdog stopped a request: a runner that hangs is
// ended with it, and the next request gets another. Ollama's sometimes takes no request any more after one
// that was cancelled (seen of 0.17.4), while its server answers everything else.
func unhang(ctx context.Context, e Engine, model string) {
	if errors.Is(context.Cause(ctx), bus.ErrStalled) {
		unload(ctx, e, model)
	}
}

// Unhang has the engine of a model let go of it: it is taken to hang.
func (s *Set) Unhang(ctx context.Context, model string) {
	if e, name, ok := s.find(model, answers); ok {
		unload(ctx, e, name)
	}
}

func unload(ctx context.Context, e Engine, model string) {
	u, can := e.(interface {
		Unload(ctx context.Context, model string) error
	})
	if !can {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unloadTime)
	defer cancel()
	_ = u.Unload(ctx, model) // where this hangs too, the next request ends as this one did
}

// find returns the first engine that has the model, and the model's name there.
func (s *Set) find(model string, can func(Engine, bus.ModelInfo) bool) (Engine, string, bool) {
	if s == nil {
		return nil, "", false
	}
	for _, m := range s.members {
		for _, info := range m.models {
			if bus.SameModel(info.Name, model) && can(m.engine, info) {
				return m.engine, info.Name, true
			}
		}
	}
	return nil, "", false
}

func (s *Set) missing(model string) *bus.Error {
	var names []string
	for _, m := range s.Models() {
		names = append(names, m.Name)
	}
	if len(names) == 0 {
		return bus.Errorf(bus.CodeNotFound, "no engine here has the model %q, or any other", model).
			WithHint("start Ollama, then: myco pull %s", model)
	}
	return bus.Errorf(bus.CodeNotFound, "no engine here has the model %q; there is %s", model, strings.Join(names, ", ")).
		WithHint("myco pull %s", model)
}

// Problem is an address where no engine could be used.
type Problem struct {
	URL string // without a password
	Err error
}

// Find looks once at every address of cfg, all at the same time, for at most
// cfg.ProbeTimeout. It returns what it found and what is wrong with the rest. The
// error is an Error with CodeInvalid for an address that is none.
func Find(ctx context.Context, cfg Config) (*Set, []Problem, error) {
	w, err := NewWatcher(cfg, nil)
	if err != nil {
		return nil, nil, err
	}
	var wg sync.WaitGroup
	for _, t := range w.targets {
		wg.Go(func() { t.look(ctx, w.cfg.ProbeTimeout) })
	}
	wg.Wait()
	var found []member
	var problems []Problem
	for _, t := range w.targets {
		if t.err != nil {
			problems = append(problems, Problem{t.url.Redacted(), t.err})
			continue
		}
		found = append(found, t.member)
	}
	return newSet(found, w.demo), problems, nil
}
