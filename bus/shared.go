package bus

import (
	"cmp"
	"slices"
	"time"
)

// SharedModel is a model, and who has it. Two of one name that differ are two models.
type SharedModel struct {
	Name string `json:"name"`
	// SizeBytes is its size on disk, and ContextLength is in tokens; 0 where no engine tells.
	SizeBytes     int64         `json:"size_bytes,omitempty"`
	ContextLength int           `json:"context_length,omitempty"`
	ParameterSize string        `json:"parameter_size,omitempty"`
	Quantization  string        `json:"quantization,omitempty"`
	Family        string        `json:"family,omitempty"`
	Digest        string        `json:"digest,omitempty"`
	Demo          bool          `json:"demo,omitempty"`
	Can           Abilities     `json:"can,omitempty"`
	Nodes         []ModelHolder `json:"nodes"`
}

// ModelHolder is a node that has a model.
type ModelHolder struct {
	ID     NodeID `json:"id"`
	Name   string `json:"name"`
	Engine string `json:"engine,omitempty"`
	Loaded bool   `json:"loaded"`
	// Speed is what was measured of the model there.
	Speed *ModelSpeed `json:"speed,omitempty"`
	// LoadedBytes and VRAMBytes are what it takes in memory, and of that in a GPU's, and ExpiresAt is when it
	// is unloaded unless it is asked, where the engine tells.
	LoadedBytes int64     `json:"loaded_bytes,omitempty"`
	VRAMBytes   int64     `json:"vram_bytes,omitempty"`
	ExpiresAt   time.Time `json:"expires_at,omitzero"`
}

// SharedModels gathers what the nodes that are there have, by name.
func SharedModels(nodes []NodeInfo) []SharedModel {
	type key struct{ name, digest string }
	at := map[key]int{}
	out := []SharedModel{}
	for _, n := range nodes {
		if !n.State.Live() {
			continue
		}
		for i, m := range slices.Concat(n.Models, n.Embedders) {
			k := key{CanonicalModel(m.Name), m.Digest}
			has, known := at[k]
			if !known {
				has = len(out)
				at[k] = has
				out = append(out, SharedModel{Name: m.Name, Digest: m.Digest})
			}
			out[has].learn(m, i >= len(n.Models))
			out[has].hold(n, m)
		}
	}
	slices.SortStableFunc(out, func(a, b SharedModel) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// learn takes over what one node tells of a model, and no other has told.
func (s *SharedModel) learn(m ModelInfo, embeds bool) {
	s.SizeBytes = cmp.Or(s.SizeBytes, m.SizeBytes)
	s.ContextLength = cmp.Or(s.ContextLength, m.ContextLength)
	s.ParameterSize = cmp.Or(s.ParameterSize, m.ParameterSize)
	s.Quantization = cmp.Or(s.Quantization, m.Quantization)
	s.Family = cmp.Or(s.Family, m.Family)
	s.Demo = s.Demo || m.Demo
	s.Can |= m.Can
	if m.Can == 0 && embeds {
		s.Can |= Embeds
	} else if m.Can == 0 {
		s.Can |= Answers
	}
}

// hold notes that n has the model, once.
func (s *SharedModel) hold(n NodeInfo, m ModelInfo) {
	if slices.ContainsFunc(s.Nodes, func(h ModelHolder) bool { return h.ID == n.ID }) {
		return
	}
	s.Nodes = append(s.Nodes, ModelHolder{
		ID: n.ID, Name: n.Name, Engine: m.Engine, Loaded: m.Loaded, Speed: m.Speed,
		LoadedBytes: m.LoadedBytes, VRAMBytes: m.VRAMBytes, ExpiresAt: m.ExpiresAt,
	})
}

// SharedType is a type of task that no daemon knows by itself, and who does it: by a plugin, or a program.
type SharedType struct {
	Type  string   `json:"type"`
	Nodes []NodeID `json:"nodes"`
}

// SharedTypes gathers such types of the nodes that are there.
func SharedTypes(nodes []NodeInfo) []SharedType {
	out := []SharedType{}
	for _, n := range nodes {
		if !n.State.Live() {
			continue
		}
		for _, t := range n.Types {
			if slices.Contains(OwnTypes(), t) {
				continue
			}
			i := slices.IndexFunc(out, func(v SharedType) bool { return v.Type == t })
			if i < 0 {
				out = append(out, SharedType{Type: t})
				i = len(out) - 1
			}
			out[i].Nodes = append(out[i].Nodes, n.ID)
		}
	}
	return out
}
