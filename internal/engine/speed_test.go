package engine_test

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/engine"
)

// paced is a Runner whose answers and times a test sets.
type paced struct {
	engine.Continuer // of which it makes no use
	models           []bus.ModelInfo
	result           bus.InferenceResult
	first            time.Duration // to the first chunk
	every            time.Duration // between chunks
	chunks           int
	unhung           int // how often it was told to let go of its model
}

func (p *paced) Unhang(context.Context, string) { p.unhung++ }
func (p *paced) Models() []bus.ModelInfo        { return append([]bus.ModelInfo(nil), p.models...) }
func (p *paced) Embedders() []bus.ModelInfo     { return nil }
func (p *paced) Embed(context.Context, string, bus.EmbedRequest) (bus.EmbedResult, error) {
	return bus.EmbedResult{}, bus.Errorf(bus.CodeNotFound, "no embedder")
}

func (p *paced) Generate(ctx context.Context, _ string, _ bus.InferenceRequest, emit func(bus.InferenceChunk) error) (bus.InferenceResult, error) {
	for i := range p.chunks {
		pause := p.every
		if i == 0 {
			pause = p.first
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return bus.InferenceResult{}, ctx.Err()
		}
		if err := emit(bus.InferenceChunk{Text: "x"}); err != nil {
			return bus.InferenceResult{}, err
		}
	}
	return p.result, nil
}

// measure asks once and returns what is told then.
func measure(t *testing.T, m *engine.Measured) *bus.ModelSpeed {
	t.Helper()
	if _, err := m.Generate(t.Context(), "m", bus.InferenceRequest{}, func(bus.InferenceChunk) error { return nil }); err != nil {
		t.Fatal(err)
	}
	return m.Models()[0].Speed
}

// answered is a result of an engine that tells its times.
func answered(tokens int, perSecond float64) bus.InferenceResult {
	return bus.InferenceResult{
		Model: "m", OutputTokens: tokens, PromptTokens: 1000, Reading: time.Second,
		Writing: time.Duration(float64(tokens) / perSecond * float64(time.Second)),
	}
}

func TestSpeedIsMeasured(t *testing.T) {
	t.Parallel()
	p := &paced{models: []bus.ModelInfo{{Name: "m:latest", Digest: "d1", Loaded: true}}}
	m := engine.Measure(p, engine.NewSpeeds())
	if got := m.Models()[0].Speed; got != nil {
		t.Fatalf("before the first answer: %+v", got)
	}
	p.result = answered(3, 1)
	p.result.Reading, p.result.PromptTokens = time.Second, 4
	if got := measure(t, m); got != nil {
		t.Errorf("three tokens are noise, and tell %+v", got)
	}
	p.result = answered(200, 40)
	if got := measure(t, m); got == nil || got.Writing != 40 || got.Reading != 1000 || got.Loading != 0 {
		t.Fatalf("after an answer of 40 tokens/s: %+v", got)
	}
	for range 20 { // a small change is not news
		p.result = answered(200, 42)
		if got := measure(t, m); got.Writing != 40 {
			t.Fatalf("40 and 42 tokens/s are told apart: %v", got.Writing)
		}
	}
	p.result = answered(5, 400) // a short answer counts little
	if got := measure(t, m); got.Writing != 40 {
		t.Errorf("five quick tokens make it %v tokens/s", got.Writing)
	}
	for range 40 { // another program takes half of the machine
		p.result = answered(200, 20)
		measure(t, m)
	}
	if got := m.Models()[0].Speed.Writing; math.Abs(got-20) > 2 {
		t.Errorf("after 8000 tokens at 20/s: %v", got)
	}
	p.models[0].Digest = "d2"
	if got := m.Models()[0].Speed; got != nil {
		t.Errorf("another model of that name has %+v", got)
	}
	p.result = answered(200, 7)
	if got := measure(t, m); got.Writing != 7 {
		t.Errorf("the new model writes %v, want 7", got.Writing)
	}
}

