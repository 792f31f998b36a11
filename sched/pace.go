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
	guessGPU       = 5.0 // times faster with a GPU that the model fits into
	guessCores     = 4   // what a middling machine has
	guessCoresMost = 3.0 // times faster by more cores, or slower by fewer
	guessHope      = 1.1 // times faster than its like where it was never asked: it is tried where that costs nothing
	guessLoading   = 3 * time.Second
	guessDisk      = 500 << 20 // bytes/s that a model is loaded with
	leastLoading   = time.Second
	mostLoading    = time.Minute
)

// Pace is how fast a model is on a middling machine, in tokens/s, and how long it takes to load, by what nodes have measured;
// zero where none has.
type Pace struct {
	Reading, Writing float64
	Loading          time.Duration
}

// PaceOf returns what is known of the model of key: what was measured at each of seats, less what its machine is faster
// than a middling one, in the mean.
func PaceOf(key bus.Key, seats []Seat) Pace {
	if key.Model == "" {
		return Pace{}
	}
	var reading, writing, loading mean
	for i := range seats {
		s := &seats[i]
		if s.Class != key.Class || s.Info == nil {
			continue
		}
		if m := modelFor(&key, s.Info); m != nil && m.Speed != nil {
			faster := fasterBy(m, s.Info)
			reading.add(m.Speed.Reading / faster)
			writing.add(m.Speed.Writing / faster)
			loading.add(m.Speed.Loading.Seconds())
		}
	}
	return Pace{reading.of(), writing.of(), time.Duration(loading.of() * float64(time.Second))}
}

// mean is that of what was measured: 0 was not.
type mean struct{ sum, n float64 }

func (m *mean) add(v float64) {
	if v > 0 {
		m.sum, m.n = m.sum+v, m.n+1
	}
}

func (m *mean) of() float64 { return m.sum / max(m.n, 1) }

// loading is how long m takes to load: as measured, here or elsewhere, else by its size.
func (p Pace) loading(m *bus.ModelInfo) time.Duration {
	switch {
	case m.Speed != nil && m.Speed.Loading > 0:
		return min(m.Speed.Loading, mostTerm)
	case p.Loading > 0:
		return min(p.Loading, mostTerm)
	case m.SizeBytes > 0:
		return min(max(time.Duration(float64(m.SizeBytes)/guessDisk*float64(time.Second)), leastLoading), mostLoading)
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
// what others have, else by the model's size, and by the machine.
func (p Pace) of(m *bus.ModelInfo, info *bus.NodeInfo) (reading, writing float64, how string) {
	if s := m.Speed; s != nil {
		reading, writing = max(s.Reading, 0), max(s.Writing, 0)
	}
	if writing > 0 {
		how = asMeasured
	} else if how = asGuessed; p.Writing > 0 {
		how = asOthers
	}
	if reading > 0 && writing > 0 {
		return reading, writing, how
	}
	faster, bySize := fasterBy(m, info), guessWriting
	if m.SizeBytes > 0 {
		bySize = min(max(guessBandwidth/float64(m.SizeBytes), guessSlowest), guessFastest)
	}
	reading = cmp.Or(reading, cmp.Or(guessHope*p.Reading, guessReading*bySize/guessWriting)*faster)
	writing = cmp.Or(writing, cmp.Or(guessHope*p.Writing, bySize)*faster)
	return reading, writing, how
}

// fasterBy is how many times faster than on a middling machine m is taken to be on a node.
func fasterBy(m *bus.ModelInfo, info *bus.NodeInfo) float64 {
	if gpu := info.GPUTier != "" && info.GPUTier != "none"; gpu && (info.VRAM == 0 || m.SizeBytes <= info.VRAM) {
		return guessGPU
	}
	if info.Cores <= 0 { // it does not tell
		return 1
	}
	// Twice the cores come with less than twice the memory's speed, as a rule.
	return min(max(math.Sqrt(float64(info.Cores)/guessCores), 1/guessCoresMost), guessCoresMost)
}
