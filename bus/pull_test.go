package bus_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

// ollamaNode is a node that can pull and delete, with a GPU, GiB of room and models.
func ollamaNode(name, gpu string, room int64, models ...string) bus.NodeInfo {
	n := bus.NodeInfo{
		ID: bus.NodeID("myco-00000000000" + name), Name: name, State: bus.NodeReady, GPUTier: gpu, ModelRoom: room << 30,
		Types: []string{bus.TypeDelete, bus.TypePull},
	}
	for _, m := range models {
		n.Models = append(n.Models, bus.ModelInfo{Name: m, Engine: "ollama"})
	}
	return n
}

func changed(n bus.NodeInfo, change func(*bus.NodeInfo)) bus.NodeInfo {
	change(&n)
	return n
}

func TestPullNode(t *testing.T) {
	t.Parallel()
	a, b, c := ollamaNode("a", "none", 900), ollamaNode("b", "high", 50), ollamaNode("c", "high", 200)
	closed := func(n *bus.NodeInfo) { n.Owner = &bus.OwnerUse{Closed: true} }
	without := func(n *bus.NodeInfo) { n.Types = []string{bus.TypePing} }
	for name, x := range map[string]struct {
		nodes []bus.NodeInfo
		on    string
		want  string
		code  bus.Code
	}{
		"the better GPU":                 {[]bus.NodeInfo{a, b}, "", "b", ""},
		"then more room":                 {[]bus.NodeInfo{a, b, c}, "", "c", ""},
		"then the id":                    {[]bus.NodeInfo{c, changed(b, func(n *bus.NodeInfo) { n.ModelRoom = c.ModelRoom })}, "", "b", ""},
		"not where there is none":        {[]bus.NodeInfo{a, changed(c, func(n *bus.NodeInfo) { n.ModelRoom = 7 << 30 })}, "", "a", ""},
		"nor on a full disk":             {[]bus.NodeInfo{a, changed(c, func(n *bus.NodeInfo) { n.DiskFull = true })}, "", "a", ""},
		"unless there is no other":       {[]bus.NodeInfo{changed(c, func(n *bus.NodeInfo) { n.ModelRoom = 1 })}, "", "c", ""},
		"room that is not known":         {[]bus.NodeInfo{a, changed(c, func(n *bus.NodeInfo) { n.ModelRoom = 0 })}, "", "c", ""},
		"an unknown GPU is last":         {[]bus.NodeInfo{a, ollamaNode("d", "", 999)}, "", "a", ""},
		"where it is already":            {[]bus.NodeInfo{ollamaNode("a", "none", 900, "m:latest"), c}, "", "a", ""},
		"though another model is there":  {[]bus.NodeInfo{ollamaNode("a", "none", 900, "m:7b"), c}, "", "c", ""},
		"pinned by name":                 {[]bus.NodeInfo{a, b, c}, "a", "a", ""},
		"pinned by id":                   {[]bus.NodeInfo{a, b, c}, string(a.ID), "a", ""},
		"pinned to nobody":               {[]bus.NodeInfo{a, b}, "z", "", bus.CodeNotFound},
		"pinned to a name of two":        {[]bus.NodeInfo{a, changed(b, func(n *bus.NodeInfo) { n.Name = "a" })}, "a", "", bus.CodeConflict},
		"pinned to one without Ollama":   {[]bus.NodeInfo{changed(a, without), b}, "a", "", bus.CodeNoWorker},
		"pinned to a lost one":           {[]bus.NodeInfo{changed(a, func(n *bus.NodeInfo) { n.State = bus.NodeLost }), b}, "a", "", bus.CodeNoWorker},
		"not to one that drains":         {[]bus.NodeInfo{a, changed(c, func(n *bus.NodeInfo) { n.State = bus.NodeDraining })}, "", "a", ""},
		"not to one that does not speak": {[]bus.NodeInfo{a, changed(c, func(n *bus.NodeInfo) { n.State = bus.NodeIncompatible })}, "", "a", ""},
		"not to one that is kept":        {[]bus.NodeInfo{a, changed(c, closed)}, "", "a", ""},
		"though it has the model":        {[]bus.NodeInfo{a, changed(ollamaNode("d", "high", 900, "m:latest"), closed)}, "", "a", ""},
		"unless no other can":            {[]bus.NodeInfo{changed(a, without), changed(c, closed)}, "", "c", ""},
		"the owner's own":                {[]bus.NodeInfo{changed(ollamaNode("a", "ultra", 900), closed), c}, "", "a", ""},
		"nobody can":                     {[]bus.NodeInfo{changed(a, without)}, "", "", bus.CodeNoWorker},
	} {
		got, err := bus.PullNode(x.nodes, "m", x.on, a.ID)
		if got.Name != x.want || codeOf(err) != x.code {
			t.Errorf("%s: %q, %v, want %q, %q", name, got.Name, err, x.want, x.code)
		}
	}
}