// A prompt that the engine has in its cache tells nothing of how fast it reads; but a figure that was
// wrong from the start gives way.
func TestReadingFromCache(t *testing.T) {
	t.Parallel()
	p := &paced{models: []bus.ModelInfo{{Name: "m", Loaded: true}}}
	m := engine.Measure(p, engine.NewSpeeds())
	p.result = bus.InferenceResult{PromptTokens: 1000, Reading: 10 * time.Second}
	measure(t, m)
	p.result = bus.InferenceResult{PromptTokens: 1000, Reading: 10 * time.Millisecond}
	for range 5 {
		if got := measure(t, m).Reading; got != 100 {
			t.Fatalf("a cached prompt makes it %v tokens/s, want 100", got)
		}
	}
	for range 30 {
		measure(t, m)
	}
	if got := m.Models()[0].Speed.Reading; got < 50_000 {
		t.Errorf("35 quick prompts in a row leave it at %v tokens/s", got)
	}
}

func TestLoadingIsMeasured(t *testing.T) {
	t.Parallel()
	p := &paced{models: []bus.ModelInfo{{Name: "m"}}}
	m := engine.Measure(p, engine.NewSpeeds())
	p.result = answered(100, 10)
	p.result.Loading = 4 * time.Second
	if got := measure(t, m).Loading; got != 4*time.Second {
		t.Errorf("loaded in 4 s, told %v", got)
	}
	p.models[0].Loaded, p.result.Loading = true, 30*time.Millisecond
	if got := measure(t, m).Loading; got != 4*time.Second {
		t.Errorf("it was loaded already, and that makes it %v", got)
	}
}

// An engine that tells no times is measured by the clock, from its first chunk to its last.
func TestSpeedByTheClock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &paced{models: []bus.ModelInfo{{Name: "m", Loaded: true}}, first: 2 * time.Second, every: 50 * time.Millisecond, chunks: 101}
		p.result = bus.InferenceResult{PromptTokens: 400, OutputTokens: 101}
		m := engine.Measure(p, engine.NewSpeeds())
		if got := measure(t, m); got.Writing != 20 || got.Reading != 200 {
			t.Errorf("%+v, want 20 tokens/s of the answer and 200 of the prompt", got)
		}
		for range 20 { // what it had read before takes no time
			p.result = bus.InferenceResult{PromptTokens: 4000, CachedTokens: 3600, OutputTokens: 101}
			measure(t, m)
		}
		if got := measure(t, m); got.Reading != 200 {
			t.Errorf("a prompt that is cached for the most part makes it %v tokens/s, want 200", got.Reading)
		}
		p.result = bus.InferenceResult{} // nor counts: each chunk is a token
		if got := measure(t, m); got.Writing != 20 {
			t.Errorf("%+v, want 20 tokens/s", got)
		}
	})
}

// Nor is an engine believed that took a nanosecond, by its own word, for what came within five seconds.
func TestSpeedIsNotWhatCannotBe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &paced{models: []bus.ModelInfo{{Name: "m", Loaded: true}}, every: 50 * time.Millisecond, chunks: 101}
		p.result = bus.InferenceResult{OutputTokens: 101, Writing: 1}
		if got := measure(t, engine.Measure(p, engine.NewSpeeds())); got.Writing != 20 {
			t.Errorf("%+v, want 20 tokens/s", got)
		}
	})
}

