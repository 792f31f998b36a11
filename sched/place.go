package sched

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Placed is a task with what its submitter decided: its model, and its pin.
type Placed struct {
	Task bus.Task
	// Why tells how the model or the node was chosen, where the task named none.
	Why string
	// Demo tells that the demo model answers.
	Demo bool
}

// Place decides what a submitter must decide: which model where none is named, which other node where any but
// this one is asked for, and which where some do not connect to the port of a page. An attached task that no node can run is refused
// with CodeNoWorker and says who has what; a durable one waits.
func Place(t bus.Task, nodes []bus.NodeInfo, self bus.NodeID, defaultModel string, durable bool) (Placed, error) {
	p := Placed{Task: t}
	ready := usable(nodes, t, self)
	open, some := openTo(t, ready)
	if some {
		ready = open
	}
	if t.Type == bus.TypeInference && t.Model == "" {
		m, why, ok := bus.ChooseModel(ready, defaultModel)
		if !ok && durable && (defaultModel == "" || t.Node != "") {
			m, why, ok = bus.ChooseModel(candidates(nodes, t, self), defaultModel)
		}
		if !ok && !durable {
			return p, noWorker(t, nodes, self)
		}
		if !ok && defaultModel == "" {
			return p, bus.Errorf(bus.CodeNoWorker, "no node has a model, and the task names none: it could never be placed").WithHint("%s", bus.PullCommand(nodes, "gemma3:1b", string(t.Node)))
		}
		if !ok {
			m, why = bus.ModelInfo{Name: defaultModel}, "the configured default"
		}
		p.Task.Model, p.Why, p.Demo = m.Name, why, m.Demo
	} else if t.Model != "" {
		// The name as the engine lists it, so that one model has one queue.
		m, is := bus.ModelNamed(t.Model, bus.ModelsOf(ready, t.Type))
		if exact := is && bus.SameModel(m.Name, t.Model); !is || durable && !exact {
			// One that is away may have it, or what waits may mean another that has just this name.
			away, known := bus.ModelNamed(t.Model, bus.ModelsOf(candidates(nodes, t, self), t.Type))
			if known && (!is || bus.SameModel(away.Name, t.Model)) {
				m, is = away, true
			}
		}
		if is {
			p.Task.Model, p.Demo = m.Name, m.Demo
		}
	}
	key := bus.KeyOf(&p.Task)
	at, ok := CanRun(key, ready)
	if t.Remote && !ok {
		return p, noWorker(p.Task, nodes, self)
	}
	if ok && (t.Remote || some) {
		p.Task.Node, p.Task.Remote = at, false
	}
	if !ok && !durable {
		return p, noWorker(p.Task, nodes, self)
	}
	return p, nil
}

// openTo returns those of nodes that connect to the port of the page that t fetches; some is false where all do,
// or none does, and one of them will say so. What is not public is led to nobody: whoever may fetch it is named.
func openTo(t bus.Task, nodes []bus.NodeInfo) (open []bus.NodeInfo, some bool) {
	if t.Type != bus.TypeFetch {
		return nil, false
	}
	req, err := bus.Payload[bus.FetchRequest](&t)
	if err != nil {
		return nil, false // its handler says so
	}
	port := req.Port()
	if port == 0 {
		return nil, false
	}
	others := 0
	for _, n := range nodes {
		switch {
		case !slices.Contains(n.Types, bus.TypeFetch):
		case slices.Contains(n.WebPorts, port):
			open = append(open, n)
		default:
			others++
		}
	}
	return open, len(open) > 0 && others > 0
}

// usable returns the nodes that t may go to now.
func usable(nodes []bus.NodeInfo, t bus.Task, self bus.NodeID) []bus.NodeInfo {
	return slices.DeleteFunc(candidates(nodes, t, self), func(n bus.NodeInfo) bool { return !n.Takes(self, t.Type) })
}

// candidates returns the nodes that t may go to some day: also those that drain, are closed or are away.
func candidates(nodes []bus.NodeInfo, t bus.Task, self bus.NodeID) []bus.NodeInfo {
	return slices.DeleteFunc(slices.Clone(nodes), func(n bus.NodeInfo) bool {
		return t.Node != "" && n.ID != t.Node || t.Remote && n.ID == self
	})
}

// Runs reports whether a node can run key, and whether its model is loaded there.
func Runs(n bus.NodeInfo, key bus.Key) (can, loaded bool) {
	if key.Pin != "" && key.Pin != n.ID {
		return false, false
	}
	if can = slices.Contains(n.Types, key.Class); !can || key.Model == "" {
		return can, can
	}
	for _, m := range n.ModelsFor(key.Class) {
		if bus.SameModel(m.Name, key.Model) {
			return true, m.Loaded
		}
	}
	return false, false
}

