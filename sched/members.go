package sched

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/protect"
)

// Times of liveness. A killed process is seen by its routes, a silent one by its beats.
const (
	pollEvery    = 25 * time.Millisecond  // routes are read this often; a route gone twice is lost
	restPoll     = 10 * pollEvery         // by a node that hears all others, and has lost no route of late
	closedFor    = time.Second            // a route that has closed is gone, or there again
	beatEvery    = 200 * time.Millisecond // small heartbeats
	beatPause    = 25 * time.Millisecond  // changes in this time are one heartbeat; no host is elected faster
	infoEvery    = time.Second            // heartbeats with a NodeInfo
	suspectAfter = 500 * time.Millisecond // silence: no new work
	lostAfter    = 3 * time.Second        // silence: lost, though the route is up
	unrouted     = 800 * time.Millisecond // silence of who died before its route was ever seen
	forgetAfter  = 10 * time.Minute       // a lost peer is no longer shown, nor what was heard of a task
	wakeGap      = time.Second            // a gap in the own ticks: this process slept
)

// members keeps the View: from heartbeats, goodbyes and routes.
type members struct {
	self bus.NodeID
	wire Wire
	log  *slog.Logger
	now  func() time.Time
	// slept is Config.Slept.
	slept func() time.Duration
	// hasty judges others right after a gap: tests only.
	hasty bool
	// speaks is what this node speaks.
	speaks bus.Wire

	mu       sync.Mutex
	peers    map[bus.NodeID]*member
	left     map[bus.NodeID]bool  // said goodbye, and are forgotten otherwise
	told     map[bus.TaskID]*told // outlives the peers that told
	pruned   time.Time
	lastTick time.Time
	sleptBy  time.Duration // what slept was then
	wokeAt   time.Time
	listened time.Duration // how long this process has run, without the gaps in which it heard nobody
	maxTerm  uint64
	news     uint64 // counts the changes that Config.News tells of
}

type member struct {
	Peer
	told   *bus.NodeInfo // Info with its Wire, never changed; nil before the first
	heard  time.Duration // what members.listened was when it was Seen
	routed bool          // a route was seen since the last beat began
	misses int           // polls without a route
	upAt   time.Time     // since when there is the route that was seen last
	lostAt time.Time     // when it was lost last, and had said no goodbye
	gone   bool          // said goodbye
	ahead  ahead
	skewed bool     // it was told that its clock differs
	spoke  bus.Wire // what it was told to speak, where that differs
	rival  *rival   // nil, or another process in its name
}

func newMembers(self bus.NodeID, wire Wire, log *slog.Logger) *members {
	return &members{
		self: self, wire: wire, log: log, now: time.Now, slept: func() time.Duration { return 0 }, speaks: bus.ThisWire(), peers: map[bus.NodeID]*member{},
		left: map[bus.NodeID]bool{}, told: map[bus.TaskID]*told{},
	}
}

// hear takes in a heartbeat, and reports whether it changes who hosts or who is there.
func (m *members) hear(b bus.Heartbeat) (changed bool) {
	now := m.now()
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.peers[b.Node]
	if p == nil {
		p = &member{}
		m.peers[b.Node] = p
		delete(m.left, b.Node)
		changed = true
	}
	if p.Beat.Boot == b.Boot && b.Seq <= p.Beat.Seq {
		return changed // an old one, overtaken by a reply
	}
	was, knew := p.State, p.Info
	changed = changed || p.gone || !p.Live() || p.Beat.Term != b.Term || p.Beat.Host != b.Host ||
		p.Beat.Heir != b.Heir || p.Beat.Boot != b.Boot
	p.gone = false
	p.Beat, p.Seen, p.State, p.heard = b, now, bus.NodeReady, m.listened
	if b.Info != nil {
		told := *b.Info
		told.Wire = b.Wire
		p.Info, p.told = *b.Info, &told
		p.Beat.Info = nil
	}
	switch {
	case !m.speaks.Speaks(b.Wire) && !protect.Apart.Off():
		p.State = bus.NodeIncompatible
	case b.Draining:
		p.State = bus.NodeDraining
	}
	if changed || p.State != was || b.Info != nil && !sameInfo(knew, p.Info) {
		m.news++
		changed = true
	}
	m.tellOfWire(p)
	if b.WallMS > 0 {
		p.ahead.note(time.UnixMilli(b.WallMS).Sub(now), now)
		m.warnOfSkew(p)
	}
	m.maxTerm = max(m.maxTerm, b.MaxTerm, b.Term)
	for _, r := range b.Running {
		m.note(r.Task, r.Attempt, now)
	}
	for id, n := range b.Crashed {
		t := m.note(id, n, now)
		t.crashes = mergeCrashes(t.crashes, []Crash{{Node: b.Node, Attempt: n}})
	}
	return changed
}

// tellOfWire tells once of a peer that speaks another version of the protocol. The caller holds mu.
func (m *members) tellOfWire(p *member) {
	w := p.Beat.Wire
	if w == p.spoke || p.Info.Version == "" && w.Version != 0 {
		return // told already, or it has yet to tell what it is
	}
	if !w.Same(m.speaks) {
		level, what := slog.LevelInfo, "a node speaks another version of the protocol: they work together"
		if p.State == bus.NodeIncompatible {
			level, what = slog.LevelWarn, "a node shares no version of the protocol with this one: no work passes between them"
		}
		m.log.Log(context.Background(), level, what, "node", p.Beat.Node, "name", p.Info.Name, "mycod", p.Info.Version,
			"its", w.String(), "this", m.speaks.String())
	}
	p.spoke = w
}

