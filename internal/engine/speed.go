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
	enough      = 16.0   // tokens, before a figure is told
	cachedTimes = 5      // a prompt that is read so many times faster was in the engine's cache
	loadMin     = 200 * time.Millisecond
	newsOver    = 0.1 // a figure that changes by less is told as before
	speedsMost  = 256 // models that are remembered
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

	told bus.ModelSpeed
}

// sample is one request as it went.
type sample struct {
	wrote, read           int // tokens
	writing, reading, was time.Duration
	at                    time.Time
}

// add takes in one request.
func (s *speed) add(x sample) {
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
}

// NewSpeeds returns Speeds that know nothing.
func NewSpeeds() *Speeds { return &Speeds{by: map[string]*speed{}} }

// note takes in one request to m. A model of another digest starts anew.
func (s *Speeds) note(m bus.ModelInfo, x sample) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := bus.CanonicalModel(m.Name)
	one := s.by[name]
	if one == nil || one.Digest != m.Digest {
		one = &speed{Digest: m.Digest}
		s.by[name] = one
	}
	one.add(x)
	for len(s.by) > speedsMost {
		oldest := ""
		for n, o := range s.by {
			if oldest == "" || o.Used.Before(s.by[oldest].Used) {
				oldest = n
			}
		}
		delete(s.by, oldest)
	}
	s.dirty = true
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

// Fill sets the Speed of models, in place.
func (s *Speeds) Fill(models []bus.ModelInfo) []bus.ModelInfo {
	for i := range models {
		models[i].Speed = s.Of(models[i])
	}
	return models
}
