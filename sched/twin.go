package sched

import (
	"cmp"
	"slices"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/protect"
)

// Times of twins: two processes with the identity of one node.
const (
	twinHold  = 300 * time.Millisecond // a start that was heard so lately is not given up for another
	twinTurns = 3                      // both were heard in turn so often: neither is the end of the other
	twinInfo  = 8                      // turns after which it is not awaited any more what the other tells of itself
	twinQuiet = 2 * time.Second        // a rival that is silent for this long is none
	twinShown = 10 * time.Second       // for doctor
	twinAgain = time.Second            // they are told again after this
)

// rival is another process with a peer's identity, heard while the peer goes on.
type rival struct {
	beat     bus.Heartbeat
	info     bus.NodeInfo
	at       time.Time
	answered bool // the peer was heard since
	turns    int
	told     time.Time
}

// meet looks for twins in a heartbeat. While a peer is heard, what another process says in its
// name is held back: a restart is silent in between. held tells to do nothing with b; twins is
// set where both were heard in turn, now and then.
func (m *members) meet(b bus.Heartbeat) (twins *bus.Twins, held bool) {
	now := m.now()
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.peers[b.Node]
	if p == nil || p.Beat.Boot == "" || (p.gone || p.State == bus.NodeLost) && !protect.Restart.Off() {
		return nil, b.Node == m.self
	}
	if b.Boot == p.Beat.Boot {
		if p.rival != nil {
			p.rival.answered = true
		}
		return nil, false
	}
	if b.Node != m.self && now.Sub(p.Seen) >= twinHold && !protect.Restart.Off() {
		p.rival = nil
		return nil, false
	}
	r := p.rival
	if r == nil || r.beat.Boot != b.Boot || now.Sub(r.at) > twinQuiet || !m.awakeAt(now) {
		r = &rival{beat: b, at: now}
		p.rival = r
	}
	if b.Info != nil {
		r.info = *b.Info
	}
	if b.Seq <= r.beat.Seq {
		return nil, true
	}
	r.beat, r.at = b, now
	if r.answered || b.Node == m.self {
		r.answered = false
		r.turns++
	}
	if r.turns < twinTurns || r.info.ID == "" && r.turns < twinInfo || now.Sub(r.told) < twinAgain {
		return nil, true
	}
	r.told = now
	t := p.twins()
	return &t, true
}

// twins are a peer and its rival.
func (p *member) twins() bus.Twins {
	at := func(b bus.Heartbeat, i bus.NodeInfo) bus.Instance {
		return bus.Instance{Boot: b.Boot, Host: i.Host, Addr: i.FabricAddr, UptimeMS: b.UptimeMS}
	}
	return bus.Twins{Node: p.Beat.Node, Seen: []bus.Instance{at(p.Beat, p.Info), at(p.rival.beat, p.rival.info)}}
}

// tellTwins tells both that they have one identity; a process that is one of them judges itself.
func (n *Node) tellTwins(t bus.Twins) {
	n.log.Warn("two daemons have one identity: they run from copies of one data directory",
		"node", t.Node, "one", t.Seen[0].String(), "other", t.Seen[1].String())
	if t.Node == n.cfg.ID {
		n.judgeTwins(t)
	}
	if err := n.fx.Publish(Msg{Subject: bus.SubjectTwin(t.Node), Data: marshal(t)}); err != nil {
		n.log.Debug("tell twins", "err", err)
	}
}

// onTwin hears from another node that this one is not the only one of its kind.
func (n *Node) onTwin(m Msg) {
	var t bus.Twins
	if bus.Unmarshal(m.Data, &t) != nil || t.Node != n.cfg.ID || m.Subject != bus.SubjectTwin(t.Node) {
		return
	}
	n.judgeTwins(t)
}

// judgeTwins gives up where another process of this identity has run for longer.
func (n *Node) judgeTwins(t bus.Twins) {
	for _, me := range t.Seen {
		if me.Boot != n.cfg.Boot {
			continue
		}
		for _, o := range t.Seen {
			if o.Boot != me.Boot && o.Older(me) && n.cfg.Twin != nil {
				n.cfg.Twin(o)
			}
		}
	}
}

// Twins returns the nodes whose identity two processes were heard with of late.
func (n *Node) Twins() []bus.Twins { return n.members.twins() }

func (m *members) twins() (out []bus.Twins) {
	now := m.now()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.peers {
		if p.rival != nil && !p.rival.told.IsZero() && now.Sub(p.rival.told) < twinShown {
			out = append(out, p.twins())
		}
	}
	slices.SortFunc(out, func(a, b bus.Twins) int { return cmp.Compare(a.Node, b.Node) })
	return out
}
