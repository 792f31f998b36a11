package sched

import "time"

const (
	usageHalf = 10 * time.Minute // after this long half of what a user has used is forgotten
	usageMost = 1024             // users that are remembered
)

// usage is how much slot time the users have had lately, by the share of their keys.
type usage struct {
	by   map[int]time.Duration
	aged time.Time
}

func (u *usage) of(share int) time.Duration { return u.by[share] }

// spent adds to what a user has had.
func (u *usage) spent(share int, d time.Duration) {
	if len(u.by) < usageMost || u.by[share] > 0 {
		u.by[share] += max(d, 0)
	}
}

// age forgets by and by: who has used much a while ago does not wait for ever.
func (u *usage) age(now time.Time) {
	if u.aged.IsZero() {
		u.aged = now
	}
	for now.Sub(u.aged) >= usageHalf {
		u.aged = u.aged.Add(usageHalf)
		for share, d := range u.by {
			if u.by[share] = d / 2; d < time.Second {
				delete(u.by, share)
			}
		}
	}
}