// warnOfSkew tells once of a peer whose clock differs. The caller holds mu.
func (m *members) warnOfSkew(p *member) {
	p.Skew = p.ahead.by
	differs := p.Skew.Abs() > skewLimit
	if differs && !p.skewed {
		m.log.Warn("the clock of a node differs from this one's; set both by NTP", "node", p.Beat.Node, "name", p.Info.Name,
			"ahead", p.Skew.Round(time.Millisecond))
	}
	p.skewed = differs
}

// prune forgets what was told of tasks long ago. The caller holds mu.
func (m *members) prune(now time.Time) {
	if now.Sub(m.pruned) < forgetAfter/10 {
		return
	}
	m.pruned = now
	for id, t := range m.told {
		if now.Sub(t.at) > forgetAfter {
			delete(m.told, id)
		}
	}
}

// bye takes in a goodbye. A heartbeat from before it, that is looked at after it, is an old one.
func (m *members) bye(b bus.Heartbeat) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p := m.peers[b.Node]; p != nil && b.Node != m.self {
		p.gone, p.State = true, bus.NodeLost
		m.news++
		p.Beat.Seq = max(p.Beat.Seq, b.Seq)
	}
}

// tick reads the routes and the clock, and returns the peers that are lost since last time.
func (m *members) tick() (lost []bus.NodeID) {
	routes := m.wire.Routes()
	now, slept := m.now(), m.slept()
	m.mu.Lock()
	defer m.mu.Unlock()
	switch gap := now.Sub(m.lastTick) + max(slept-m.sleptBy, 0); {
	case m.lastTick.IsZero():
	case gap > wakeGap:
		// This process was stopped, or the machine suspended: what it has not heard says nothing about the others.
		m.log.Warn("this process did not run for a while: the machine slept, or was too busy", "for", gap.Round(time.Millisecond))
		m.wokeAt = now
	default:
		m.listened += gap
	}
	m.lastTick, m.sleptBy = now, slept
	m.prune(now)
	awake := m.awakeAt(now)
	for id, p := range m.peers {
		if id == m.self {
			continue
		}
		was := p.State
		p.State = m.stateOf(p, routes[id], now, awake)
		if p.State != was {
			m.news++
		}
		if p.State == bus.NodeLost && was != bus.NodeLost {
			p.lostAt = now
			lost = append(lost, id)
		}
		if p.State == bus.NodeLost && now.Sub(p.Seen) > forgetAfter {
			delete(m.peers, id)
			if p.gone {
				m.left[id] = true
			}
			m.news++
		}
	}
	return lost
}

// stateOf decides on one peer. The caller holds mu.
func (m *members) stateOf(p *member, routed bool, now time.Time, awake bool) bus.NodeState {
	if routed {
		if !p.routed || p.misses > 0 {
			p.upAt = now
		}
		p.routed, p.misses = true, 0
	} else {
		p.misses++
	}
	silent := now.Sub(p.Seen)
	switch {
	case p.gone || p.State == bus.NodeLost:
		return bus.NodeLost // until it is heard again
	case !awake, m.unheard(p, now), m.brokeAsleep(p, now):
		return p.State
	case p.routed && p.misses >= 2:
		p.routed = false
		return bus.NodeLost
	case silent > lostAfter && !protect.Silence.Off(), !p.routed && silent > unrouted:
		return bus.NodeLost
	case p.State == bus.NodeIncompatible:
		return p.State
	case silent > suspectAfter:
		return bus.NodeSuspect
	case p.Beat.Draining:
		return bus.NodeDraining
	}
	return bus.NodeReady
}

// unheard reports whether a peer has not been heard since this process woke, and may yet be: it is
// what it was before. The caller holds mu.
func (m *members) unheard(p *member, now time.Time) bool {
	return !m.hasty && p.Seen.Before(m.wokeAt) && now.Sub(m.wokeAt) < lostAfter
}

// brokeAsleep reports whether a peer has no route since this process was stopped, and may yet have one again: the
// others have closed it meanwhile, and make it again in a moment. What lay in this process's buffers was
// heard before it saw that. The caller holds mu.
func (m *members) brokeAsleep(p *member, now time.Time) bool {
	return !m.hasty && p.misses > 0 && !p.upAt.After(m.wokeAt) && now.Sub(m.wokeAt) < lostAfter
}

// awake reports whether this process has run without a gap for a while: only then may it
// judge others.
func (m *members) awake() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.awakeAt(m.now())
}

// awakeAt is awake. The caller holds mu.
func (m *members) awakeAt(now time.Time) bool { return m.hasty || now.Sub(m.wokeAt) > suspectAfter }

// wokeSince returns when this process last woke from a gap, and whether that was after t: the gap may be one that is not yet
// over for tick.
func (m *members) wokeSince(t time.Time) (woke time.Time, ok bool) {
	now, slept := m.now(), m.slept()
	m.mu.Lock()
	defer m.mu.Unlock()
	woke = m.wokeAt
	if !m.lastTick.IsZero() && now.Sub(m.lastTick)+max(slept-m.sleptBy, 0) > wakeGap {
		woke = now
	}
	return woke, woke.After(t)
}

// lostAwake reports whether a peer that was there before this process woke was lost since, and said no goodbye: this
// machine may have no network yet.
func (m *members) lostAwake() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.peers {
		if p.State == bus.NodeLost && !p.gone && p.lostAt.After(m.wokeAt) {
			return true
		}
	}
	return false
}

// ticksEnd notes that nothing calls tick any more: that is no gap.
func (m *members) ticksEnd() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lastTick = time.Time{}
}

// term returns the highest term heard of.
func (m *members) term() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.maxTerm
}

// noteTerm notes a term that this node has had, or has now.
func (m *members) noteTerm(t uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.maxTerm = max(m.maxTerm, t)
}
