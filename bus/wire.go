package bus

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Wire says which versions of the nodes' protocol a node speaks: Version is its own, and the highest;
// Oldest the lowest. Version is raised when nodes say something new that others must know of, Oldest
// when what an older node says is understood no more. A new field that others may ignore raises
// neither.
type Wire struct {
	Version int `json:"version"`
	Oldest  int `json:"oldest"`
}

// ThisWire is what this program speaks.
func ThisWire() Wire { return Wire{wireVersion, wireOldest} }

// known is w, or for a node that tells none what was spoken before nodes told.
func (w Wire) known() Wire {
	if w.Version == 0 {
		return Wire{1, 1}
	}
	return w
}

// Speaks reports whether nodes that speak w and other understand each other.
func (w Wire) Speaks(other Wire) bool {
	w, other = w.known(), other.known()
	return w.Version >= other.Oldest && other.Version >= w.Oldest
}

// Same reports whether w and other are the same, told or not.
func (w Wire) Same(other Wire) bool { return w.known() == other.known() }

// String is what people read of w: "version 4", or "versions 4 to 5".
func (w Wire) String() string {
	if w = w.known(); w.Oldest == w.Version {
		return fmt.Sprintf("version %d", w.Version)
	}
	return fmt.Sprintf("versions %d to %d", w.Oldest, w.Version)
}

// Mix tells which versions the nodes of a swarm run, where it is more than one.
type Mix struct {
	// Versions are the names of the nodes that run each.
	Versions map[string][]string `json:"versions"`
	// Apart are the nodes that share no version of the protocol with the one that tells.
	Apart []Apart `json:"apart,omitempty"`
}

// Apart is a node that gets no work from here, and gives none: neither understands the other.
type Apart struct {
	NodeID  NodeID `json:"node_id"`
	Name    string `json:"name"`
	Version string `json:"version"`
	Wire    Wire   `json:"wire"`
	Here    Wire   `json:"here"` // what the one that tells speaks
	// Upgrade is the name of the node that is too old.
	Upgrade string `json:"upgrade"`
}

// String tells of a in a sentence or two, with what to do.
func (a Apart) String() string {
	return fmt.Sprintf("%s (mycod %s) speaks %s of the protocol, this node %s: no work passes between them. Upgrade mycod on %s",
		a.Name, orUnknown(a.Version), a.Wire, a.Here, a.Upgrade)
}

// MixOf returns the Mix of nodes as self sees it; nil where all that are heard run one version.
func MixOf(nodes []NodeInfo, self NodeID) *Mix {
	var here NodeInfo
	wires := map[int]bool{}
	for _, n := range nodes {
		if n.ID == self {
			here = n
		}
		if n.State != NodeLost {
			wires[n.Wire.known().Version] = true
		}
	}
	m := Mix{Versions: map[string][]string{}}
	for _, n := range nodes {
		if n.State == NodeLost || n.Version == "" {
			continue
		}
		v := n.Version
		if len(wires) > 1 {
			v += fmt.Sprintf(" (protocol %d)", n.Wire.known().Version)
		}
		m.Versions[v] = append(m.Versions[v], n.Name)
		if a, apart := apartFrom(here, n); apart {
			m.Apart = append(m.Apart, a)
		}
	}
	if len(m.Versions) < 2 {
		return nil
	}
	return &m
}

// ApartFrom tells of n where it is heard and shares no version of the protocol with self, which is
// among nodes.
func ApartFrom(nodes []NodeInfo, self NodeID, n NodeInfo) (Apart, bool) {
	if n.State != NodeIncompatible {
		return Apart{}, false
	}
	for _, here := range nodes {
		if here.ID == self {
			return apartFrom(here, n)
		}
	}
	return Apart{}, false
}

func apartFrom(here, n NodeInfo) (Apart, bool) {
	if n.ID == here.ID || here.Wire.Speaks(n.Wire) {
		return Apart{}, false
	}
	a := Apart{NodeID: n.ID, Name: n.Name, Version: n.Version, Wire: n.Wire.known(), Here: here.Wire.known(), Upgrade: n.Name}
	if n.Wire.known().Version > here.Wire.known().Version {
		a.Upgrade = here.Name
	}
	return a, true
}

// String names the versions, and what follows.
func (m Mix) String() string {
	var parts []string
	for _, v := range slices.Sorted(maps.Keys(m.Versions)) {
		parts = append(parts, v+" on "+someOf(m.Versions[v]))
	}
	s := "The nodes run different versions: " + strings.Join(parts, "; ") + "."
	if len(m.Apart) == 0 {
		return s + " They work together; install one version of mycod on all."
	}
	for _, a := range m.Apart {
		s += " " + a.String() + "."
	}
	return s
}

// someOf joins at most three names.
func someOf(names []string) string {
	const most = 3
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

func orUnknown(v string) string {
	if v == "" {
		return "of an unknown version"
	}
	return v
}
