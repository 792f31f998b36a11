package sched

import (
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

const (
	usageHalf = 10 * time.Minute // after this long half of what a user has used is forgotten
	usageLead = 30 * time.Second // no user is further behind another who waits: idle time is not saved up
)

// usage is how much slot time the users have had lately, by the share of their keys, see bus.ShareOf.
// What runs is counted as if it took as long as such tasks do as a rule. There are bus.Shares at most.
type usage struct {
	by   map[int]time.Duration
	aged time.Time
}

func newUsage() usage { return usage{by: map[int]time.Duration{}} }

// spent adds to what a user has had.
func (u *usage) spent(share int, d time.Duration) {
	if share > 0 {
		u.by[share] = max(u.by[share]+d, 0)
	}
}

// fill tells each head what its user has had. Who comes back after a while is not far behind the rest.
func (u *usage) fill(heads []QueueHead, now time.Time) {
	u.age(now)
	var most time.Duration
	for i := range heads {
		most = max(most, u.by[heads[i].Key.Share])
	}
	for i := range heads {
		share := heads[i].Key.Share
		if share == 0 {
			continue
		}
		if u.by[share] < most-usageLead {
			u.by[share] = most - usageLead
		}
		heads[i].Used = u.by[share]
	}
}

// age forgets by and by: who has used much a while ago does not wait for ever.
func (u *usage) age(now time.Time) {
	if u.aged.IsZero() {
		u.aged = now
	}
	for ; now.Sub(u.aged) >= usageHalf && len(u.by) > 0; u.aged = u.aged.Add(usageHalf) {
		for share, d := range u.by {
			if u.by[share] = d / 2; d < time.Second {
				delete(u.by, share)
			}
		}
	}
	if len(u.by) == 0 {
		u.aged = now
	}
}

// shared returns key with the share of j's user, or of its submitter where it names none: so users take
// turns.
func (n *Node) shared(key bus.Key, j *Job) bus.Key {
	if key.Class == bus.TypePing || n.off(ProtectShares) {
		return key
	}
	user := j.Task.User
	if user == "" {
		user = string(j.Submitter)
	}
	key.Share = bus.ShareOf(user)
	return key
}