func TestSpeedsSurviveRestarts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := engine.LoadSpeeds(dir)
	if err != nil {
		t.Fatal(err)
	}
	p := &paced{models: []bus.ModelInfo{{Name: "m", Digest: "d", Loaded: true}}, result: answered(200, 40)}
	want := *measure(t, engine.Measure(p, s))
	if err := s.Save(dir); err != nil {
		t.Fatal(err)
	}
	again, err := engine.LoadSpeeds(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := again.Of(p.models[0]); got == nil || *got != want {
		t.Errorf("after a restart %+v, want %+v", got, want)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("the directory holds %v, %v; want one file", files, err)
	}
	for _, bad := range []string{"", "{", `{"version":2,"models":{}}`, "[1]"} {
		if err := os.WriteFile(filepath.Join(dir, engine.SpeedsFile), []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := engine.LoadSpeeds(dir)
		if err == nil || s == nil || s.Of(p.models[0]) != nil {
			t.Errorf("a file of %q: %v, %v; want an error, and a start anew", bad, s, err)
		}
	}
}

// What is remembered is bounded, in memory and in the file.
func TestSpeedsAreBounded(t *testing.T) {
	t.Parallel()
	s := engine.NewSpeeds()
	p := &paced{models: make([]bus.ModelInfo, 1), result: answered(100, 10)}
	m := engine.Measure(p, s)
	for i := range 300 {
		for now := time.Now(); (i == 1 || i == 299) && !time.Now().After(now); { // the first is older, and the last newer
			runtime.Gosched() // until Windows' clock goes on as well
		}
		p.models[0] = bus.ModelInfo{Name: fmt.Sprintf("m%d:latest", i), Loaded: true}
		if _, err := m.Generate(t.Context(), p.models[0].Name, bus.InferenceRequest{}, func(bus.InferenceChunk) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if s.Of(bus.ModelInfo{Name: "m0:latest"}) != nil || s.Of(bus.ModelInfo{Name: "m299:latest"}) == nil {
		t.Error("of 300 models the first is remembered, or the last is not")
	}
}

// An engine that is taken to answer one question at a time, and is seen to write two answers at once, is told of
// as one that does not, for a week. One answer after the other, or at the same time by another model, says nothing.
func TestAnswersAtOneTimeAreSeen(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		models []string
		apart  time.Duration // between the first tokens of the two
		alone  bool
	}{
		"at one time":                     {[]string{"m", "m:latest"}, 2 * time.Second, false},
		"one after the other":             {[]string{"m", "m"}, 5*time.Second + time.Millisecond, true},
		"the end of one, as it is heard":  {[]string{"m", "m"}, 4800 * time.Millisecond, true},
		"two models":                      {[]string{"m", "n"}, 2 * time.Second, true},
		"three, the first and the second": {[]string{"m", "m", "n"}, 2 * time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := &paced{every: 50 * time.Millisecond, chunks: 101, result: bus.InferenceResult{OutputTokens: 101}}
				p.models = []bus.ModelInfo{{Name: "m", Digest: "d", OneAtATime: true}, {Name: "n", Digest: "d", OneAtATime: true}}
				speeds := engine.NewSpeeds()
				m := engine.Measure(p, speeds)
				var all sync.WaitGroup
				for _, model := range tt.models {
					all.Go(func() {
						if _, err := m.Generate(t.Context(), model, bus.InferenceRequest{}, func(bus.InferenceChunk) error { return nil }); err != nil {
							t.Error(err)
						}
					})
					time.Sleep(tt.apart)
				}
				all.Wait()
				dir := t.TempDir()
				if err := speeds.Save(dir); err != nil {
					t.Fatal(err)
				}
				again, err := engine.LoadSpeeds(dir)
				if err != nil {
					t.Fatal(err)
				}
				for when, m := range map[string]*engine.Measured{"now": m, "after a restart": engine.Measure(p, again)} {
					if got := m.Models(); got[0].OneAtATime != tt.alone || !got[1].OneAtATime {
						t.Errorf("%s: told of as %+v", when, got)
					}
				}
				time.Sleep(8 * 24 * time.Hour)
				if got := m.Models(); !got[0].OneAtATime {
					t.Error("a week later it is still told of so")
				}
			})
		})
	}
}

// Who does not wait for the end, or for the beginning, leaves behind how slow the model is at least: else it would be tried again
// by each that comes.
func TestAnswersThatAreLeftAreMeasured(t *testing.T) {
	t.Parallel()
	long := bus.InferenceRequest{Prompt: strings.Repeat("word ", 1600)} // 2,000 tokens
	for name, tt := range map[string]struct {
		runner paced
		loaded bool
		leave  time.Duration
		want   bus.ModelSpeed
	}{
		"in the middle":                {paced{every: 2 * time.Second, chunks: 1000}, true, 50 * time.Second, bus.ModelSpeed{Writing: 0.5}},
		"before the first token":       {paced{first: time.Hour, chunks: 1}, true, 100 * time.Second, bus.ModelSpeed{Reading: 20}},
		"while it is loaded":           {paced{first: time.Hour, chunks: 1}, false, 90 * time.Second, bus.ModelSpeed{Loading: 90 * time.Second}},
		"too soon to tell":             {paced{first: time.Hour, chunks: 1}, true, 9 * time.Second, bus.ModelSpeed{}},
		"after a token or two":         {paced{every: time.Second, chunks: 1000}, true, 3500 * time.Millisecond, bus.ModelSpeed{}},
		"in the middle of a quick one": {paced{every: 20 * time.Millisecond, chunks: 1000}, true, 10*time.Second + time.Millisecond, bus.ModelSpeed{Writing: 50}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := tt.runner
				p.models = []bus.ModelInfo{{Name: "m", Loaded: tt.loaded}}
				m := engine.Measure(&p, engine.NewSpeeds())
				ctx, cancel := context.WithTimeout(t.Context(), tt.leave)
				defer cancel()
				_, err := m.Generate(ctx, "m", long, func(bus.InferenceChunk) error { return nil })
				if err == nil {
					t.Fatal("it was not left")
				}
				got := m.Models()[0].Speed
				if got == nil {
					got = &bus.ModelSpeed{}
				}
				if *got != tt.want {
					t.Errorf("told of as %+v, want %+v", *got, tt.want)
				}
				again, cancel := context.WithTimeout(t.Context(), tt.leave/2) // which is no news
				defer cancel()
				if _, err := m.Generate(again, "m", long, func(bus.InferenceChunk) error { return nil }); err == nil {
					t.Fatal("it was not left")
				}
				if now := m.Models()[0].Speed; now != nil && *now != *got {
					t.Errorf("then as %+v, want %+v still", *now, *got)
				}
			})
		})
	}
}

