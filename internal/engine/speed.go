package engine

import (
	"math"
	"sync"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// What counts as a measurement.
const (
	forget      = 1000.0 // tokens: what was measured so many ago counts a third
	writingMin  = 5      // tokens of an answer: fewer are noise
	readingMin  = 32     // tokens of a prompt
	bytesAToken = 4      // about
	enough      = 16.0   // tokens, before a figure is told
	cachedTimes = 5      // a prompt that is read so many times faster was in the engine's cache
	loadMin     = 200 * time.Millisecond
	newsOver    = 0.1 // a figure that changes by less is told as before
	speedsMost  = 256 // models that are remembered
	// Two answers that are written at one time for so long are seen to be, for so long: an engine may be started otherwise.
	togetherLeast = 500 * time.Millisecond
	togetherFor   = 7 * 24 * time.Hour
	// An engine that says nothing for so many times as long as it took before, to so many readers in a row, hangs.
	silentTimes = 3
	silentMost  = 2
)

// rate is tokens and the seconds that they took; older ones count for less.
type rate struct {
	Tokens  float64 `json:"tokens"`
	Seconds float64 `json:"seconds"`
}

// add takes in n tokens that took d.
func (r *rate) add(n int, d time.Duration) {
	if n <= 0 || d <= 0 {
		return
	}
	keep := math.Exp(-float64(n) / forget)
	r.Tokens, r.Seconds = r.Tokens*keep+float64(n), r.Seconds*keep+d.Seconds()
}

// perSecond is 0 before enough was measured.
func (r *rate) perSecond() float64 {
	if r.Tokens < enough || r.Seconds <= 0 {
		return 0
	}
	return r.Tokens / r.Seconds
}

// valid reports whether r, from a file, may be gone on with.
func (r *rate) valid() bool {
	return r.Tokens >= 0 && r.Seconds >= 0 && r.Tokens < 1e9 && r.Seconds < 1e9
}

// speed is what was measured of one model.
type speed struct {
	Digest  string        `json:"digest,omitempty"`
	Writing rate          `json:"writing"`
	Reading rate          `json:"reading"`
	Loading time.Duration `json:"loading_ns,omitempty"`
	Used    time.Time     `json:"used"`
	// Together is when it was last seen to write two answers at one time.
	Together time.Time `json:"together,omitzero"`

	told   bus.ModelSpeed
	silent int // readers in a row who left without a word, far later than it ever took
}

// sample is one request as it went.
type sample struct {
	wrote, read           int // tokens
	writing, reading, was time.Duration
	at                    time.Time
	least                 bool // reading, or loading, had not ended: it takes longer
}

// add takes in one request.
func (s *speed) add(x sample) {
	if x.least && x.read > 0 && s.Reading.perSecond() > 0 && s.Reading.perSecond() < float64(x.read)/x.reading.Seconds() {
		x.read = 0 // known already
	}
	if x.least && x.was < s.Loading {
		x.was = 0
	}
	if x.wrote >= writingMin {
		s.Writing.add(x.wrote, x.writing)
	}
	if x.read >= readingMin && x.reading > 0 {
		if now := s.Reading.perSecond(); now > 0 && float64(x.read)/x.reading.Seconds() > cachedTimes*now {
			// So often that it is no exception, it is the figure that is wrong.
			if s.Reading = (rate{s.Reading.Tokens * 0.8, s.Reading.Seconds * 0.8}); s.Reading.Tokens < enough {
				s.Reading = rate{}
			}
		} else {
			s.Reading.add(x.read, x.reading)
		}
	}
	if x.was >= loadMin {
		if s.Loading > 0 {
			x.was = s.Loading + (x.was-s.Loading)*3/10
		}
		s.Loading = x.was
	}
	s.Used = x.at
	s.told.Writing = figure(s.told.Writing, s.Writing.perSecond())
	s.told.Reading = figure(s.told.Reading, s.Reading.perSecond())
	s.told.Loading = time.Duration(figure(s.told.Loading.Seconds(), s.Loading.Seconds()) * float64(time.Second)).Round(time.Millisecond)
}

// figure is what is told of now, where old was told before: two digits, and old while the change is
// small, for what changes is sent to every node.
func figure(old, now float64) float64 {
	if now <= 0 || math.IsInf(now, 0) || math.IsNaN(now) {
		return 0
	}
	if old > 0 && math.Abs(now-old) <= newsOver*old {
		return old
	}
	unit := math.Pow(10, math.Floor(math.Log10(now))-1)
	if unit < 1 {
		return math.Round(now/unit) / math.Round(1/unit)
	}
	return math.Round(now/unit) * unit
}

// Speeds is what was measured of this node's models. Its methods may be called at the same time.
type Speeds struct {
	mu    sync.Mutex
	by    map[string]*speed // by canonical name
	dirty bool
	open  map[*flight]struct{}
}

// flight is a request under way.
type flight struct {
	model bus.ModelInfo
	first time.Time // its first token; zero before
	// behind tells that another was under way when it began: it may have waited for that.
	behind bool
}

// NewSpeeds returns Speeds that know nothing.
func NewSpeeds() *Speeds { return &Speeds{by: map[string]*speed{}, open: map[*flight]struct{}{}} }

// begin notes that a request to m is under way, until its end.
func (s *Speeds) begin(m bus.ModelInfo) *flight {
	f := &flight{model: m}
	s.mu.Lock()
	defer s.mu.Unlock()
	for o := range s.open {
		f.behind = f.behind || bus.SameModel(o.model.Name, m.Name)
	}
	s.open[f] = struct{}{}
	return f
}

// writes notes that the first token of f has come.
func (s *Speeds) writes(f *flight, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.first = at
	if one := s.by[bus.CanonicalModel(f.model.Name)]; one != nil {
		one.silent = 0
	}
}

// silent reports whether x, of a reader who left, is of an engine that said nothing for so long that it is not slow; and whether it
// hangs, as was so twice in a row. Who gives up sooner than the watchdog would find each question lost.
func (s *Speeds) silent(m bus.ModelInfo, x sample) (odd, hangs bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.by[bus.CanonicalModel(m.Name)]
	if !x.least || x.read == 0 || one == nil || one.Digest != m.Digest || one.Reading.perSecond() == 0 {
		return false, false
	}
	usual := time.Duration(float64(x.read) / one.Reading.perSecond() * float64(time.Second))
	if x.reading < leftAfter+silentTimes*usual {
		return false, false
	}
	if one.silent++; one.silent < silentMost {
		return true, false
	}
	one.silent = 0
	return true, true
}

// end notes that f is over, and when its last token came: its model has been seen to write two answers at one time where
// another has been written meanwhile.
func (s *Speeds) end(f *flight, last time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, f)
	if f.first.IsZero() {
		return
	}
	for o := range s.open {
		same := bus.SameModel(o.model.Name, f.model.Name) && o.model.Digest == f.model.Digest
		if !same || o.first.IsZero() || min(last.Sub(o.first), last.Sub(f.first)) < togetherLeast {
			continue
		}
		if one := s.by[bus.CanonicalModel(f.model.Name)]; one == nil || one.Digest == f.model.Digest { // it was not pulled anew meanwhile
			s.entry(f.model).Together = last
			s.dirty = true
		}
	}
}

