package bus

import (
	"encoding/json"
	"fmt"
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
