package engine

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Ollama is a client of one Ollama server.
//
// API: https://github.com/ollama/ollama/blob/main/docs/api.md
type Ollama struct {
	c *client

	mu    sync.Mutex
	shown map[string]traits // what /api/show said, by model name and digest
}

// traits is what does not change as long as a model's digest stays.
type traits struct {
	context int // tokens
	can     bus.Abilities
}

// newOllama returns a client of the Ollama server at base. It connects to nothing.
func newOllama(base *url.URL, key *secret) *Ollama {
	return &Ollama{c: newClient(KindOllama, base, key), shown: map[string]traits{}}
}

// Kind returns KindOllama.
func (o *Ollama) Kind() string { return KindOllama }

// URL returns the server's address.
func (o *Ollama) URL() string { return o.c.base.Redacted() }

// Version asks the server for its version.
func (o *Ollama) Version(ctx context.Context) (string, error) {
	var v struct{ Version string }
	if err := o.c.get(ctx, "/api/version", &v); err != nil {
		return "", err
	}
	return v.Version, nil
}

type ollamaModel struct {
	Name          string
	Size          int64
	Digest        string
	ContextLength int `json:"context_length"`
	// ModifiedAt and ExpiresAt are read by moment: a server that spells times otherwise is used all the same.
	ModifiedAt any `json:"modified_at"`
	// ExpiresAt and SizeVRAM are of those that are loaded, whose Size is in memory.
	ExpiresAt any   `json:"expires_at"`
	SizeVRAM  int64 `json:"size_vram"`
	Details   struct {
		Family        string
		ParameterSize string `json:"parameter_size"`
		Quantization  string `json:"quantization_level"`
	}
}

// key tells apart what has to be asked about.
func (m *ollamaModel) key() string { return m.Name + "@" + m.Digest }

type ollamaModels struct{ Models []ollamaModel }

// Models lists the installed models, loaded ones marked. One of which the server cannot tell what
// it is good for is left out.
func (o *Ollama) Models(ctx context.Context) ([]bus.ModelInfo, error) {
	var installed, loaded ollamaModels
	if err := o.c.get(ctx, "/api/tags", &installed); err != nil {
		return nil, err
	}
	if err := o.c.get(ctx, "/api/ps", &loaded); err != nil && !answered(err) { // versions before 0.1.38 do not tell
		return nil, err
	}
	var out []bus.ModelInfo
	for _, m := range installed.Models {
		t, err := o.traits(ctx, m)
		if err != nil {
			return nil, err
		}
		if t.can == 0 {
			continue
		}
		info := bus.ModelInfo{
			Name: m.Name, SizeBytes: m.Size, ContextLength: t.context, Engine: KindOllama, Digest: m.Digest, Can: t.can,
			ParameterSize: m.Details.ParameterSize, Quantization: m.Details.Quantization, Family: m.Details.Family,
			ModifiedAt: moment(m.ModifiedAt),
			// Unless OLLAMA_NUM_PARALLEL says otherwise, which it tells nobody: https://docs.ollama.com/faq.
			OneAtATime: true,
		}
		if i := slices.IndexFunc(loaded.Models, func(l ollamaModel) bool { return l.Name == m.Name }); i >= 0 {
			l := loaded.Models[i]
			info.Loaded, info.LoadedBytes, info.VRAMBytes = true, l.Size, l.SizeVRAM
			info.ExpiresAt = moment(l.ExpiresAt)
			if l.ContextLength > 0 {
				info.ContextLength = l.ContextLength
			}
		}
		out = append(out, info)
	}
	o.keepTraits(installed.Models)
	return out, nil
}

// keepTraits forgets the models that are installed no longer.
func (o *Ollama) keepTraits(installed []ollamaModel) {
	there := make(map[string]bool, len(installed))
	for _, m := range installed {
		there[m.key()] = true
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	maps.DeleteFunc(o.shown, func(key string, _ traits) bool { return !there[key] })
}

// moment returns a time; zero for what is none, or so far off that JSON cannot say it.
func moment(v any) time.Time {
	s, _ := v.(string)
	t, err := time.Parse(time.RFC3339, s)
	if t = t.UTC(); err != nil || t.Year() < 1970 || t.Year() > 9998 {
		return time.Time{}
	}
	return t
}

// traits asks about a model once, and again when its digest changes.
func (o *Ollama) traits(ctx context.Context, m ollamaModel) (traits, error) {
	key := m.key()
	o.mu.Lock()
	t, ok := o.shown[key]
	o.mu.Unlock()
	if ok {
		return t, nil
	}
	var show struct {
		ModelInfo    map[string]any `json:"model_info"`
		Capabilities []string
	}
	err := o.c.call(ctx, http.MethodPost, "/api/show", map[string]string{"model": m.Name}, &show)
	var refused *bus.Error
	switch {
	case (errors.Is(err, errFailed) || errors.As(err, &refused) && !bus.IsRetry(err)) && ctx.Err() == nil:
		// A model that the server lists and cannot describe is broken or just gone.
		return traits{}, nil
	case err != nil:
		return traits{}, err
	}
	// Servers before capabilities were told served models that answer, mostly.
	t.can = bus.AbilitiesOf(show.Capabilities)
	if len(show.Capabilities) == 0 {
		t.can = bus.Answers
	}
	for k, v := range show.ModelInfo {
		if n, ok := v.(float64); ok && strings.HasSuffix(k, ".context_length") {
			t.context = int(n)
		}
	}
	o.mu.Lock()
	o.shown[key] = t
	o.mu.Unlock()
	return t, nil
}

// Unload has the server end the runner of a model, once the requests that it is at are over.
func (o *Ollama) Unload(ctx context.Context, model string) error {
	return o.c.call(ctx, http.MethodPost, "/api/generate", map[string]any{"model": model, "keep_alive": 0}, &struct{}{})
}
