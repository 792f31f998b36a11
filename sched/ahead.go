package sched

import (
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// skewLimit is how much two clocks may differ before anybody is warned. Nothing depends on it but how soon
// a clock that was set is believed.
const skewLimit = 5 * time.Second

const (
	aheadSpan  = 30 * time.Second // what was shown counts for this long, and at most for twice as long
	setSpan    = 2 * time.Second  // or for this long, once a clock seems to have been set
	aheadPause = time.Second      // what comes after such a silence may have lain in a buffer
)

// ahead is how much a peer's clock is ahead of this node's. A heartbeat shows less by the time that it was on
// its way, and never more, so the most that was shown counts. Less than that, be it after a time or because
// a clock was set, is believed only where all heartbeats of a while without a pause have shown it: those that
// a process finds in its buffers after it was stopped come all at one moment.
type ahead struct {
	known bool
	by    time.Duration

	most        time.Duration // that was shown in the present span
	since, last time.Time     // its first heartbeat, and the last
}

// note takes in what a heartbeat shows that was heard at now.
func (a *ahead) note(shown time.Duration, now time.Time) {
	if !a.known {
		a.known, a.by = true, shown
	}
	set := a.by - skewLimit
	if now.Sub(a.last) > aheadPause || shown < set && a.most >= set {
		a.since, a.most = now, shown
	}
	a.last, a.most, a.by = now, max(a.most, shown), max(a.by, shown)
	span := aheadSpan
	if a.most < set {
		span = setSpan
	}
	if now.Sub(a.since) >= span {
		a.by, a.since, a.most = a.most, now, shown
	}
}

// clockOf returns what a node's clock shows at now, by its heartbeats.
func (m *members) clockOf(id bus.NodeID, now time.Time) (time.Time, bool) {
	if id == m.self {
		return now, true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.peers[id]
	if p == nil || !p.ahead.known {
		return now, false
	}
	return now.Add(p.ahead.by), true
}

// since returns how long before now a node's clock showed at: 0 where that clock is not known.
func (m *members) since(id bus.NodeID, at, now time.Time) time.Duration {
	shows, ok := m.clockOf(id, now)
	if !ok || at.IsZero() {
		return 0
	}
	return max(shows.Sub(at), 0)
}
