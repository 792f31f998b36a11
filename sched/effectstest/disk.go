package effectstest

import (
	"maps"

	"github.com/mycoswarm/mycoswarm/bus"
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
	e.Restart(0)
	crashed(map[bus.TaskID]int{"ran": 1, "ran-2": 3, "again": 2})
	e.check(e.Effects(0).Begin("ran", 2))
	e.check(e.Effects(0).Finish("ran"))
	e.Restart(0) // what was neither run again nor finished is told again
	crashed(map[bus.TaskID]int{"ran-2": 3, "again": 2})
	e.check(e.Effects(0).Finish("ran-2"))
	e.check(e.Effects(0).Finish("again"))
	e.Restart(0)
	crashed(nil)
}
