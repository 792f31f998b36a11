package gateway

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"iter"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// models lists the models of the swarm, or of the node at where that is not empty, each name once, by name: as an engine has it and not the demo, and
// of these one that has it loaded, if there is one.
func (g *Gateway) models(at bus.NodeID) []bus.ModelInfo {
	best := map[string]bus.ModelInfo{}
	for m := range g.offered(at) {
		name := bus.CanonicalModel(m.Name)
		if was, ok := best[name]; !ok || was.Demo && !m.Demo || was.Demo == m.Demo && m.Loaded && !was.Loaded {
			best[name] = m
		}
	}
	out := make([]bus.ModelInfo, 0, len(best))
	for _, m := range best {
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b bus.ModelInfo) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// offered yields the models of each node that takes work, or those of the node at, those of several nodes several times.
func (g *Gateway) offered(at bus.NodeID) iter.Seq[bus.ModelInfo] {
	return func(yield func(bus.ModelInfo) bool) {
		for _, n := range g.cfg.Swarm.Nodes() {
			if !n.State.Live() || at == "" && n.State == bus.NodeDraining || at != "" && n.ID != at {
				continue
			}
			for _, list := range [][]bus.ModelInfo{n.Models, n.Embedders} {
				for _, m := range list {
					if !yield(m) {
						return
					}
				}
			}
		}
	}
}

// model returns the model of that name; an error tells who has what.
func (g *Gateway) model(name string) (bus.ModelInfo, error) {
	m, _, err := g.modelAt(name)
	return m, err
}

// modelAsked is model, by the name that it was asked for by where a node stands behind that, as in answers.
func (g *Gateway) modelAsked(name string) (bus.ModelInfo, error) {
	m, at, err := g.modelAt(name)
	if at != "" {
		m.Name = name
	}
	return m, err
}

// modelAt is model, with the node that stands behind the name, if one does: it has the model, and takes work.
func (g *Gateway) modelAt(name string) (m bus.ModelInfo, at bus.NodeID, err error) {
	name, behind := g.aimed(name)
	name = g.spelled(name)
	who := "the swarm"
	if behind != "" {
		n, err := bus.NodeNamed(g.cfg.Swarm.Nodes(), behind)
		if err != nil {
			return m, "", err
		}
		if err := away(n, name); err != nil {
			return m, "", err
		}
		at, who = n.ID, "node "+n.Name
	}
	var names []string
	for _, m := range g.models(at) {
		if bus.SameModel(m.Name, name) {
			return m, at, nil
		}
		names = append(names, m.Name)
	}
	for _, n := range g.heard(at) {
		if err := away(n, name); err != nil {
			return m, "", err
		}
	}
	has := cmp.Or(strings.Join(names, ", "), "none")
	return m, "", noModel{bus.Errorf(bus.CodeNoWorker, "model '%s' not found: %s has %s", name, who, has)}
}

// spelled is name as the swarm spells it, where that differs in nothing but the case of letters. A
// model of exactly that name comes first.
func (g *Gateway) spelled(name string) string {
	if m, ok := bus.ModelNamed(name, g.offered("")); ok && !bus.SameModel(m.Name, name) {
		return m.Name
	}
	return name
}

// ollamaDetails are the traits of a model, as Ollama spells them.
type ollamaDetails struct {
	ParentModel       string   `json:"parent_model"`
	Format            string   `json:"format"`
	Family            string   `json:"family"`
	Families          []string `json:"families"`
	ParameterSize     string   `json:"parameter_size"`
	QuantizationLevel string   `json:"quantization_level"`
}

// ollamaModel is a model in a list.
type ollamaModel struct {
	Name          string        `json:"name"`
	Model         string        `json:"model"`
	Size          int64         `json:"size"`
	Digest        string        `json:"digest"`
	Details       ollamaDetails `json:"details"`
	ContextLength int           `json:"context_length,omitempty"`
}

func detailsOf(m bus.ModelInfo) ollamaDetails {
	d := ollamaDetails{Family: m.Family, ParameterSize: m.ParameterSize, QuantizationLevel: m.Quantization}
	if m.Engine != "openai" {
		d.Format = "gguf"
	}
	if m.Family != "" {
		d.Families = []string{m.Family}
	}
	return d
}

// listed is m in a list. Where the engine tells no digest there is one of the name: tools print it.
func listed(m bus.ModelInfo) ollamaModel {
	name := bus.CanonicalModel(m.Name)
	digest := m.Digest
	if len(digest) < 12 { // what is printed of it
		sum := sha256.Sum256([]byte(name))
		digest = hex.EncodeToString(sum[:])
	}
	return ollamaModel{Name: name, Model: name, Size: m.SizeBytes, Digest: digest, Details: detailsOf(m), ContextLength: m.ContextLength}
}

// ollamaRoot is what programs look for to see that there is an Ollama.
func (g *Gateway) ollamaRoot(w http.ResponseWriter, _ *http.Request) error {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	if _, err := w.Write([]byte("Ollama is running")); err != nil {
		g.cfg.Logger.Debug("write a reply", "err", err) // the client left
	}
	return nil
}

// ollamaAPI is the version of Ollama whose interface this is.
const ollamaAPI = "0.17.4"

func (g *Gateway) ollamaVersion(w http.ResponseWriter, _ *http.Request) error {
	g.write(w, http.StatusOK, map[string]string{"version": ollamaAPI})
	return nil
}

func (g *Gateway) ollamaTags(w http.ResponseWriter, _ *http.Request) error {
	type tag struct {
		ollamaModel
		ModifiedAt string `json:"modified_at"`
	}
	out := []tag{}
	for _, m := range g.latest() {
		l := listed(m)
		l.ContextLength = 0
		out = append(out, tag{l, orTime(m.ModifiedAt, unknownTime)})
	}
	g.write(w, http.StatusOK, map[string]any{"models": out})
	return nil
}

// unknownTime stands where Ollama has a time that a node does not tell.
const unknownTime = "1970-01-01T00:00:00Z"

// orTime spells a time, or tells that it is unknown.
func orTime(t time.Time, unknown string) string {
	if t.IsZero() {
		return unknown
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// latest lists the models of the swarm, those written last first, as Ollama does.
func (g *Gateway) latest() []bus.ModelInfo {
	out := g.models("")
	slices.SortStableFunc(out, func(a, b bus.ModelInfo) int { return b.ModifiedAt.Compare(a.ModifiedAt) })
	return out
}

func (g *Gateway) ollamaPS(w http.ResponseWriter, _ *http.Request) error {
	type running struct {
		ollamaModel
		ExpiresAt string `json:"expires_at"`
		SizeVRAM  int64  `json:"size_vram"`
	}
	out := []running{}
	for _, m := range g.models("") {
		if m.Loaded {
			l := listed(m)
			l.Size = cmp.Or(m.LoadedBytes, l.Size)
			out = append(out, running{ollamaModel: l, ExpiresAt: orTime(m.ExpiresAt, unknownExpiry), SizeVRAM: m.VRAMBytes})
		}
	}
	g.write(w, http.StatusOK, map[string]any{"models": out})
	return nil
}

// unknownExpiry is later than any model stays loaded.
const unknownExpiry = "2100-01-01T00:00:00Z"
