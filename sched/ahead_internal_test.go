package sched

import (
	"testing"
	"time"
)

// What a node believes of a clock, by the heartbeats that it heard.
func TestAhead(t *testing.T) {
	t.Parallel()
	const late = 7 * time.Millisecond // the way of a heartbeat, at most
	type beats struct {
		after time.Duration // silence before them
		n     int
		every time.Duration
		shown time.Duration // by the first; those that follow show up to 7 ms less
		grows time.Duration // from one to the next
	}
	good := beats{n: 100, every: beatEvery}
	for name, c := range map[string]struct {
		heard []beats
		want  time.Duration
	}{
		"the least delayed": {[]beats{good}, 0},
		"those of a buffer": {[]beats{good, {after: 9 * time.Second, n: 15, shown: -9 * time.Second, grows: beatEvery}}, 0},
		"those of a buffer, twice": {[]beats{
			good,
			{after: 9 * time.Second, n: 15, shown: -9 * time.Second, grows: beatEvery},
			{after: time.Minute, n: 15, shown: -8 * time.Second, grows: beatEvery},
			{after: time.Minute, n: 15, shown: -8 * time.Second, grows: beatEvery},
		}, 0},
		"those of a buffer, and then good ones": {[]beats{
			good, {after: 9 * time.Second, n: 15, shown: -9 * time.Second, grows: beatEvery}, {n: 5, every: beatEvery, shown: time.Millisecond},
		}, time.Millisecond},
		"set back, for a second":     {[]beats{good, {n: 5, every: beatEvery, shown: -time.Hour}}, 0},
		"set back":                   {[]beats{good, {n: 12, every: beatEvery, shown: -time.Hour}}, -time.Hour},
		"set back, after a pause":    {[]beats{good, {after: time.Minute, n: 12, every: beatEvery, shown: -time.Hour}}, -time.Hour},
		"set ahead":                  {[]beats{good, {n: 1, every: beatEvery, shown: time.Hour}}, time.Hour},
		"a little slow, for a while": {[]beats{good, {n: 100, every: beatEvery, shown: -time.Second}}, 0},
		"a little slow":              {[]beats{good, {n: 400, every: beatEvery, shown: -time.Second}}, -time.Second},
	} {
		var a ahead
		now := time.Now()
		for _, b := range c.heard {
			now = now.Add(b.after)
			for i := range b.n {
				now = now.Add(b.every)
				a.note(b.shown+time.Duration(i)*b.grows-time.Duration(i*3%8)*time.Millisecond, now)
			}
		}
		if d := c.want - a.by; d < 0 || d > late {
			t.Errorf("%s: %v ahead, want %v", name, a.by, c.want)
		}
	}
}