func TestPullCommand(t *testing.T) {
	t.Parallel()
	a, plain := ollamaNode("a", "none", 900), bus.NodeInfo{ID: "myco-b", Name: "b", State: bus.NodeReady, Types: []string{bus.TypeInference}}
	for name, x := range map[string]struct {
		nodes []bus.NodeInfo
		on    string
		want  string
	}{
		"a node has an Ollama":     {[]bus.NodeInfo{plain, a}, "", "myco pull m"},
		"the node asked for":       {[]bus.NodeInfo{plain, a}, "a", "myco pull m --node a"},
		"that has none":            {[]bus.NodeInfo{plain, a}, "b", "ollama pull m, on b"},
		"that is named by its id":  {[]bus.NodeInfo{plain, a}, "myco-b", "ollama pull m, on b"},
		"which has one, by its id": {[]bus.NodeInfo{plain, a}, string(a.ID), "myco pull m --node a"},
		"two are called so":        {[]bus.NodeInfo{a, changed(plain, func(n *bus.NodeInfo) { n.Name = "a" })}, string(a.ID), "myco pull m --node " + string(a.ID)},
		"a name with a space":      {[]bus.NodeInfo{changed(a, func(n *bus.NodeInfo) { n.Name = "big box" })}, string(a.ID), "myco pull m --node " + bus.ShellWord("big box")},
		"nobody has an Ollama":     {[]bus.NodeInfo{plain, plain}, "", "ollama pull m, on a machine of the swarm"},
		"the only one has none":    {[]bus.NodeInfo{plain}, "", "ollama pull m"},
		"there is no swarm":        {nil, "", "ollama pull m"},
		"who has one is draining":  {[]bus.NodeInfo{changed(a, func(n *bus.NodeInfo) { n.State = bus.NodeDraining })}, "", "ollama pull m"},
	} {
		if got := bus.PullCommand(x.nodes, "m", x.on); got != x.want {
			t.Errorf("%s: %q, want %q", name, got, x.want)
		}
	}
}

// Why a node that is named does not pull is told as it is, and what helps there.
func TestWhyANodeDoesNotPull(t *testing.T) {
	t.Parallel()
	a := ollamaNode("a", "none", 900)
	for name, x := range map[string]struct {
		with       func(*bus.NodeInfo)
		says, hint string
	}{
		"without Ollama": {func(n *bus.NodeInfo) { n.Types = []string{bus.TypePing} }, "node a has no Ollama that answers", "start Ollama there"},
		"draining":       {func(n *bus.NodeInfo) { n.State = bus.NodeDraining }, "node a is draining: it takes no more work", "myco drain a --off"},
		"stopping":       {func(n *bus.NodeInfo) { n.State, n.Stops = bus.NodeDraining, true }, "node a is stopping", "once it is back"},
	} {
		_, err := bus.PullNode([]bus.NodeInfo{changed(a, x.with)}, "m", string(a.ID), a.ID)
		if e := bus.AsError(err); e.Message != x.says || !strings.Contains(e.Hint, x.hint) {
			t.Errorf("%s: %q, try: %q; want %q, and %q", name, e.Message, e.Hint, x.says, x.hint)
		}
	}
}

// Where no node is named, those are that were looked at.
func TestWhyNobodyPulls(t *testing.T) {
	t.Parallel()
	without := func(n *bus.NodeInfo) { n.Types = []string{bus.TypePing} }
	a, b := changed(ollamaNode("a", "none", 900), without), changed(ollamaNode("b", "none", 900), without)
	_, err := bus.PullNode([]bus.NodeInfo{a, b}, "m", "", a.ID)
	if e := bus.AsError(err); e.Message != "none of the nodes has an Ollama that answers and takes work: a, b" || !strings.Contains(e.Hint, "start Ollama on one of the machines") {
		t.Errorf("%q, try: %q", e.Message, e.Hint)
	}
}

// A name with the node behind it is for programs over HTTP; to pull a model of the whole name would be of no use.
func TestPullCommandOfANameWithItsNode(t *testing.T) {
	t.Parallel()
	nodes := []bus.NodeInfo{ollamaNode("a", "none", 900, "m:1b"), ollamaNode("b", "none", 1, "qwen@4bit")}
	for model, want := range map[string]string{
		"m:1b@b":                   "name the node apart: --node b, and the model as m:1b",
		"m@" + string(nodes[0].ID): "name the node apart: --node " + string(nodes[0].ID) + ", and the model as m",
		"m:1b@nobody":              "myco pull m:1b@nobody",
		"qwen@4bit":                "myco pull qwen@4bit",
		"@b":                       "myco pull @b",
		"m:1b@b:latest":            "name the node apart: --node b, and the model as m:1b",
		"qwen@4bit@b":              "name the node apart: --node b, and the model as qwen@4bit",
	} {
		if got := bus.PullCommand(nodes, model, ""); got != want {
			t.Errorf("%s: %q, want %q", model, got, want)
		}
	}
}

