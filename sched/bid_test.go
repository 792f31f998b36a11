package sched_test

import (
	"math"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
)

// What myco task why shows of a bid is all of it.
func TestTermsOfABidAddUp(t *testing.T) {
	t.Parallel()
	work, asked := bus.Key{Class: "work"}, bus.Key{Class: bus.TypeInference, Model: "m:1b"}
	info := func(models ...bus.ModelInfo) *bus.NodeInfo {
		return &bus.NodeInfo{ID: "n", Types: []string{"work", bus.TypeInference}, Models: models}
	}
	cold, warm := bus.ModelInfo{Name: "m:1b", SizeBytes: 4 << 30, ContextLength: 100}, bus.ModelInfo{Name: "m:1b", Loaded: true, Demo: true}
	owned := info(warm)
	owned.Owner = &bus.OwnerUse{Weight: 3, Why: "a game"}
	for name, tt := range map[string]struct {
		key   bus.Key
		seat  sched.Seat
		terms int
	}{
		"no model":                    {work, sched.Seat{Info: info(), Slots: 1, Free: 1}, 1},
		"no model, and it takes long": {work, sched.Seat{Info: info(), Slots: 1, Free: 1, Stays: map[string]time.Duration{"": time.Minute}}, 1},
		"no model, beside others":     {work, sched.Seat{Info: info(), Slots: 2, Busy: 1, Free: 1, CPU: 50, Pulls: 1}, 3},
		"a cold one, beside a pull":   {asked, sched.Seat{Info: info(cold), Slots: 1, Free: 1, FreeBytes: 1 << 30, Pulls: 1}, 6},
		"the demo, of a busy owner":   {asked, sched.Seat{Info: owned, Slots: 1, Free: 1, GPU: 10}, 6},
	} {
		tt.seat.Node, tt.seat.State, tt.seat.Class = "n", bus.NodeReady, tt.key.Class
		bid, terms := sched.Explain(&sched.Tender{Key: tt.key, Need: sched.Need{Prompt: 1000}}, &tt.seat)
		var sum time.Duration
		for _, term := range terms {
			sum += term.Cost
		}
		if bid.Not != "" || sum != bid.Cost || len(terms) != tt.terms {
			t.Errorf("%s: %d terms, together %v, of a bid of %v (%s), want %d that add up to it: %+v", name, len(terms), sum, bid.Cost, bid.Not, tt.terms, terms)
		}
		if again := sched.BidFor(&sched.Tender{Key: tt.key, Need: sched.Need{Prompt: 1000}}, &tt.seat); again != bid {
			t.Errorf("%s: a bid of %+v, explained as %+v", name, again, bid)
		}
	}
}

// What nodes tell of themselves may be anything: no bid is below nothing, or beyond all others.
func TestBidOfSpeedsThatCannotBe(t *testing.T) {
	t.Parallel()
	key := bus.Key{Class: bus.TypeInference, Model: "m:1b"}
	seat := func(speed *bus.ModelSpeed, cores int, size int64) sched.Seat {
		info := &bus.NodeInfo{ID: "n", Types: []string{bus.TypeInference}, Cores: cores, Models: []bus.ModelInfo{{Name: "m:1b", SizeBytes: size, Speed: speed}}}
		return sched.Seat{Node: "n", State: bus.NodeReady, Class: key.Class, Info: info, Slots: 1, Free: 1}
	}
	for _, told := range []bus.ModelSpeed{
		{Reading: -1, Writing: -1, Loading: -1}, {Reading: 1e-300, Writing: 1e-300, Loading: math.MaxInt64}, {Reading: math.MaxFloat64, Writing: math.MaxFloat64, Loading: 1},
	} {
		for _, size := range []int64{-1, 0, 1, math.MaxInt64} {
			for _, cores := range []int{math.MinInt, -1, 0, 1, math.MaxInt} {
				seats := []sched.Seat{seat(&told, cores, size), seat(&told, 4, size), seat(nil, cores, size)}
				tender := sched.Tender{Key: key, Need: sched.Need{Prompt: 1000}, Pace: sched.PaceOf(key, seats)}
				for i := range seats {
					if b := sched.BidFor(&tender, &seats[i]); b.Not != "" || b.Cost <= 0 || b.Cost > 35*time.Minute {
						t.Errorf("%+v, %d cores, %d bytes: seat %d bids %+v", told, cores, size, i, b)
					} else if told.Writing == 1e-300 && i < 2 && b.Cost < 20*time.Minute {
						t.Errorf("what never ends bids %v", b.Cost)
					}
				}
			}
		}
	}
}
