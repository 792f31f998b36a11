package engine

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/protect"
)

// target is one address that is looked at again and again. It belongs to the
// goroutine that looks.
type target struct {
	url    *url.URL
	key    *secret
	named  bool   // the configuration asks for it
	many   bool   // if it is Ollama, it answers several questions at one time, see Config.several
	engine Engine // of the last look that found one
	member member // valid while err is nil
	err    error
	late   bool          // the last look took too long
	try    string        // what the log says to do about its refusals; empty while there are none
	file   error         // why the file of its key could not be used at the last look
	bared  bool          // its key crosses public networks as it is
	nudge  chan struct{} // asks for a look at once
}

// look asks the engine for its models, and what kind of engine it is where that is
// not known. It reports whether to look again at once: an engine that was there and
// takes too long is given a second chance.
func (t *target) look(ctx context.Context, limit time.Duration) (again bool) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	t.file = t.key.renew()
	models, err := t.models(ctx)
	if err == nil {
		t.member, t.err, t.late = member{t.engine, models}, nil, false
		return false
	}
	if errors.Is(err, context.DeadlineExceeded) {
		if t.member.engine != nil && t.err == nil && !t.late {
			t.late = true
			return true
		}
	} else {
		t.engine = nil // another kind of engine may come next
	}
	t.err, t.late = err, false
	return false
}

func (t *target) models(ctx context.Context) ([]bus.ModelInfo, error) {
	if t.engine == nil {
		e, err := probe(ctx, t.url, t.key)
		if err != nil {
			return nil, err
		}
		t.engine, t.bared = e, t.key.get() != "" && inTheOpen(ctx, t.url)
	}
	models, err := t.engine.Models(ctx)
	if t.many && t.engine.Kind() == KindOllama {
		for i := range models {
			models[i].OneAtATime = !takesSeveral(models[i])
		}
	}
	return usable(models), err
}

// usable returns the models that a task can ask for, maxModels at most: an engine's
// words go to every node, and to people's terminals.
func usable(models []bus.ModelInfo) []bus.ModelInfo {
	var out []bus.ModelInfo
	for _, m := range models {
		if m.Name == "" || len(m.Name) > maxName || !plain(m.Name) || len(out) == maxModels {
			continue
		}
		for _, s := range []*string{&m.ParameterSize, &m.Quantization, &m.Family, &m.Digest} {
			if len(*s) > maxTrait || !plain(*s) {
				*s = ""
			}
		}
		out = append(out, m)
	}
	return out
}

// plain reports whether s holds nothing that a terminal obeys.
func plain(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// Watcher knows the engines of this machine, and notices within 5 s when one
// starts, stops, or gets other models. Asking it never waits for an engine.
type Watcher struct {
	cfg     Config
	log     *slog.Logger
	targets []*target
	demo    Engine // nil where it is not wanted

	mu      sync.Mutex
	file    string    // what the log said last of the file of keys; empty where it can be used
	seen    []bool    // by target: looked at least once
	members []*member // by target: nil where there is no engine
	kinds   []string  // by target: of the engine that answered last; empty where none has yet
	set     *Set      // nil until every target was looked at
	changed chan struct{}

	refusals map[asked]refusal
	had      [][]bus.ModelInfo // by target: of the last look that found an engine
	removed  []removal         // the latest last
}

// NewWatcher makes a Watcher; nothing is asked before Run. It returns an Error with
// CodeInvalid for an address that is none. A nil logger discards.
func NewWatcher(cfg Config, log *slog.Logger) (*Watcher, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	cfg = cfg.withDefaults()
	urls, err := cfg.targets()
	if err != nil {
		return nil, err
	}
	w := &Watcher{
		cfg: cfg, log: log, changed: make(chan struct{}), refusals: map[asked]refusal{},
		seen: make([]bool, len(urls)), members: make([]*member, len(urls)), kinds: make([]string, len(urls)),
		had: make([][]bus.ModelInfo, len(urls)),
	}
	for _, u := range urls {
		key := &secret{file: keyFile(cfg.Keys), of: addressOf(u)}
		w.targets = append(w.targets, &target{url: u, key: key, named: cfg.names(u), many: cfg.several(u), nudge: make(chan struct{}, 1)})
	}
	if !cfg.NoDemo {
		if w.demo, err = NewDemo(); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// Run looks at the engines until ctx is done, and then returns nil. It is called
// once.
func (w *Watcher) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for i := range w.targets {
		wg.Go(func() { w.follow(ctx, i) })
	}
	wg.Wait()
	return nil
}

// follow looks at target i until ctx is done.
func (w *Watcher) follow(ctx context.Context, i int) {
	t := w.targets[i]
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.nudge:
		case <-timer.C:
		}
		again := t.look(ctx, w.cfg.ProbeTimeout)
		if ctx.Err() != nil {
			return
		}
		w.tellFile(t.file)
		t.warn(w.log)
		w.record(i, t)
		if again {
			timer.Reset(0)
		} else if !protect.Looks.Off() {
			timer.Reset(w.cfg.Interval)
		}
	}
}

// tellFile logs why the file of keys cannot be used, where that is news: an engine may list its models without a key.
func (w *Watcher) tellFile(err error) {
	says := ""
	if err != nil {
		says = err.Error()
	}
	w.mu.Lock()
	news := says != "" && says != w.file
	w.file = says
	w.mu.Unlock()
	if news {
		w.log.Warn("the file of engines' keys cannot be used; those that it had before stay until a restart", "error", err)
	}
}

