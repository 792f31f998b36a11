package gateway

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/gateway/overview"
)

const (
	// lookEvery is how often the dashboard is told what the swarm does, and idleEvery how often the speed of
	// nodes is noted while nobody looks.
	lookEvery = time.Second
	idleEvery = 5 * time.Second
	// keepPast is how long speeds are remembered.
	keepPast = 10 * time.Minute
	// probeEvery is how often round trips are measured while somebody looks.
	probeEvery = 10 * time.Second
	// Each list of tasks is followed by a pause of listPause, and listPauseEach for each task: it is a question
	// to all nodes.
	listPause     = 2 * time.Second
	listPauseEach = 2 * time.Millisecond
	listPauseMost = 30 * time.Second
	// maxViewers is how many pages are told at once.
	maxViewers = 64
)

// feed is what all pages of the dashboard are told. It looks at the swarm only while there are any; beyond
// that it notes how fast nodes write.
type feed struct {
	now  func() time.Time
	kick chan struct{} // somebody wants to be told now

	mu      sync.Mutex
	viewers map[chan []byte]bool
	past    []sample
	last    []byte // what was told last
	lastAt  time.Time
	gather  *overview.Gather
	// tasks are those of the last list, which is nil before the first; round trips likewise.
	tasks               []bus.TaskInfo
	trips               map[bus.NodeID]float64 // in milliseconds
	listing, probing    bool
	listNext, probeNext time.Time
}

// sample is how fast nodes wrote at a moment, in tokens/s.
type sample struct {
	at    time.Time
	speed map[bus.NodeID]float64
}

func newFeed(now func() time.Time) *feed {
	return &feed{now: now, kick: make(chan struct{}, 1), viewers: map[chan []byte]bool{}}
}

// Run keeps the dashboard's news until ctx ends. Without it nobody is told any.
func (g *Gateway) Run(ctx context.Context) error {
	f := g.feed
	var asking sync.WaitGroup
	defer asking.Wait()
	next := time.NewTimer(0)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-f.kick:
		case <-next.C:
		}
		every := idleEvery
		if f.watched() {
			every = lookEvery
			f.ask(ctx, g.cfg.Swarm, &asking)
			g.tellPages(ctx)
		}
		f.note(g.cfg.Swarm.Nodes())
		next.Reset(every)
	}
}

// wake has Run look now.
func (f *feed) wake() {
	select {
	case f.kick <- struct{}{}:
	default:
	}
}

// watched reports whether anybody looks. Where nobody does, it forgets what would be old when somebody comes.
func (f *feed) watched() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.viewers) > 0 {
		return true
	}
	f.gather, f.tasks, f.trips, f.last = nil, nil, nil, nil
	f.listNext, f.probeNext = time.Time{}, time.Time{}
	return false
}

// note remembers how fast nodes write.
func (f *feed) note(nodes []bus.NodeInfo) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := sample{at: f.now(), speed: map[bus.NodeID]float64{}}
	if n := len(f.past); n > 0 && s.at.Sub(f.past[n-1].at) < lookEvery/2 {
		return
	}
	for _, n := range nodes {
		if n.Use != nil && n.State.Live() {
			s.speed[n.ID] = n.Use.TokensPerSecond
		}
	}
	for len(f.past) > 0 && s.at.Sub(f.past[0].at) > keepPast {
		f.past = f.past[1:]
	}
	f.past = append(f.past, s)
}

// ask begins to ask all nodes what is due.
func (f *feed) ask(ctx context.Context, s Swarm, asking *sync.WaitGroup) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	if !f.listing && !now.Before(f.listNext) {
		f.listing = true
		asking.Go(func() { f.list(ctx, s) })
	}
	if !f.probing && !now.Before(f.probeNext) {
		f.probing = true
		asking.Go(func() { f.probe(ctx, s) })
	}
}

func (f *feed) list(ctx context.Context, s Swarm) {
	tasks, err := s.Tasks(ctx)
	f.mu.Lock()
	first := f.tasks == nil
	f.listing = false
	f.listNext = f.now().Add(min(listPause+time.Duration(len(tasks))*listPauseEach, listPauseMost))
	if err == nil { // else what was told before is still shown
		f.tasks = append([]bus.TaskInfo{}, tasks...)
	}
	f.mu.Unlock()
	if first {
		f.wake()
	}
}