// note takes in one request to m.
func (s *Speeds) note(m bus.ModelInfo, x sample) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entry(m).add(x)
	s.dirty = true
}

// entry returns what is known of m. A model of another digest starts anew. The caller holds mu.
func (s *Speeds) entry(m bus.ModelInfo) *speed {
	name := bus.CanonicalModel(m.Name)
	one := s.by[name]
	if one != nil && one.Digest == m.Digest {
		return one
	}
	for one == nil && len(s.by) >= speedsMost {
		oldest := ""
		for n, o := range s.by {
			if oldest == "" || o.Used.Before(s.by[oldest].Used) {
				oldest = n
			}
		}
		delete(s.by, oldest)
	}
	one = &speed{Digest: m.Digest}
	s.by[name] = one
	return one
}

// Of returns what was measured of m, nil for nothing yet.
func (s *Speeds) Of(m bus.ModelInfo) *bus.ModelSpeed {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.by[bus.CanonicalModel(m.Name)]
	if one == nil || one.Digest != m.Digest || one.told == (bus.ModelSpeed{}) {
		return nil
	}
	told := one.told
	return &told
}

// Fill sets the Speed of models, in place, and tells of those that were seen to write two answers at one time.
func (s *Speeds) Fill(models []bus.ModelInfo) []bus.ModelInfo {
	for i := range models {
		m := &models[i]
		m.Speed = s.Of(*m)
		m.OneAtATime = m.OneAtATime && !s.together(*m)
	}
	return models
}

// together reports whether m was seen to write two answers at one time, of late.
func (s *Speeds) together(m bus.ModelInfo) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.by[bus.CanonicalModel(m.Name)]
	return one != nil && one.Digest == m.Digest && time.Since(one.Together).Abs() < togetherFor
}