// An engine that says nothing any more is told to let go of its model, although all who ask give up sooner than the watchdog; one that
// takes its time is not, and what was measured before stays.
func TestEngineThatFallsSilentIsUnhung(t *testing.T) {
	t.Parallel()
	long := bus.InferenceRequest{Prompt: strings.Repeat("word ", 1600)} // 2,000 tokens, which take 20 s
	for name, tt := range map[string]struct {
		first  time.Duration
		leaves []time.Duration // one reader after the other
		want   int
	}{
		"it hangs":                     {time.Hour, []time.Duration{80 * time.Second, 80 * time.Second}, 1},
		"one has left, and none since": {time.Hour, []time.Duration{80 * time.Second}, 0},
		"they leave as it reads":       {time.Hour, []time.Duration{60 * time.Second, 60 * time.Second, 60 * time.Second}, 0},
		"it answers between":           {75 * time.Second, []time.Duration{74 * time.Second, 80 * time.Second, 74 * time.Second}, 0},
		"it hangs on":                  {time.Hour, []time.Duration{80 * time.Second, 80 * time.Second, 80 * time.Second, 80 * time.Second}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := &paced{models: []bus.ModelInfo{{Name: "m", Loaded: true}}, chunks: 2}
				p.result = bus.InferenceResult{PromptTokens: 2000, Reading: 20 * time.Second, OutputTokens: 100, Writing: 10 * time.Second}
				m := engine.Measure(p, engine.NewSpeeds())
				before := *measure(t, m)
				p.first = tt.first
				for _, after := range tt.leaves {
					ctx, cancel := context.WithTimeout(t.Context(), after)
					if _, err := m.Generate(ctx, "m", long, func(bus.InferenceChunk) error { return nil }); err != nil && ctx.Err() == nil {
						t.Error(err)
					}
					cancel()
				}
				if now := *m.Models()[0].Speed; p.unhung != tt.want || tt.want > 0 && now != before {
					t.Errorf("it was told so %d times, want %d; measured %+v before, and %+v now", p.unhung, tt.want, before, now)
				}
			})
		})
	}
}

// What a watchdog stopped, or waited for another answer before it, says nothing of how slow the model is.
func TestWhatTellsNothingIsNotMeasured(t *testing.T) {
	t.Parallel()
	for what, second := range map[string]bool{"stopped by its watchdog": false, "behind another": true} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := &paced{models: []bus.ModelInfo{{Name: "m", Loaded: true}}, first: time.Hour, chunks: 1}
				m := engine.Measure(p, engine.NewSpeeds())
				ask := func(ctx context.Context) {
					if _, err := m.Generate(ctx, "m", bus.InferenceRequest{Prompt: "x"}, func(bus.InferenceChunk) error { return nil }); err == nil {
						t.Error("it was not left")
					}
				}
				cause := error(bus.ErrStalled)
				before, end := context.WithCancel(t.Context())
				var all sync.WaitGroup
				if second {
					cause = context.Canceled
					all.Go(func() { ask(before) })
					synctest.Wait()
				}
				ctx, stop := context.WithCancelCause(t.Context())
				time.AfterFunc(2*time.Minute, func() { stop(cause) })
				ask(ctx)
				if got := m.Models()[0].Speed; got != nil {
					t.Errorf("told of as %+v", *got)
				}
				end()
				all.Wait()
			})
		})
	}
}
