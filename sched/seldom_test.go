package sched_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mycoswarm/mycoswarm/sched"
)

// What goes on and on is told once a minute, and something else at once.
func TestSeldom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s sched.Seldom
		var told []string
		tell := func(kind string) { s.Do(kind, func() { told = append(told, kind) }) }
		for range 59 {
			tell("full")
			time.Sleep(time.Second)
		}
		tell("broken")
		if want := []string{"full", "broken"}; !slices.Equal(told, want) {
			t.Errorf("in a minute %q is told, want %q", told, want)
		}
		time.Sleep(time.Second)
		tell("full")
		tell("broken")
		if want := []string{"full", "broken", "full"}; !slices.Equal(told, want) {
			t.Errorf("after a minute %q is told, want %q", told, want)
		}
	})
}
