package engine

import (
	"context"
	"errors"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Runner is what Measured looks at: a Watcher, as a rule.
type Runner interface {
	Models() []bus.ModelInfo
	Embedders() []bus.ModelInfo
	Generate(ctx context.Context, model string, req bus.InferenceRequest, emit func(bus.InferenceChunk) error) (bus.InferenceResult, error)
	Embed(ctx context.Context, model string, req bus.EmbedRequest) (bus.EmbedResult, error)
	Continuer // Measured does not measure what others have begun
	// Unhang has the engine of a model let go of it: it is taken to hang.
	Unhang(ctx context.Context, model string)
}

// Measured is a Runner that measures how fast its models are, by what each request got: with two at
// once, each is slower.
type Measured struct {
	Runner

	speeds *Speeds
}

// Measure returns r with its requests measured into s.
func Measure(r Runner, s *Speeds) *Measured { return &Measured{r, s} }

// Models implements Runner, with speeds.
func (m *Measured) Models() []bus.ModelInfo { return m.speeds.Fill(m.Runner.Models()) }

// Embedders implements Runner, with speeds.
func (m *Measured) Embedders() []bus.ModelInfo { return m.speeds.Fill(m.Runner.Embedders()) }

// Generate implements Runner. An answer that its reader has left is measured as far as it came.
func (m *Measured) Generate(ctx context.Context, model string, req bus.InferenceRequest, emit func(bus.InferenceChunk) error) (bus.InferenceResult, error) {
	info, known := modelNamed(m.Runner.Models(), model)
	if !known {
		return m.Runner.Generate(ctx, model, req, emit)
	}
	load, prompt := req.Load, promptTokens(&req) // the rest of req, which may be large, is not kept during the answer
	begin := time.Now()
	var first, last time.Time
	chunks := 0
	flight := m.speeds.begin(info)
	defer func() { m.speeds.end(flight, last) }()
	res, err := m.Runner.Generate(ctx, model, req, func(c bus.InferenceChunk) error {
		if !c.Empty() {
			last = time.Now()
			if chunks == 0 {
				first = last
				m.speeds.writes(flight, first)
			}
			chunks += 1 + len(c.Cuts)
		}
		return emit(c)
	})
	switch {
	case err == nil && (!load || res.Loading > 0):
		m.speeds.note(info, sampleOf(info, res, chunks, begin, first, last))
	case err != nil && ctx.Err() != nil && !flight.behind && !errors.Is(context.Cause(ctx), bus.ErrStalled):
		x := sampleOfLeft(info, prompt, chunks, begin, first, last)
		odd, hangs := m.speeds.silent(info, x)
		if hangs {
			m.Unhang(ctx, model)
		}
		if !odd {
			m.speeds.note(info, x)
		}
	}
	return res, err
}

// promptTokens is about how many tokens the prompt of req has.
func promptTokens(req *bus.InferenceRequest) int {
	n := len(req.System) + len(req.Prompt)
	for i := range req.Messages {
		n += len(req.Messages[i].Content)
	}
	return n / bytesAToken
}

// leftAfter is how long a reader has waited for the first token before the engine counts as slow: a model that takes minutes
// would be tried again and again by those who do not wait so long.
const leftAfter = 10 * time.Second

// sampleOfLeft is of an answer whose reader has left. Where nothing of it had come, loading or reading took at least that long.
func sampleOfLeft(m bus.ModelInfo, prompt, chunks int, begin, first, last time.Time) sample {
	x := sample{at: time.Now()}
	waited := x.at.Sub(begin)
	switch {
	case chunks > 0:
		x.wrote, x.writing = chunks-1, last.Sub(first)
	case waited < leftAfter:
	case m.Loaded:
		x.read, x.reading, x.least = max(prompt, readingMin), waited, true
	default:
		x.was, x.least = waited, true
	}
	return x
}

// farOff is how much less time an engine may say that it took than the clock saw before its word is not taken.
const farOff = 10

// sampleOf takes the engine's word where it tells its times, and else the clock's. What it had read before took no time.
func sampleOf(m bus.ModelInfo, r bus.InferenceResult, chunks int, begin, first, last time.Time) sample {
	x := sample{wrote: r.OutputTokens, read: max(0, r.PromptTokens-r.CachedTokens), writing: r.Writing, reading: r.Reading, at: time.Now()}
	clock := last.Sub(first)
	if r.Writing == 0 || r.Writing < clock/farOff { // the first token was there when the clock began
		if x.wrote == 0 {
			x.wrote = chunks
		}
		x.wrote, x.writing = x.wrote-1, clock
	}
	if r.Reading == 0 && r.Writing == 0 && m.Loaded && chunks > 0 {
		x.reading = first.Sub(begin)
	}
	if !m.Loaded || r.Loading >= time.Second { // or it was unloaded since the last look
		x.was = r.Loading
	}
	return x
}

// Embed implements Runner.
func (m *Measured) Embed(ctx context.Context, model string, req bus.EmbedRequest) (bus.EmbedResult, error) {
	info, known := modelNamed(m.Runner.Embedders(), model)
	res, err := m.Runner.Embed(ctx, model, req)
	if err == nil && known {
		x := sample{read: res.PromptTokens, reading: res.Duration - res.Loading, at: time.Now()}
		if !info.Loaded {
			x.was = res.Loading
		}
		m.speeds.note(info, x)
	}
	return res, err
}

func modelNamed(models []bus.ModelInfo, name string) (bus.ModelInfo, bool) {
	for _, m := range models {
		if bus.SameModel(m.Name, name) {
			return m, true
		}
	}
	return bus.ModelInfo{}, false
}