// warn logs that the engine refuses requests, and again where something else is to be done about it.
func (t *target) warn(log *slog.Logger) {
	try := ""
	if errors.Is(t.err, errRefuses) {
		try = bus.AsError(t.err).Hint
	}
	if try != "" && try != t.try {
		log.Warn("engine refuses requests, and is left out", "url", t.url.Redacted(), "error", t.err, "try", try)
	}
	t.try = try
}

// record publishes what a look at target i found, if that is news.
func (w *Watcher) record(i int, t *target) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var now *member
	if t.err == nil {
		m := t.member
		now = &m
	}
	before, first := w.members[i], !w.seen[i]
	same := (now == nil) == (before == nil) && (now == nil || now.equal(*before))
	if same && !first {
		return
	}
	w.members[i], w.seen[i] = now, true
	w.forget(t.url.Redacted(), now)
	if now != nil {
		w.kinds[i] = now.engine.Kind()
		w.missed(i, time.Now())
	}
	w.tell(t, before, now)
	if slices.Contains(w.seen, false) || (same && w.set != nil) {
		return
	}
	var found []member
	for _, m := range w.members {
		if m != nil {
			found = append(found, *m)
		}
	}
	w.set = newSet(found, w.demo)
	close(w.changed)
	w.changed = make(chan struct{})
}

// tell logs that the engine at t comes, goes, or has more models or fewer. That one was loaded or is used, which puts its
// end off, is no news for people.
func (w *Watcher) tell(t *target, before, now *member) {
	at := slog.String("url", t.url.Redacted())
	switch {
	case now == nil && t.try != "": // warn did
	case now != nil && before != nil && now.engine.Kind() == before.engine.Kind() && len(now.models) == len(before.models):
	case now != nil:
		w.log.Info("engine answers", "engine", now.engine.Kind(), at, "models", len(now.models))
		if t.bared {
			w.log.Warn("the key of an engine crosses public networks unencrypted, where others can read it", at, "try", "https, or a VPN")
		}
	case before != nil:
		w.log.Warn("engine does not answer any more", at, "error", t.err)
	case t.named:
		w.log.Warn("engine does not answer", at, "error", t.err)
	default:
		w.log.Debug("no engine", at, "error", t.err)
	}
}

// Watch returns the engines known now, and a channel that is closed when they
// change. Before every address was looked at once, which takes at most
// cfg.ProbeTimeout, the set is nil.
func (w *Watcher) Watch() (*Set, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.set, w.changed
}

// Address is a place where an engine is expected.
type Address struct {
	URL string // without a user and a password
	// Kind is of the engine that answered last; empty before one has.
	Kind string
	Up   bool
}

// Addresses are those that the configuration names, and those where an engine has answered since the start.
func (w *Watcher) Addresses() (out []Address) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, t := range w.targets {
		if t.named || w.kinds[i] != "" {
			out = append(out, Address{addressOf(t.url), w.kinds[i], w.members[i] != nil})
		}
	}
	return out
}

// Models returns the models that can answer at present.
func (w *Watcher) Models() []bus.ModelInfo {
	s, _ := w.Watch()
	return s.Models()
}

// Generate answers with the engines known now, like Set.Generate. When one of them
// fails, or was to load a model or to let go of it, all are looked at again at once.
func (w *Watcher) Generate(ctx context.Context, model string, req bus.InferenceRequest, emit func(bus.InferenceChunk) error) (bus.InferenceResult, error) {
	s, _ := w.Watch()
	load := req.Load // the rest of req, which may be large, is not kept during the answer
	q := w.question(s, model, answers)
	res, err := s.Generate(ctx, model, req, emit)
	if !load {
		w.heed(q, err)
	}
	if bus.IsRetry(err) || load {
		w.nudge()
	}
	return res, err
}

// Continue goes on with an answer, with the engines known now, like Set.Continue.
func (w *Watcher) Continue(ctx context.Context, model string, req bus.InferenceRequest, said bus.Said, goesOn func() error, emit func(bus.InferenceChunk) error) (bus.InferenceResult, bool, error) {
	s, _ := w.Watch()
	q := w.question(s, model, answers)
	res, ok, err := s.Continue(ctx, model, req, said, goesOn, emit)
	if ok {
		w.heed(q, err)
	}
	if bus.IsRetry(err) {
		w.nudge()
	}
	return res, ok, err
}

// Unhang is Set's.
func (w *Watcher) Unhang(ctx context.Context, model string) {
	w.log.Warn("an engine says nothing to one question after the other: it lets go of the model", "model", model)
	set, _ := w.Watch()
	set.Unhang(ctx, model)
}

// Embedders returns the models that make embeddings at present.
func (w *Watcher) Embedders() []bus.ModelInfo {
	s, _ := w.Watch()
	return s.Embedders()
}

// Embed makes vectors with the engines known now, like Generate.
func (w *Watcher) Embed(ctx context.Context, model string, req bus.EmbedRequest) (bus.EmbedResult, error) {
	s, _ := w.Watch()
	q := w.question(s, model, embeds)
	res, err := s.Embed(ctx, model, req)
	w.heed(q, err)
	if bus.IsRetry(err) {
		w.nudge()
	}
	return res, err
}

func (w *Watcher) nudge() {
	for _, t := range w.targets {
		select {
		case t.nudge <- struct{}{}:
		default:
		}
	}
}
