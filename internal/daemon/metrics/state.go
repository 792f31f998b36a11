package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/engine"
)

// State is what a daemon knows at the moment of a scrape.
type State struct {
	Version string
	Swarm   bus.SwarmInfo
	// Node is this node, and Nodes are all members as it sees them, itself among them.
	Node  bus.NodeInfo
	Nodes []bus.NodeInfo
	// Attached and Durable are numbers of open tasks that were submitted here.
	Attached, Durable int
	// Queue is what waits and runs by lane, where this node is queue host; nil where it is not.
	Queue []bus.QueueCount
	// Streams and Content are bytes on disk: of tasks and their ends, and of what is too large for a message.
	// Free are those that are free there.
	Streams, Content, Free uint64
	Engines                []engine.Address
}

// state is a collector of what a function tells.
type state func() State

// gauge is a figure of a State.
type gauge struct {
	desc *prometheus.Desc
	tell func(State, func(v float64, labels ...string))
}

func newGauge(name, help string, tell func(State, func(float64, ...string)), labels ...string) gauge {
	return gauge{prometheus.NewDesc(namespace+"_"+name, help, labels, nil), tell}
}

// one is a gauge without labels.
func one(name, help string, of func(State) float64) gauge {
	return newGauge(name, help, func(s State, tell func(float64, ...string)) { tell(of(s)) })
}

// ofModels is a gauge with a value for each model of the node.
func ofModels(name, help string, of func(bus.ModelInfo) (float64, bool)) gauge {
	return newGauge(name, help, func(s State, tell func(float64, ...string)) {
		seen := map[string]bool{}
		for _, m := range append(append([]bus.ModelInfo{}, s.Node.Models...), s.Node.Embedders...) {
			if v, ok := of(m); ok && !seen[m.Name] { // one that answers and embeds is in both lists
				seen[m.Name] = true
				tell(v, m.Name)
			}
		}
	}, "model")
}

func number(on bool) float64 {
	if on {
		return 1
	}
	return 0
}

var gauges = []gauge{
	newGauge("build_info", "The version of the daemon; always 1.", func(s State, tell func(float64, ...string)) { tell(1, s.Version) }, "version"),
	newGauge("node_info", "Who this node is; always 1.", func(s State, tell func(float64, ...string)) {
		tell(1, string(s.Node.ID), s.Node.Name, s.Swarm.Name)
	}, "node", "name", "swarm"),
	one("slots", "How many tasks this node runs at once, but for those of small kinds with slots of their own.", func(s State) float64 { return float64(s.Node.Slots) }),
	one("slots_busy", "How many of these slots have a task.", func(s State) float64 { return float64(s.Node.Busy) }),
	one("draining", "1 while this node takes no more work.", func(s State) float64 { return number(s.Node.State == bus.NodeDraining) }),
	one("closed", "1 while this node is its owner's alone.", func(s State) float64 { return number(s.Node.Owner != nil && s.Node.Owner.Closed) }),
	newGauge("cpu_busy_ratio", "The share of this machine's cores that is busy with anything, 0 to 1.", func(s State, tell func(float64, ...string)) {
		if s.Node.Use != nil {
			tell(s.Node.Use.CPUPercent / 100)
		}
	}),
	newGauge("gpu_busy_ratio", "How busy the busiest GPU of this machine is with anything, 0 to 1; missing where none tells.", func(s State, tell func(float64, ...string)) {
		if s.Node.Use != nil && s.Node.Use.GPUPercent >= 0 {
			tell(float64(s.Node.Use.GPUPercent) / 100)
		}
	}),
	newGauge("peers", "The other members of the swarm, by their state as this node sees it.", tellPeers, "state"),
	one("queue_host", "1 where this node holds the work queues.", func(s State) float64 { return number(s.Swarm.QueueHost != "" && s.Swarm.QueueHost == s.Node.ID) }),
	one("queue_term", "The term of the queue host that this node follows; 0 without one.", func(s State) float64 { return float64(s.Swarm.Term) }),
	newGauge("queue_tasks", "Tasks in the work queues by lane, waiting and running; told by the queue host alone.", func(s State, tell func(float64, ...string)) {
		for _, q := range s.Queue {
			tell(float64(q.Waiting), string(q.Lane), "waiting")
			tell(float64(q.Running), string(q.Lane), "running")
		}
	}, "lane", "state"),
	newGauge("open_tasks", "Tasks submitted at this node that have not ended: those that somebody waits for, and durable ones in its outbox.",
		func(s State, tell func(float64, ...string)) {
			tell(float64(s.Attached), "attached")
			tell(float64(s.Durable), "durable")
		}, "delivery"),
	newGauge("disk_used_bytes", "What this node has on disk: streams of tasks and their ends, and large content.", func(s State, tell func(float64, ...string)) {
		tell(float64(s.Streams), "streams")
		tell(float64(s.Content), "content")
	}, "kind"),
	one("disk_free_bytes", "What is free on the disk of the data directory.", func(s State) float64 { return float64(s.Free) }),
	one("disk_full", "1 while this node takes no more durable tasks, since too little of its disk is free.", func(s State) float64 { return number(s.Node.DiskFull) }),
	newGauge("engine_up", "1 where an engine answers, 0 where one was named or has answered and does not.", func(s State, tell func(float64, ...string)) {
		for _, e := range s.Engines {
			tell(number(e.Up), e.URL)
		}
	}, "url"),
	ofModels("model_loaded", "1 where a model of this node is in memory, 0 where it would have to be loaded.", func(m bus.ModelInfo) (float64, bool) { return number(m.Loaded), true }),
	ofModels("model_memory_bytes", "The size of a loaded model in memory, where the engine tells.", func(m bus.ModelInfo) (float64, bool) {
		return float64(m.LoadedBytes), m.LoadedBytes > 0
	}),
	ofModels("model_tokens_per_second", "How fast one answer of a model is written here, as measured lately.", func(m bus.ModelInfo) (float64, bool) {
		if m.Speed == nil {
			return 0, false
		}
		return m.Speed.Writing, m.Speed.Writing > 0
	}),
}

// tellPeers tells a number for each state, so that none is missing at first.
func tellPeers(s State, tell func(float64, ...string)) {
	states := []bus.NodeState{bus.NodeReady, bus.NodeDraining, bus.NodeSuspect, bus.NodeLost, bus.NodeIncompatible}
	counts := map[bus.NodeState]int{}
	for _, n := range s.Nodes {
		if n.ID != s.Node.ID {
			counts[n.State]++
		}
	}
	for _, st := range states {
		tell(float64(counts[st]), string(st))
	}
}

// Describe implements prometheus.Collector.
func (state) Describe(to chan<- *prometheus.Desc) {
	for _, g := range gauges {
		to <- g.desc
	}
}

// Collect implements prometheus.Collector.
func (look state) Collect(to chan<- prometheus.Metric) {
	s := look()
	for _, g := range gauges {
		g.tell(s, func(v float64, labels ...string) {
			to <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, v, labels...)
		})
	}
}
