package sched

import (
	"cmp"
	"math"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Guesses of how fast a model is where nobody has measured it: on a middling machine, with four cores and no GPU.
const (
	guessReading = 100.0 // tokens/s of a prompt, and
	guessWriting = 10.0  // of an answer, where the model's size is not known
	// guessBandwidth is in bytes/s: to write a token a machine reads the model once. It is that of two channels of
	// DDR4-3200, https://en.wikipedia.org/wiki/DDR4_SDRAM.
	guessBandwidth = 51.2e9
	guessSlowest   = 1.0 // tokens/s by size
	guessFastest   = 50.0
	guessGPU       = 5.0 // times faster than its cores is a GPU that the model fits into
	guessCores     = 4   // what a middling machine has
	guessCoresMost = 3.0 // times faster by more cores, or slower by fewer
	guessHope      = 1.1 // times faster than its like where it was never asked: it is tried where that costs nothing
	guessLoading   = 3 * time.Second
	guessDisk      = 500 << 20 // bytes/s that a model is loaded with
	leastLoading   = time.Second
	mostLoading    = time.Minute
	slowest        = 0.01 // tokens/s that are believed
	fastest        = 1e6
)

// Pace is what nodes have measured of a model, by the kind of their machines: a GPU reads a prompt so much faster that it
// tells nothing of a processor.
type Pace struct{ GPU, Cores Measured }

// Measured is the mean of what was measured, in tokens/s as of a middling machine; zero where nothing was.
type Measured struct {
	Reading, Writing float64
	Loading          time.Duration
}

// PaceOf returns what is known of the model of key. Machines that tell neither GPU nor cores may be any.
func PaceOf(key bus.Key, seats []Seat) Pace {
	if key.Model == "" {
		return Pace{}
	}
	var gpu, cores means
	for i := range seats {
		s := &seats[i]
		if s.Class != key.Class || s.Info == nil {
			continue
		}
		m := modelFor(&key, s.Info)
		if m == nil || m.Speed == nil {
			continue
		}
		if fitsGPU(m, s.Info) {
			gpu.add(m.Speed, 1)
		} else if s.Info.Cores > 0 {
			cores.add(m.Speed, byCores(s.Info.Cores))
		}
	}
	return Pace{gpu.of(), cores.of()}
}

// means are those of each figure of a Measured.
type means struct{ reading, writing, loading mean }

func (m *means) add(s *bus.ModelSpeed, faster float64) {
	m.reading.add(likely(s.Reading) / faster)
	m.writing.add(likely(s.Writing) / faster)
	m.loading.add(min(s.Loading, mostTerm).Seconds())
}

func (m *means) of() Measured {
	return Measured{m.reading.of(), m.writing.of(), time.Duration(m.loading.of() * float64(time.Second))}
}

// mean is that of what was measured: 0 was not.
type mean struct{ sum, n float64 }

func (m *mean) add(v float64) {
	if v > 0 {
		m.sum, m.n = m.sum+v, m.n+1
	}
}

func (m *mean) of() float64 { return m.sum / max(m.n, 1) }

// likely is a figure of tokens/s as another node tells it, within what can be; 0 where it tells none.
func likely(perSecond float64) float64 {
	if !(perSecond > 0) {
		return 0
	}
	return min(max(perSecond, slowest), fastest)
}

// kind is what was measured on machines of a node's kind.
func (p Pace) kind(m *bus.ModelInfo, info *bus.NodeInfo) Measured {
	switch {
	case fitsGPU(m, info):
		return p.GPU
	case info.Cores > 0:
		return p.Cores
	}
	return Measured{}
}

// loading is how long m takes to load on a node: as measured, there or on others of its kind, else by its size.
func (p Pace) loading(m *bus.ModelInfo, info *bus.NodeInfo) time.Duration {
	if m.Speed != nil && m.Speed.Loading > 0 {
		return min(m.Speed.Loading, mostTerm)
	}
	if d := p.kind(m, info).Loading; d > 0 {
		return d
	}
	if m.SizeBytes > 0 {
		seconds := min(float64(m.SizeBytes)/guessDisk, mostLoading.Seconds())
		return max(time.Duration(seconds*float64(time.Second)), leastLoading)
	}
	return guessLoading
}

// How a pace is known.
const (
	asMeasured = "as measured"
	asOthers   = "as guessed by what others measured"
	asGuessed  = "as guessed"
)

// of returns how fast m reads and writes on a node, and how the latter is known. What that has not measured is guessed by
// what others of its kind have, else by the model's size, and by the machine.
func (p Pace) of(m *bus.ModelInfo, info *bus.NodeInfo) (reading, writing float64, how string) {
	if s := m.Speed; s != nil {
		reading, writing = likely(s.Reading), likely(s.Writing)
	}
	alike, faster := p.kind(m, info), byCores(info.Cores)
	bySize := faster * guessWriting
	if m.SizeBytes > 0 {
		bySize = faster * min(max(guessBandwidth/float64(m.SizeBytes), guessSlowest), guessFastest)
	}
	if fitsGPU(m, info) {
		faster, bySize = 1, guessGPU*bySize
	}
	if writing > 0 {
		how = asMeasured
	} else if how = asGuessed; alike.Writing > 0 {
		how = asOthers
	}
	reading = cmp.Or(reading, guessHope*faster*alike.Reading, bySize*guessReading/guessWriting)
	writing = cmp.Or(writing, guessHope*faster*alike.Writing, bySize)
	return reading, writing, how
}

// fitsGPU reports whether a node has a GPU that m fits into, as far as it tells.
func fitsGPU(m *bus.ModelInfo, info *bus.NodeInfo) bool {
	return info.GPUTier != "" && info.GPUTier != "none" && (info.VRAM == 0 || m.SizeBytes <= info.VRAM)
}

// byCores is how many times faster than a middling machine one with so many cores is taken to be; 0 are not told. Twice the
// cores come with less than twice the memory's speed, as a rule.
func byCores(n int) float64 {
	if n <= 0 {
		return 1
	}
	return min(max(math.Sqrt(float64(n)/guessCores), 1/guessCoresMost), guessCoresMost)
}