// CanRun returns the best node that can run key, loaded before cold and idle before busy, and
// whether there is one.
func CanRun(key bus.Key, nodes []bus.NodeInfo) (bus.NodeID, bool) {
	var best bus.NodeInfo
	bestLoaded, found := false, false
	for _, n := range nodes {
		can, loaded := Runs(n, key)
		if !can || !n.State.Live() || n.State == bus.NodeDraining {
			continue
		}
		free, bestFree := n.Slots-n.Busy, best.Slots-best.Busy
		if !found || loaded && !bestLoaded || loaded == bestLoaded && (free > bestFree || free == bestFree && n.ID < best.ID) {
			best, bestLoaded, found = n, loaded, true
		}
	}
	return best.ID, found
}

// waitsFor tells why a durable task of submitter stays in the queue, as self sees it.
func waitsFor(key bus.Key, nodes []bus.NodeInfo, self, submitter bus.NodeID) string {
	what := fmt.Sprintf("type %q", key.Class)
	if key.Model != "" {
		what = fmt.Sprintf("model %q", key.Model)
	}
	for _, n := range nodes {
		if a, apart := bus.ApartFrom(nodes, self, n); apart && (key.Pin == n.ID || key.Pin == "" && wouldRun(n, key)) {
			return "waits: " + a.String()
		}
	}
	if who := keptBy(key, nodes, submitter); len(who) > 0 {
		return "waits: " + strings.Join(who, "; ")
	}
	if who := drained(key, nodes); who != nil {
		return "waits: " + draining(who)
	}
	if key.Pin != "" {
		return "waits: " + lacks(key.Pin, nodes, "have "+what)
	}
	if who := lost(key, nodes); who != "" {
		return "waits: " + who
	}
	return "waits: no node of the swarm has " + what
}

// lost names the nodes that could run key, if they were not lost; empty where there are none.
func lost(key bus.Key, nodes []bus.NodeInfo) string {
	var who []string
	for _, n := range nodes {
		if n.State == bus.NodeLost && wouldRun(n, key) {
			who = append(who, "node "+n.Name+", which could run it, is lost")
		}
	}
	return strings.Join(who, "; ")
}

// wouldRun reports whether n would run key, if it were not for its state.
func wouldRun(n bus.NodeInfo, key bus.Key) bool {
	can, _ := Runs(n, key)
	return can
}

// drained are the nodes that would run key, if they were not draining: those first that do not do so because they stop.
func drained(key bus.Key, nodes []bus.NodeInfo) (who []bus.NodeInfo) {
	for _, n := range nodes {
		if n.State == bus.NodeDraining && wouldRun(n, key) {
			who = append(who, n)
		}
	}
	slices.SortStableFunc(who, func(a, b bus.NodeInfo) int { return boolInt(a.Stops) - boolInt(b.Stops) })
	return who
}

func draining(nodes []bus.NodeInfo) string {
	what := make([]string, len(nodes))
	for i, n := range nodes {
		what[i] = "node " + n.Name + " is draining"
		if n.Stops {
			what[i] = "node " + n.Name + " is stopping"
		}
	}
	return strings.Join(what, "; ")
}

// lacks tells why a node that a task is pinned to does not what it should.
func lacks(pin bus.NodeID, nodes []bus.NodeInfo, what string) string {
	for _, n := range nodes {
		switch {
		case n.ID != pin:
		case n.State.Live():
			return "node " + n.Name + " does not " + what
		default:
			return "node " + n.Name + " is not there: it is " + string(n.State)
		}
	}
	return "node " + string(pin) + " is not there"
}

// unmodelled tells what a node does for a task that needs no model, as in "a node does not read documents" and
// "no node reads documents", and how a node comes to do it; empty for other types.
func unmodelled(typ string) (does, doing, next string) {
	const without = "start mycod there without %s, in a version that %s: myco swarm"
	switch typ {
	case bus.TypeFile:
		return "read documents", "reads documents", fmt.Sprintf(without, "--no-files", "reads documents")
	case bus.TypeFetch:
		return "fetch pages", "fetches pages", fmt.Sprintf(without, "--no-web", "fetches pages")
	case bus.TypeSearch:
		return "search the web", "searches the web", "mycod --search URL, of a SearXNG of yours, on a node that reaches it: docs/web.md"
	}
	return "", "", ""
}

// missing tells what no node has for t, and what a node has that has nothing of the kind.
func missing(t bus.Task) (what, none string) {
	what, none = fmt.Sprintf("tasks of type %q", t.Type), "no model"
	switch {
	case ofProgram(t):
		none = "none but mycod's own"
	case t.Type == bus.TypeEmbed:
		what, none = fmt.Sprintf("model %q for embeddings", t.Model), "none for embeddings"
	case t.Model != "":
		what = fmt.Sprintf("model %q", t.Model)
	case t.Type == bus.TypeInference:
		what = "an engine with a model"
	}
	return what, none
}

