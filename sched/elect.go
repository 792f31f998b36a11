package sched

import (
	"slices"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/protect"
)

// Times of the election.
const (
	listenFirst  = 900 * time.Millisecond // a start listens this long before it may claim
	strandedFor  = 5 * time.Second        // hears of a host, but not the host: hosts for itself
	handoverHold = 2 * time.Second        // another node sees more for this long, of the last 10 s
	handoverSpan = 10 * time.Second
	handoverMin  = 10 * time.Second // at most one handover in this time, doubling
	handoverMax  = 5 * time.Minute
	claimAgain   = time.Second      // after a try to become host that failed
	unableFor    = 10 * time.Second // after which it is no candidate, where there is another
	incumbentFor = time.Second      // the host of before goes first for this long: not all know the same one
)

// HostAct is what ChooseHost tells a node to do.
type HostAct int

// The acts.
const (
	HostWait   HostAct = iota // no host, and not this node's turn
	HostFollow                // work with the host of the decision
	HostClaim                 // become host with the term of the decision
)

// HostDecision is the outcome of an election as one node sees it.
type HostDecision struct {
	Act   HostAct
	Host  bus.NodeID
	Term  uint64
	Local bool // a HostClaim although another node hears a host
	Why   string
}

// Candidacy is what ChooseHost needs to know beside the View.
type Candidacy struct {
	// Rank below 0 never hosts.
	Rank int
	// Listening is set until the node has listened for the time of a start or has followed a
	// host, unless it is known to be alone.
	Listening bool
	// Last is the host that was followed last, if it still is the same process.
	Last bus.NodeID
	// MaxTerm is the highest term seen.
	MaxTerm uint64
	// NoHost is since when no live host is heard.
	NoHost time.Time
	// Leaving is set while the node shuts down.
	Leaving bool
	// Draining is set while it takes no work: it hosts only where nobody else would.
	Draining bool
	// Unable is set for a while after the node could not become host.
	Unable bool
}

// ChooseHost decides who holds the work queues. The live claim with the highest term wins, ties
// go to the lowest id. With no live claim the best node claims the next term. A node never
// claims while a live peer names a live host, unless that has stranded it for strandedFor.
func ChooseHost(v View, c Candidacy, now time.Time) HostDecision {
	if host, term, ok := liveClaim(v); ok {
		p := v.Peers[host]
		if host != v.Self && p.Beat.Heir == v.Self && c.Rank >= 0 && !c.Leaving && !c.Draining && !c.Unable {
			return HostDecision{Act: HostClaim, Term: c.MaxTerm + 1, Why: "handed over by " + string(host)}
		}
		return HostDecision{Act: HostFollow, Host: host, Term: term}
	}
	if c.Listening || c.Rank < 0 || c.Leaving {
		return HostDecision{Act: HostWait, Why: "listening"}
	}
	named, stranded := namedHost(v)
	if stranded && now.Sub(c.NoHost) < strandedFor {
		return HostDecision{Act: HostWait, Why: "a peer names host " + string(named)}
	}
	if now.Sub(c.NoHost) > incumbentFor {
		c.Last = ""
	}
	if !stranded {
		for id := range v.Peers {
			if id != v.Self && better(v, c, id, v.Self) {
				return HostDecision{Act: HostWait, Why: "better: " + string(id)}
			}
		}
	}
	return HostDecision{Act: HostClaim, Term: c.MaxTerm + 1, Local: stranded, Why: "best of those heard"}
}

func liveClaim(v View) (host bus.NodeID, term uint64, ok bool) {
	for id, p := range v.Peers {
		t := p.Beat.Term
		if t == 0 || !p.Live() {
			continue
		}
		if id == v.Self && protect.OneHost.Off() {
			return id, t, true
		}
		if !ok || t > term || t == term && id < host {
			host, term, ok = id, t, true
		}
	}
	return host, term, ok
}

// namedHost returns the host that a live, unsuspected peer follows and this node does not hear.
func namedHost(v View) (bus.NodeID, bool) {
	for id, p := range v.Peers {
		if id == v.Self || p.State == bus.NodeSuspect || !p.Live() {
			continue
		}
		if h := p.Beat.Host; h != "" && h != v.Self && !v.Alive(h) {
			return h, true
		}
	}
	return "", false
}

// better reports whether a would be the better host than b: the one that sees more, then the
// incumbent, then by rank, uptime (in steps, as beats differ in age) and id.
func better(v View, c Candidacy, a, b bus.NodeID) bool {
	pa, pb := v.Peers[a], v.Peers[b]
	if !fit(pa) {
		return false
	}
	if !fit(pb) {
		return true
	}
	if x, y := sees(pa, c.Last), sees(pb, c.Last); x != y {
		return x > y
	}
	if (a == c.Last) != (b == c.Last) {
		return a == c.Last
	}
	if pa.Beat.Rank != pb.Beat.Rank {
		return pa.Beat.Rank > pb.Beat.Rank
	}
	const step = 60_000
	if x, y := pa.Beat.UptimeMS/step, pb.Beat.UptimeMS/step; x != y {
		return x > y
	}
	return a < b
}

// sees counts the nodes that p hears, but for the host of before: not all have noticed at the same
// moment that it is gone, and more than one would be the best.
func sees(p Peer, before bus.NodeID) int {
	n := len(p.Beat.Sees)
	if before != "" && slices.Contains(p.Beat.Sees, before) {
		n--
	}
	return n
}

func fit(p Peer) bool {
	return p.Live() && p.State != bus.NodeSuspect && p.Beat.Rank >= 0 && !p.Beat.Draining && p.Beat.Node != ""
}

// Handover decides whether a host passes its role on. It is the host's own memory of how long
// another node has had the longer list of nodes it hears.
type Handover struct {
	samples []handoverSample
	last    time.Time     // of the last handover, or of the start
	pause   time.Duration // until the next may be
}

type handoverSample struct {
	at   time.Time
	heir bus.NodeID
}

// Observe notes the View of a host at now, and returns the heir, or "".
func (h *Handover) Observe(v View, now time.Time) bus.NodeID {
	if h.pause == 0 {
		h.pause, h.last = handoverMin, now.Add(-handoverMin)
	}
	var heir bus.NodeID
	mine := len(v.Peers[v.Self].Beat.Sees)
	for id, p := range v.Peers {
		if id != v.Self && fit(p) && len(p.Beat.Sees) > mine && (heir == "" || better(v, Candidacy{}, id, heir)) {
			heir = id
		}
	}
	for len(h.samples) > 0 && now.Sub(h.samples[0].at) > handoverSpan {
		h.samples = h.samples[1:]
	}
	h.samples = append(h.samples, handoverSample{now, heir})
	if heir == "" || now.Sub(h.last) < h.pause {
		return ""
	}
	var held time.Duration
	for i, s := range h.samples[1:] {
		if s.heir == heir && h.samples[i].heir == heir {
			held += min(s.at.Sub(h.samples[i].at), beatEvery)
		}
	}
	if held < handoverHold {
		return ""
	}
	return heir
}

// Done notes that a handover took place: the next has to wait twice as long.
func (h *Handover) Done(now time.Time) {
	if now.Sub(h.last) > 2*h.pause {
		h.pause = handoverMin
	}
	h.last, h.pause = now, min(2*h.pause, handoverMax)
	h.samples = nil
}
