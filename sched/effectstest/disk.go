package effectstest

import (
	"maps"
	"slices"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
)

func testTerm(e *env) {
	term := func(want uint64) {
		e.Helper()
		got, err := e.Effects(0).Term()
		e.check(err)
		if got != want {
			e.Fatalf("term %d, want %d", got, want)
		}
	}
	term(0)
	e.check(e.Effects(0).SetTerm(7))
	term(7)
	e.Restart(0)
	term(7)
	e.check(e.Effects(0).SetTerm(1<<63 + 8))
	term(1<<63 + 8)
	if other, err := e.Effects(1).Term(); err != nil || other != 0 {
		e.Fatalf("the other node's term is %d, error %v", other, err)
	}
}

func testJournal(e *env) {
	crashed := func(want map[bus.TaskID]int) {
		e.Helper()
		got, err := e.Effects(0).Crashed()
		e.check(err)
		if !maps.Equal(got, want) {
			e.Fatalf("crashed %v, want %v", got, want)
		}
	}
	fx := e.Effects(0)
	crashed(nil)
	e.check(fx.Begin("ended", 1))
	e.check(fx.Begin("ran", 1))
	e.check(fx.Finish("ended"))
	e.check(fx.Begin("ran-2", 3))
	e.check(fx.Begin("again", 1))
	e.check(fx.Finish("again"))
	e.check(fx.Begin("again", 2))
	crashed(nil) // of this process nothing is known to have crashed
	before := func(want map[bus.TaskID][]sched.Crash) {
		e.Helper()
		got, err := e.Effects(0).CrashedBefore()
		e.check(err)
		if !maps.EqualFunc(got, want, slices.Equal) {
			e.Fatalf("known to have crashed before %v, want %v", got, want)
		}
	}
	known := []sched.Crash{{Node: "myco-a", Attempt: 1}, {Node: "myco-b", Attempt: 2, Boot: "boot"}}
	e.check(fx.Begin("ran-2", 3, known...))
	e.check(fx.Begin("again", 1, known...))
	e.check(fx.Begin("again", 2))
	before(nil)
	e.Restart(0)
	before(map[bus.TaskID][]sched.Crash{"ran-2": known})
	crashed(map[bus.TaskID]int{"ran": 1, "ran-2": 3, "again": 2})
	e.check(e.Effects(0).Begin("ran", 2))
	e.check(e.Effects(0).Finish("ran"))
	e.Restart(0) // what was neither run again nor finished is told again
	crashed(map[bus.TaskID]int{"ran-2": 3, "again": 2})
	before(map[bus.TaskID][]sched.Crash{"ran-2": known})
	e.check(e.Effects(0).Finish("ran-2"))
	e.check(e.Effects(0).Finish("again"))
	e.Restart(0)
	crashed(nil)
	before(nil)
}
