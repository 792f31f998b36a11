//go:build e2e && linux

package e2e_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// What myco bench tells of two machines of unequal speed and of both together, against what their engines did.
func TestBenchAgainstTheEngines(t *testing.T) {
	var ledger engine.Ledger
	s := harness.New(t, programs)
	word := map[string]time.Duration{"fast": 20 * time.Millisecond, "slow": 80 * time.Millisecond}
	start := func(name string) []string {
		eng, err := engine.Start(t.Context(), s.EngineAddr(), engine.Config{
			Name: name, Ledger: &ledger,
			Script: func(r engine.Request) engine.Script {
				return engine.Script{Words: strings.SplitAfter(strings.Repeat("word ", 30), " ")[:30], Before: word[r.Engine], Between: word[r.Engine]}
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = eng.Stop() })
		return []string{"--engine", eng.URL(), "--slots", "2"}
	}
	fast := s.Found(t, "fast", start("fast")...)
	slow := s.Join(t, fast, "slow", start("slow")...)
	harness.Settle(t, fast, slow)
	awaitModel(t, slow, "fast", engine.Model, true)
	awaitModel(t, slow, "slow", engine.Model, true)

	var got struct {
		Model string
		Rows  []struct {
			Name            string
			Parallel        int
			TTFTMS          float64        `json:"ttft_ms"`
			TokensPerSecond float64        `json:"tokens_per_second"`
			By              map[string]int `json:"tokens_by_node"`
			Error           string
		}
	}
	const lasts = 1
	if r := slow.JSON(t, &got, "bench", "--for", "1s"); r.Code != 0 {
		t.Fatalf("exit code %d: %s", r.Code, r.Stderr)
	}
	most := map[string]float64{}
	for name, w := range word {
		most[name] = 1 / w.Seconds() // of one answer
	}
	told := 0.0
	for i, want := range []struct {
		name     string
		parallel int
		most     float64
	}{{"fast", 1, most["fast"]}, {"slow", 1, most["slow"]}, {"fast", 4, 2 * most["fast"]}, {"slow", 4, 2 * most["slow"]}, {"swarm", 4, 2*most["fast"] + 2*most["slow"]}} {
		if i >= len(got.Rows) {
			t.Fatalf("%d rows: %+v", len(got.Rows), got.Rows)
		}
		r := got.Rows[i]
		if r.Name != want.name || r.Parallel != want.parallel || r.Error != "" || r.TTFTMS < 20 || r.TokensPerSecond <= 0 || r.TokensPerSecond > 1.1*want.most {
			t.Errorf("row %+v: want %s, %d at a time, at most %.1f tokens/s", r, want.name, want.parallel, want.most)
		}
		told += lasts * r.TokensPerSecond
	}
	if swarm := got.Rows[4]; swarm.By["fast"] == 0 || swarm.By["slow"] == 0 {
		t.Errorf("the swarm's tokens are of %v, want of both", swarm.By)
	}
	// What was cut off when a row's time was over is left by then, or soon.
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	runs, err := ledger.Wait(ctx, func(runs []engine.Run) bool {
		return !slices.ContainsFunc(runs, func(r engine.Run) bool { return r.Outcome == engine.Running })
	})
	if err != nil {
		t.Errorf("answers are under way still: %v", err)
	}
	made := 0
	for _, run := range runs {
		made += run.Words
	}
	if told > 1.01*float64(made) {
		t.Errorf("told of %.0f tokens, and the engines made %d", told, made)
	}
}
