package sched_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
)

func model(name string, gb int64, loaded bool) bus.ModelInfo {
	return bus.ModelInfo{Name: name, SizeBytes: gb << 30, Loaded: loaded}
}

func engine(id bus.NodeID, name string, ms ...bus.ModelInfo) bus.NodeInfo {
	return bus.NodeInfo{ID: id, Name: name, State: bus.NodeReady, Types: []string{bus.TypeInference}, Models: ms, Slots: 2}
}

func with(n bus.NodeInfo, change func(*bus.NodeInfo)) bus.NodeInfo {
	change(&n)
	return n
}

func TestPlace(t *testing.T) {
	t.Parallel()
	demo := bus.ModelInfo{Name: "demo", Demo: true, Loaded: true}
	small, large, cold := model("small:1b", 1, true), model("large:14b", 9, true), model("huge:70b", 40, false)
	alpha, beta, gamma := engine(a, "alpha", small), engine(b, "beta", large, cold), engine(c, "gamma", demo)
	lost := with(beta, func(n *bus.NodeInfo) { n.State = bus.NodeLost })
	capital := with(engine(c, "gamma", model("Small:1B", 1, true)), func(n *bus.NodeInfo) { n.State = bus.NodeLost })
	draining := with(beta, func(n *bus.NodeInfo) { n.State = bus.NodeDraining })
	ask := bus.Task{Type: bus.TypeInference}
	askFor := func(m string) bus.Task { return bus.Task{Type: bus.TypeInference, Model: m} }
	vectors := with(alpha, func(n *bus.NodeInfo) {
		n.Types, n.Embedders = append(n.Types, bus.TypeEmbed), []bus.ModelInfo{model("vec:latest", 1, false)}
	})
	fetcher := func(id bus.NodeID, name string, ports ...uint16) bus.NodeInfo {
		return bus.NodeInfo{ID: id, Name: name, State: bus.NodeReady, Types: []string{bus.TypeFetch}, Slots: 4, WebPorts: ports}
	}
	fetch := func(u string, change ...func(*bus.Task)) bus.Task {
		task, err := bus.NewTask(bus.TypeFetch, bus.FetchRequest{URL: u})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range change {
			c(&task)
		}
		return task
	}
	remote := func(t *bus.Task) { t.Remote = true }
	embed := func(m string) bus.Task { return bus.Task{Type: bus.TypeEmbed, Model: m} }
	for _, tt := range []struct {
		name     string
		task     bus.Task
		nodes    []bus.NodeInfo
		def      string
		durable  bool
		model    string
		pin      bus.NodeID
		demo     bool
		why, err string // parts of them
		hint     string // a part of it
	}{
		{name: "the configured default", task: ask, nodes: []bus.NodeInfo{alpha, beta}, def: "small:1b", model: "small:1b", why: "default"},
		{name: "the largest loaded", task: ask, nodes: []bus.NodeInfo{alpha, beta, gamma}, model: "large:14b", why: "largest loaded"},
		{name: "the largest installed", task: ask, nodes: []bus.NodeInfo{engine(a, "alpha", model("s", 1, false), model("m", 2, false)), gamma}, model: "m", why: "largest installed"},
		{name: "the demo", task: ask, nodes: []bus.NodeInfo{gamma}, model: "demo", demo: true, why: "demo"},
		{name: "a default that nobody has", task: ask, nodes: []bus.NodeInfo{alpha}, def: "other", model: "small:1b", why: "largest loaded"},
		{name: "a lost node does not count", task: ask, nodes: []bus.NodeInfo{alpha, lost}, model: "small:1b"},
		{name: "nor a draining one", task: ask, nodes: []bus.NodeInfo{alpha, draining}, model: "small:1b"},
		{name: "pinned to one that drains", task: bus.Task{Type: bus.TypeInference, Node: b}, nodes: []bus.NodeInfo{alpha, draining}, err: "node beta is draining: it takes no more work"},
		{name: "a model of one that drains", task: askFor("large:14b"), nodes: []bus.NodeInfo{alpha, draining}, err: "node beta is draining"},
		{name: "durable, pinned to one that drains", task: bus.Task{Type: bus.TypeInference, Node: b}, nodes: []bus.NodeInfo{alpha, draining}, durable: true, model: "large:14b", pin: b},
		{name: "durable, pinned to one that drains, with a default of others", task: bus.Task{Type: bus.TypeInference, Node: b}, nodes: []bus.NodeInfo{alpha, draining}, def: "small:1b", durable: true, model: "large:14b", pin: b},
		{name: "pinned to a lost one", task: bus.Task{Type: bus.TypeInference, Node: b}, nodes: []bus.NodeInfo{alpha, lost}, err: "node beta is not there: it is lost", hint: "without --node"},
		{name: "a model, pinned to a lost one", task: bus.Task{Type: bus.TypeInference, Model: "large:14b", Node: b}, nodes: []bus.NodeInfo{alpha, lost}, err: "node beta is not there: it is lost", hint: "without --node"},
		{name: "durable, only a lost one has a model", task: ask, nodes: []bus.NodeInfo{engine(a, "alpha"), lost}, durable: true, model: "large:14b"},
		{name: "pinned to one that nobody knows", task: bus.Task{Type: bus.TypeInference, Node: c}, nodes: []bus.NodeInfo{alpha}, err: "node " + string(c) + " is not there"},
		{name: "no model at all", task: ask, nodes: []bus.NodeInfo{engine(a, "alpha")}, err: "no node has an engine with a model", hint: "ollama pull gemma3:1b"},
		{name: "a model at a lost node alone", task: ask, nodes: []bus.NodeInfo{engine(a, "alpha"), lost}, err: "no node has an engine with a model; node beta, which could run it, is lost (alpha: no model)", hint: "myco swarm"},
		{name: "a model of a lost node alone", task: askFor("large:14b"), nodes: []bus.NodeInfo{alpha, lost}, err: `no node has model "large:14b"; node beta, which could run it, is lost (alpha: small:1b)`},
		{name: "durable, no model at all", task: ask, nodes: nil, durable: true, err: "could never be placed"},
		{name: "durable, no model yet", task: ask, nodes: nil, durable: true, def: "later", model: "later", why: "default"},
		{name: "the model asked for", task: askFor("small:1b"), nodes: []bus.NodeInfo{alpha, beta}, model: "small:1b"},
		{name: "by its short name", task: askFor("x"), nodes: []bus.NodeInfo{engine(a, "alpha", model("x:latest", 1, true))}, model: "x:latest"},
		{name: "in other letters", task: askFor("SMALL:1B"), nodes: []bus.NodeInfo{alpha, beta}, model: "small:1b"},
		{name: "in the letters of one of two", task: askFor("X"), nodes: []bus.NodeInfo{engine(a, "alpha", model("x:latest", 1, true)), engine(b, "beta", model("X", 1, true))}, model: "X"},
		{name: "in other letters, durable, at one that is away", task: askFor("Large:14b"), nodes: []bus.NodeInfo{alpha, lost}, durable: true, model: "large:14b"},
		{name: "in other letters, at one that drains", task: askFor("Large:14b"), nodes: []bus.NodeInfo{alpha, draining}, err: "node beta is draining"},
		{name: "vectors of what only answers, in other letters", task: embed("Small:1b"), nodes: []bus.NodeInfo{vectors}, err: `no node has model "Small:1b" for embeddings`, hint: "nomic-embed-text"},
		{name: "in the letters of one that is away", task: askFor("Small:1B"), nodes: []bus.NodeInfo{alpha, capital}, model: "small:1b"},
		{name: "durable, in the letters of one that is away", task: askFor("Small:1B"), nodes: []bus.NodeInfo{alpha, capital}, durable: true, model: "Small:1B"},
		{name: "durable, in other letters than both", task: askFor("SMALL:1b"), nodes: []bus.NodeInfo{alpha, capital}, durable: true, model: "small:1b"},
		{name: "a model that nobody has", task: askFor("nope"), nodes: []bus.NodeInfo{alpha, beta}, err: "alpha: small:1b; beta: huge:70b, large:14b"},
		{name: "durable, a model that nobody has", task: askFor("nope"), nodes: []bus.NodeInfo{alpha}, durable: true, model: "nope"},
		{name: "pinned", task: bus.Task{Type: bus.TypeInference, Model: "small:1b", Node: a}, nodes: []bus.NodeInfo{alpha, beta}, model: "small:1b", pin: a},
		{name: "pinned to a node without it", task: bus.Task{Type: bus.TypeInference, Model: "small:1b", Node: b}, nodes: []bus.NodeInfo{alpha, beta}, err: "node beta does not have model \"small:1b\"", hint: "pull small:1b"},
		{name: "pinned, any model", task: bus.Task{Type: bus.TypeInference, Node: a}, nodes: []bus.NodeInfo{alpha, beta}, model: "small:1b", pin: a},
		{name: "remote", task: bus.Task{Type: bus.TypeInference, Remote: true}, nodes: []bus.NodeInfo{with(alpha, func(n *bus.NodeInfo) { n.Models = []bus.ModelInfo{large} }), beta}, model: "large:14b", pin: b},
		{name: "remote, nobody else", task: bus.Task{Type: bus.TypeInference, Remote: true}, nodes: []bus.NodeInfo{alpha}, err: "no other node"},
		{name: "another type", task: bus.Task{Type: "ping"}, nodes: []bus.NodeInfo{{ID: a, Name: "alpha", State: bus.NodeReady, Types: []string{"ping"}}}},
		{name: "vectors", task: embed("vec"), nodes: []bus.NodeInfo{vectors, beta}, model: "vec:latest"},
		{name: "vectors of what only answers", task: embed("small:1b"), nodes: []bus.NodeInfo{vectors, beta}, err: `no node has model "small:1b" for embeddings (alpha: vec:latest; beta: none for embeddings)`},
		{name: "answers of what only makes vectors", task: askFor("vec"), nodes: []bus.NodeInfo{vectors}, err: "alpha: small:1b"},
		{name: "what only makes vectors is not chosen", task: ask, nodes: []bus.NodeInfo{with(vectors, func(n *bus.NodeInfo) { n.Models = nil })}, err: "no node has an engine with a model"},
		{name: "a page, and nobody fetches", task: bus.Task{Type: bus.TypeFetch}, nodes: []bus.NodeInfo{alpha}, err: "no node of the swarm fetches pages"},
		{name: "a page, by one that does not fetch", task: bus.Task{Type: bus.TypeFetch, Node: b}, nodes: []bus.NodeInfo{alpha, beta}, err: "node beta does not fetch pages"},
		{name: "a page, by any other", task: bus.Task{Type: bus.TypeFetch, Remote: true}, nodes: []bus.NodeInfo{alpha}, err: "no other node of the swarm fetches pages"},
		{name: "a search, and nobody searches", task: bus.Task{Type: bus.TypeSearch}, nodes: []bus.NodeInfo{alpha}, err: "no node of the swarm searches the web"},
		{name: "a search, by one that does not", task: bus.Task{Type: bus.TypeSearch, Node: b}, nodes: []bus.NodeInfo{alpha, beta}, err: "node beta does not search the web"},
		{name: "a page", task: bus.Task{Type: bus.TypeFetch}, nodes: []bus.NodeInfo{{ID: a, Name: "alpha", State: bus.NodeReady, Types: []string{bus.TypeFetch}}}},
		{name: "a page, from a port that one connects to", task: fetch("https://example.org:8443/x"), nodes: []bus.NodeInfo{fetcher(a, "alpha"), alpha, fetcher(b, "beta", 8443)}, pin: b},
		{name: "the same, by any other", task: fetch("https://example.org:8443/x", remote), nodes: []bus.NodeInfo{fetcher(a, "alpha", 8443), fetcher(b, "beta"), fetcher(c, "gamma", 8443)}, pin: c},
		{name: "the same, by one that does not", task: fetch("https://example.org:8443/x", func(t *bus.Task) { t.Node = a }), nodes: []bus.NodeInfo{fetcher(a, "alpha"), fetcher(b, "beta", 8443)}, pin: a},
		{name: "a page, from a port that all connect to", task: fetch("http://example.org:8080"), nodes: []bus.NodeInfo{fetcher(a, "alpha", 8080), fetcher(b, "beta", 8443, 8080), alpha}},
		{name: "a page, from a port that nobody connects to", task: fetch("http://example.org:8080"), nodes: []bus.NodeInfo{fetcher(a, "alpha"), fetcher(b, "beta", 8443)}},
		{name: "a page, from a port that a lost one connects to", task: fetch("http://example.org:8080"), nodes: []bus.NodeInfo{fetcher(a, "alpha"), with(fetcher(b, "beta", 8080), func(n *bus.NodeInfo) { n.State = bus.NodeLost })}},
		{name: "a page, from a port that all connect to anyway", task: fetch("https://example.org:443"), nodes: []bus.NodeInfo{fetcher(a, "alpha"), fetcher(b, "beta", 443)}},
		{name: "a page of one's own machine", task: fetch("http://localhost:8080"), nodes: []bus.NodeInfo{fetcher(a, "alpha"), fetcher(b, "beta", 8080)}},
		{name: "a page of an address that is not public", task: fetch("http://192.168.1.7:8080"), nodes: []bus.NodeInfo{fetcher(a, "alpha"), fetcher(b, "beta", 8080)}},
		{name: "the same, spelled otherwise", task: fetch("http://[::ffff:127.0.0.1]:8080"), nodes: []bus.NodeInfo{fetcher(a, "alpha"), fetcher(b, "beta", 8080)}},
		{name: "a page, whose URL is none", task: fetch("http://example.org:x"), nodes: []bus.NodeInfo{fetcher(a, "alpha"), fetcher(b, "beta", 443)}},
		{name: "a type that nobody runs", task: bus.Task{Type: "paint"}, nodes: []bus.NodeInfo{alpha}, err: "tasks of type \"paint\"", hint: "own are ping, inference, embed, pull, delete, web_fetch, web_search, file_read"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p, err := sched.Place(tt.task, tt.nodes, a, tt.def, tt.durable)
			if tt.err != "" {
				var e *bus.Error
				if !errors.As(err, &e) || e.Code != bus.CodeNoWorker || !strings.Contains(e.Message, tt.err) || e.Hint == "" || !strings.Contains(e.Hint, tt.hint) {
					t.Fatalf("error %v, want one of no worker with %q, and a hint with %q: %+v", err, tt.err, tt.hint, e)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if p.Task.Model != tt.model || p.Task.Node != tt.pin || p.Demo != tt.demo || p.Task.Remote || !strings.Contains(p.Why, tt.why) {
				t.Errorf("placed %+v, want model %q, pin %q, demo %v, why %q", p, tt.model, tt.pin, tt.demo, tt.why)
			}
		})
	}
}

// A model that nobody has is pulled through the swarm, where one of its nodes has an Ollama.
func TestPlaceTellsHowToPull(t *testing.T) {
	t.Parallel()
	puller := with(engine(b, "beta"), func(n *bus.NodeInfo) { n.Types = append(n.Types, bus.TypePull) })
	plain := engine(a, "alpha", model("x:1b", 1, true))
	const others = ", or name one of those above with -m"
	for _, tt := range []struct {
		nodes []bus.NodeInfo
		pin   bus.NodeID
		want  string
	}{
		{[]bus.NodeInfo{plain, puller}, "", "myco pull absent" + others},
		{[]bus.NodeInfo{plain, puller}, b, "myco pull absent --node beta" + others},
		{[]bus.NodeInfo{plain}, "", "ollama pull absent" + others},
		{[]bus.NodeInfo{puller}, "", "myco pull absent"},
	} {
		_, err := sched.Place(bus.Task{Type: bus.TypeInference, Model: "absent", Node: tt.pin}, tt.nodes, a, "", false)
		if hint := bus.AsError(err).Hint; hint != tt.want {
			t.Errorf("the hint is %q, want %q", hint, tt.want)
		}
	}
}

// Loaded before cold, then the one with more free slots, then the lower id.
func TestCanRun(t *testing.T) {
	t.Parallel()
	warm, cold := model("x", 1, true), model("x", 1, false)
	busy := func(n bus.NodeInfo) bus.NodeInfo { return with(n, func(n *bus.NodeInfo) { n.Busy = 1 }) }
	key := bus.Key{Class: bus.TypeInference, Model: "x"}
	for _, tt := range []struct {
		nodes []bus.NodeInfo
		key   bus.Key
		want  bus.NodeID
	}{
		{nil, key, ""},
		{[]bus.NodeInfo{engine(b, "", warm), engine(a, "", cold)}, key, b},
		{[]bus.NodeInfo{engine(a, "", cold), busy(engine(b, "", warm))}, key, b},
		{[]bus.NodeInfo{busy(engine(a, "", warm)), engine(b, "", warm)}, key, b},
		{[]bus.NodeInfo{engine(b, "", warm), engine(a, "", warm)}, key, a},
		{[]bus.NodeInfo{engine(a, "", warm), engine(b, "", cold)}, bus.Key{Class: bus.TypeInference, Model: "x", Pin: b}, b},
		{[]bus.NodeInfo{engine(a, "", warm)}, bus.Key{Class: "ping"}, ""},
	} {
		if got, ok := sched.CanRun(tt.key, tt.nodes); got != tt.want || ok != (tt.want != "") {
			t.Errorf("%v can run on %q, %v; want %q", tt.key, got, ok, tt.want)
		}
	}
}
