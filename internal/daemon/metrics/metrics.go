// Package metrics tells Prometheus what a node does. It owns the names of the figures, what is counted since the
// start of the daemon, and the page that is scraped. What the daemon knows anyway it asks for at each scrape; who
// may scrape is the gateway's affair.
//
// A node tells its own figures, so that a sum over all nodes counts nothing twice. Labels have few values: none is
// of a client's choice.
package metrics

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/handlers"
	"github.com/mycoswarm/mycoswarm/sched"
)

const (
	namespace = "mycoswarm"
	// scrapes is how many may be answered at once.
	scrapes = 4
	// other stands for what a label does not name: the type of a task that no node has run, or a request
	// that was refused before it was looked at.
	other = "other"
)

// Metrics counts what happens on a node. Its methods may be called at the same time.
type Metrics struct {
	registry *prometheus.Registry
	page     http.Handler

	requests           *prometheus.CounterVec
	tasks, attempts    *prometheus.CounterVec
	attemptsLost       prometheus.Counter
	peersLost          prometheus.Counter
	wrote, read        *prometheus.CounterVec
	wait               *prometheus.HistogramVec
	firstToken, answer *prometheus.HistogramVec
}

var _ sched.Meter = (*Metrics)(nil)

// Times that histograms tell apart, in seconds: of tasks that wait for a slot, and of answers, which people wait
// for.
var (
	waitBuckets   = []float64{.001, .005, .025, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800}
	firstBuckets  = []float64{.025, .05, .1, .25, .5, 1, 2.5, 5, 10, 20, 40, 80, 160}
	answerBuckets = []float64{.1, .25, .5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640}
)

// New makes Metrics that have counted nothing. look is asked for what is known at each scrape.
func New(look func() State) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
		m.registry.MustRegister(c)
		return c
	}
	times := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets}, labels)
		m.registry.MustRegister(h)
		return h
	}
	m.requests = counters("http_requests_total", "Requests that the HTTP address has answered, by route and status.", "endpoint", "code")
	m.tasks = counters("tasks_total", "Tasks submitted at this node that have ended, by type and end state.", "type", "state")
	m.attempts = counters("attempts_total", "Runs of tasks on this node that are over, by what became of them: "+
		"retried ones were given back for another node, of superseded ones another run had finished first.", "type", "result")
	m.attemptsLost = counters("attempts_lost_total", "Runs that this node, as queue host, took back from workers that were gone.").WithLabelValues()
	m.peersLost = counters("peers_lost_total", "Times that this node lost another one which had not said goodbye.").WithLabelValues()
	m.wrote = counters("generated_tokens_total", "Tokens of answers that engines of this node have written.", "model")
	m.read = counters("prompt_tokens_total", "Tokens of prompts that were answered on this node, where the engine tells.", "model")
	m.wait = times("queue_wait_seconds", "Time from the submission of a task until this node began its first run.", waitBuckets, "lane")
	m.firstToken = times("time_to_first_token_seconds", "Time from the submission of an interactive inference task to the first piece of its answer, on the node that answered.",
		firstBuckets, "model")
	m.answer = times("answer_duration_seconds", "Time from the submission of an interactive inference task to the end of its answer, on the node that answered.",
		answerBuckets, "model")
	// What does not exist before it first happens is missed by who asks how often it did.
	for _, s := range []bus.TaskState{bus.StateDone, bus.StateFailed, bus.StateCancelled, bus.StateExpired, bus.StateDead} {
		m.tasks.WithLabelValues(bus.TypeInference, string(s))
	}
	for _, k := range []bus.EventKind{
		bus.EventDone, bus.EventFailed, bus.EventCancelled, bus.EventExpired, bus.EventRetried, bus.EventSuperseded, bus.EventLost,
	} {
		m.attempts.WithLabelValues(bus.TypeInference, string(k))
	}
	m.page = promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: scrapes})
	m.registry.MustRegister(state(look), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// ServeHTTP writes the page that Prometheus scrapes.
func (m *Metrics) ServeHTTP(w http.ResponseWriter, r *http.Request) { m.page.ServeHTTP(w, r) }

// Answered counts a request: its route is empty where it was refused before it was looked at.
func (m *Metrics) Answered(route string, status int) {
	m.requests.WithLabelValues(cmp.Or(route, other), strconv.Itoa(status)).Inc()
}

// TaskEnded implements sched.Meter.
func (m *Metrics) TaskEnded(typ string, s bus.TaskState, ran bool) {
	if !ran && !slices.Contains(bus.OwnTypes(), typ) {
		typ = other // whatever its submitter has called it
	}
	m.tasks.WithLabelValues(typ, string(s)).Inc()
}

// AttemptEnded implements sched.Meter.
func (m *Metrics) AttemptEnded(r sched.Ran) {
	m.attempts.WithLabelValues(r.Type, string(r.Result)).Inc()
	if r.Attempt == 1 {
		m.wait.WithLabelValues(string(r.Lane)).Observe(r.Waited.Seconds())
	}
	if r.Type != bus.TypeInference || r.Lane != bus.Interactive || r.Result != bus.EventDone {
		return
	}
	if r.First > 0 {
		m.firstToken.WithLabelValues(r.Model).Observe((r.Waited + r.First).Seconds())
	}
	m.answer.WithLabelValues(r.Model).Observe((r.Waited + r.Took).Seconds())
}

// AttemptLost implements sched.Meter.
func (m *Metrics) AttemptLost() { m.attemptsLost.Inc() }

// PeerLost implements sched.Meter.
func (m *Metrics) PeerLost() { m.peersLost.Inc() }

// tokens are the counters of one model.
type tokens struct{ wrote, read prometheus.Counter }

// Tokens returns the counters of a model of this node.
func (m *Metrics) Tokens(model string) handlers.Tokens {
	return tokens{m.wrote.WithLabelValues(model), m.read.WithLabelValues(model)}
}

// Wrote implements handlers.Tokens.
func (t tokens) Wrote(n int) { t.wrote.Add(float64(n)) }

// Read implements handlers.Tokens.
func (t tokens) Read(n int) { t.read.Add(float64(max(n, 0))) }
