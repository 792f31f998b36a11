package bus

import (
	"encoding/json"
	"fmt"
	"iter"
	"strings"
)

// Abilities are what a model can do, as a set of bits; in JSON a list of Ollama's names.
type Abilities uint8

// The abilities of a model.
const (
	Answers Abilities = 1 << iota // "completion"
	Embeds                        // "embedding"
	Tools                         // "tools": calls them
	Sees                          // "vision": takes images
	Thinks                        // "thinking"
	FillsIn                       // "insert": takes a suffix
)

// abilityNames are in the order of the bits.
var abilityNames = []string{"completion", "embedding", "tools", "vision", "thinking", "insert"}

// AbilitiesOf returns the set of names. Those that this version does not know are left out.
func AbilitiesOf(names []string) (a Abilities) {
	for i, known := range abilityNames {
		for _, name := range names {
			if name == known {
				a |= 1 << i
			}
		}
	}
	return a
}

// Names returns the names of the set, in their own order; never nil.
func (a Abilities) Names() []string {
	names := []string{}
	for i, name := range abilityNames {
		if a&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// MarshalJSON implements json.Marshaler.
func (a Abilities) MarshalJSON() ([]byte, error) { return json.Marshal(a.Names()) }

// UnmarshalJSON implements json.Unmarshaler.
func (a *Abilities) UnmarshalJSON(b []byte) error {
	var names []string
	if err := json.Unmarshal(b, &names); err != nil {
		return fmt.Errorf("read what a model can do: %w", err)
	}
	*a = AbilitiesOf(names)
	return nil
}

// CanonicalModel returns name as engines list it: a name without a tag means ":latest".
// Two names mean the same model when their canonical forms are equal.
func CanonicalModel(name string) string {
	if name == "" || strings.Contains(name[strings.LastIndexByte(name, '/')+1:], ":") {
		return name
	}
	return name + ":latest"
}

// SameModel reports whether two names mean the same model.
func SameModel(a, b string) bool { return CanonicalModel(a) == CanonicalModel(b) }

// ModelNamed returns the one of models that name means: the last of that name, or else, of those whose name
// differs in nothing but the case of letters, the first by name.
func ModelNamed(name string, models iter.Seq[ModelInfo]) (named ModelInfo, ok bool) {
	same, canonical := false, CanonicalModel(name)
	for m := range models {
		switch has := CanonicalModel(m.Name); {
		case has == canonical:
			named, ok, same = m, true, true
		case !same && strings.EqualFold(has, canonical) && (!ok || m.Name < named.Name):
			named, ok = m, true
		}
	}
	return named, ok
}

// ChooseModel picks the model that answers where none is named: preferred, which is a node's DefaultModel, else
// the largest that is loaded on one of nodes, else the largest installed, else the demo. why tells which of
// those it is; ok is false where there is no model.
func ChooseModel(nodes []NodeInfo, preferred string) (best ModelInfo, why string, ok bool) {
	rank := func(m ModelInfo) int {
		switch {
		case preferred != "" && SameModel(m.Name, preferred):
			return 3
		case m.Demo:
			return 0
		case m.Loaded:
			return 2
		}
		return 1
	}
	for _, n := range nodes {
		for _, m := range n.Models {
			if !ok || rank(m) > rank(best) || rank(m) == rank(best) &&
				(m.SizeBytes > best.SizeBytes || m.SizeBytes == best.SizeBytes && m.Name < best.Name) {
				best, ok = m, true
			}
		}
	}
	return best, [...]string{"the demo model: no node has another", "the largest installed", "the largest loaded", "the configured default"}[rank(best)], ok
}