// causeOf tells why nobody runs t, which needs what.
func causeOf(t bus.Task, nodes []bus.NodeInfo, what string) string {
	does, doing, _ := unmodelled(t.Type)
	switch {
	case t.Node != "":
		return lacks(t.Node, nodes, cmp.Or(does, "have "+what))
	case t.Remote && does != "":
		return "no other node of the swarm " + doing
	case t.Remote:
		return "no other node has " + what
	case does != "":
		return "no node of the swarm " + doing
	}
	return "no node has " + what
}

// holdings tells what each node that is heard has for tasks like t: none where that is nothing.
func holdings(t bus.Task, nodes []bus.NodeInfo, self bus.NodeID, none string) string {
	var has []string
	for _, n := range nodes {
		if n.State == bus.NodeLost {
			continue
		}
		if a, apart := bus.ApartFrom(nodes, self, n); apart {
			has = append(has, a.String())
			continue
		}
		has = append(has, n.Name+": "+cmp.Or(strings.Join(offered(n, t), ", "), none))
	}
	return strings.Join(has, "; ")
}

// noWorker tells why nobody runs t, who has what, and what to do.
func noWorker(t bus.Task, nodes []bus.NodeInfo, self bus.NodeID) *bus.Error {
	what, none := missing(t)
	cause, has := causeOf(t, nodes, what), holdings(t, nodes, self, none)
	if who := keptBy(bus.KeyOf(&t), nodes, self); len(who) > 0 {
		e := bus.Errorf(bus.CodeNoWorker, "%s: it takes no tasks of others (%s)", strings.Join(who, "; "), has)
		switch {
		case t.Type == bus.TypePull || t.Type == bus.TypeDelete:
			return e.WithHint("myco swarm tells until when; or leave the node open, without --node")
		case t.Node != "":
			return e.WithHint("let it wait: myco ask --detach; or leave the node open, without --node: myco swarm")
		}
		return e.WithHint("let it wait: myco ask --detach; or name a model of another node with -m: myco swarm")
	}
	if who := drained(bus.KeyOf(&t), nodes); who != nil {
		e := bus.Errorf(bus.CodeNoWorker, "%s: it takes no more work (%s)", draining(who), has)
		if who[0].Stops {
			return e.WithHint("ask again once it is back, or ask another: myco swarm")
		}
		return e.WithHint("myco drain %s --off; or ask another: myco swarm", who[0].Name)
	}
	if who := lost(bus.KeyOf(&t), nodes); who != "" && t.Node == "" {
		cause += "; " + who
	}
	e := bus.Errorf(bus.CodeNoWorker, "%s (%s)", cause, has)
	if t.Node != "" && !slices.ContainsFunc(nodes, func(n bus.NodeInfo) bool { return n.ID == t.Node && n.State.Live() }) {
		return e.WithHint("leave the node open, without --node, or wait until it is back: myco swarm")
	}
	_, talks := bus.ModelNamed(t.Model, bus.ModelsOf(nodes, bus.TypeInference))
	switch {
	case t.Type == bus.TypeEmbed && talks: // to pull it again is of no use
		return e.WithHint("take a model for embeddings, such as nomic-embed-text: %s", bus.PullCommand(nodes, "nomic-embed-text", string(t.Node)))
	case t.Model != "":
		hint := bus.PullCommand(nodes, t.Model, string(t.Node))
		if slices.ContainsFunc(nodes, func(n bus.NodeInfo) bool { return len(offered(n, t)) > 0 }) {
			hint += ", or name one of those above with -m"
		}
		return e.WithHint("%s", hint)
	}
	if _, _, next := unmodelled(t.Type); next != "" {
		return bus.Errorf(bus.CodeNoWorker, "%s", cause).WithHint("%s", next)
	}
	if ofProgram(t) {
		return e.WithHint("myco plugins; the types of mycod's own are %s", strings.Join(slices.DeleteFunc(bus.OwnTypes(), bus.Internal), ", "))
	}
	if t.Type == bus.TypeInference && !slices.ContainsFunc(nodes, func(n bus.NodeInfo) bool { return len(n.Models) > 0 }) {
		return e.WithHint("%s", bus.PullCommand(nodes, "gemma3:1b", ""))
	}
	return e.WithHint("myco swarm")
}

// ofProgram reports whether only programs of others, such as plugins, do tasks like t.
func ofProgram(t bus.Task) bool { return t.Model == "" && !slices.Contains(bus.OwnTypes(), t.Type) }

// offered are the models that n has for t, or the types of task that programs there do.
func offered(n bus.NodeInfo, t bus.Task) (names []string) {
	if ofProgram(t) {
		names = slices.DeleteFunc(slices.Clone(n.Types), func(typ string) bool { return slices.Contains(bus.OwnTypes(), typ) })
	} else {
		for _, m := range n.ModelsFor(t.Type) {
			names = append(names, m.Name)
		}
	}
	slices.Sort(names)
	return names
}