// Where each is to have it, who has no room, is kept by its owner, or is lost is left out.
func TestPullNodes(t *testing.T) {
	t.Parallel()
	ready, full := ollamaNode("a", "none", 900), ollamaNode("b", "high", 1)
	has := ollamaNode("c", "high", 1, "m:latest")
	closed := changed(ollamaNode("d", "high", 900), func(n *bus.NodeInfo) { n.Owner = &bus.OwnerUse{Closed: true} })
	without := changed(ollamaNode("e", "high", 900), func(n *bus.NodeInfo) { n.Types = []string{bus.TypePing} })
	draining := changed(ollamaNode("f", "high", 900), func(n *bus.NodeInfo) { n.State = bus.NodeDraining })
	lost := changed(ollamaNode("g", "high", 900), func(n *bus.NodeInfo) { n.State = bus.NodeLost })
	names := func(nodes []bus.NodeInfo) (s string) {
		for _, n := range nodes {
			s += n.Name
		}
		return s
	}
	gone := changed(without, func(n *bus.NodeInfo) { n.State = bus.NodeLost }) // it could not before
	all := []bus.NodeInfo{ready, full, has, closed, without, draining, lost, gone}
	able, kept, err := bus.PullNodes(all, "m", ready.ID)
	if names(able) != "ac" || names(kept) != "bdefg" || err != nil {
		t.Errorf("able %s, kept %s, %v; want ac and bdefg", names(able), names(kept), err)
	}
	if able, _, err := bus.PullNodes(all, "m", closed.ID); names(able) != "acd" || err != nil { // its own owner's
		t.Errorf("asked on the closed one: able %s, %v; want acd", names(able), err)
	}
	if _, _, err := bus.PullNodes([]bus.NodeInfo{without}, "m", ready.ID); bus.AsError(err).Code != bus.CodeNoWorker {
		t.Errorf("nobody can: %v", err)
	}
}

func TestDeleteNodes(t *testing.T) {
	t.Parallel()
	a, b := ollamaNode("a", "none", 1, "m:latest"), ollamaNode("b", "none", 1, "other")
	vec := changed(ollamaNode("c", "none", 1), func(n *bus.NodeInfo) { n.Embedders = []bus.ModelInfo{{Name: "m", Engine: "ollama"}} })
	llama := changed(ollamaNode("d", "none", 1, "m"), func(n *bus.NodeInfo) { n.Models[0].Engine = "openai" })
	demo := changed(ollamaNode("e", "none", 1, "m"), func(n *bus.NodeInfo) { n.Models[0].Engine, n.Models[0].Demo = "demo", true })
	old := changed(ollamaNode("f", "none", 1, "m"), func(n *bus.NodeInfo) { n.Types = []string{bus.TypeInference} })
	lost := changed(ollamaNode("g", "none", 1, "m"), func(n *bus.NodeInfo) { n.State = bus.NodeLost })
	namesOf := func(nodes []bus.NodeInfo) (out []string) {
		for _, n := range nodes {
			out = append(out, n.Name)
		}
		return out
	}
	for name, x := range map[string]struct {
		nodes      []bus.NodeInfo
		on         string
		able, kept []string
		code       bus.Code
	}{
		"all that have it":      {[]bus.NodeInfo{a, b, vec, llama, demo, old, lost}, "", []string{"a", "c"}, []string{"d", "f"}, ""},
		"one":                   {[]bus.NodeInfo{a, vec}, "c", []string{"c"}, nil, ""},
		"one without it":        {[]bus.NodeInfo{a, b}, "b", nil, nil, bus.CodeNotFound},
		"nobody has it":         {[]bus.NodeInfo{b, lost}, "", nil, nil, bus.CodeNotFound},
		"the demo has it":       {[]bus.NodeInfo{b, lost, demo}, "", nil, nil, bus.CodeInvalid},
		"the demo is elsewhere": {[]bus.NodeInfo{b, demo}, "b", nil, nil, bus.CodeNotFound},
		"nobody can":            {[]bus.NodeInfo{llama, old}, "", nil, []string{"d", "f"}, bus.CodeInvalid},
		"no such node":          {[]bus.NodeInfo{a}, "z", nil, nil, bus.CodeNotFound},
		"a node that went away": {[]bus.NodeInfo{a, lost}, "g", nil, nil, bus.CodeNoWorker},
	} {
		able, kept, err := bus.DeleteNodes(x.nodes, "m", x.on)
		if e := bus.AsError(err); e != nil && e.Hint == "" {
			t.Errorf("%s: %v tells no next step", name, err)
		}
		if !slices.Equal(namesOf(able), x.able) || !slices.Equal(namesOf(kept), x.kept) || codeOf(err) != x.code {
			t.Errorf("%s: %v, kept %v, %v", name, namesOf(able), namesOf(kept), err)
		}
	}
}