func (f *feed) probe(ctx context.Context, s Swarm) {
	trips := map[bus.NodeID]float64{}
	for _, p := range s.Probe(ctx) {
		if p.Error == "" {
			trips[p.NodeID] = p.RTTMS
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.probing = false
	f.trips, f.probeNext = trips, f.now().Add(probeEvery)
}

// atOnce is a Swarm to an overview: its tasks are those of the last list.
type atOnce struct {
	Swarm
	tasks []bus.TaskInfo
}

// Status implements overview.Source.
func (l atOnce) Status(context.Context) (bus.Status, error) { return l.Swarm.Status(), nil }

// Tasks implements overview.Source.
func (l atOnce) Tasks(context.Context) ([]bus.TaskInfo, error) { return l.tasks, nil }

// tellPages looks at the swarm, and tells all pages.
func (g *Gateway) tellPages(ctx context.Context) {
	f := g.feed
	f.mu.Lock()
	if f.gather == nil {
		f.gather = overview.New(f.now)
	}
	gather, tasks, trips, now := f.gather, f.tasks, f.trips, f.now()
	f.mu.Unlock()
	beats := g.cfg.Swarm.Beats()
	for _, b := range beats {
		gather.Hear(b)
	}
	v, err := gather.Look(ctx, atOnce{g.cfg.Swarm, tasks})
	if err != nil {
		g.cfg.Logger.Debug("look at the swarm", "err", err)
		return
	}
	data, err := json.Marshal(scene{view: v, beats: beats, tasks: tasks, trips: trips, self: g.cfg.Swarm.Identity(), now: now}.show())
	if err != nil {
		g.cfg.Logger.Warn("encode what the swarm does", "err", err)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last, f.lastAt = data, now
	for v := range f.viewers {
		select {
		case <-v: // it has not read the one before
		default:
		}
		v <- data
	}
}

// join adds a page. What it is to be told comes over news, the latest alone.
func (f *feed) join() (news <-chan []byte, leave func(), err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.viewers) >= maxViewers {
		return nil, nil, bus.Errorf(bus.CodeBusy, "%d pages look at this node already", maxViewers).WithHint("close some of them")
	}
	v := make(chan []byte, 1)
	if f.viewers[v] = true; f.last != nil && f.now().Sub(f.lastAt) < lookEvery {
		v <- f.last
	} else {
		f.wake()
	}
	return v, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.viewers, v)
	}, nil
}

// history is what pages begin with: at each moment, in Unix milliseconds, how fast each node wrote; nil
// where it was not heard.
type history struct {
	At    []int64                   `json:"at"`
	Nodes map[bus.NodeID][]*float64 `json:"nodes"`
}

func (f *feed) history() history {
	f.mu.Lock()
	defer f.mu.Unlock()
	h := history{At: make([]int64, len(f.past)), Nodes: map[bus.NodeID][]*float64{}}
	for i, s := range f.past {
		h.At[i] = s.at.UnixMilli()
		for id, v := range s.speed {
			if h.Nodes[id] == nil {
				h.Nodes[id] = make([]*float64, len(f.past))
			}
			h.Nodes[id][i] = &v
		}
	}
	return h
}

// retryEvents has a browser that lost its connection wait for a second before it tries again.
const retryEvents = "retry: 1000\n\n"

// dashboardEvents tells a page what the swarm does, each second: first an event "past", a history, and then
// events "swarm", each a shown. With ?once=1 it ends after the first.
func (g *Gateway) dashboardEvents(w http.ResponseWriter, r *http.Request) {
	once, err := flag(r, "once")
	if err != nil {
		g.failNative(w, r, err)
		return
	}
	out := newEvents(w, "")
	defer out.end()
	if r.Method == http.MethodHead {
		out.begin("", false)
		return
	}
	news, leave, err := g.feed.join()
	if err != nil {
		g.failNative(w, r, err)
		return
	}
	defer leave()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-g.life.Done():
			return
		case data := <-news:
			if !out.begun {
				out.begin("", false)
				if err = out.write(retryEvents); err == nil {
					err = out.numbered("", "past", g.feed.history())
				}
			}
			if err == nil {
				err = out.numbered("", "swarm", json.RawMessage(data))
			}
			if err != nil || once {
				return // the client left, or has what it wants
			}
		}
	}
}
