package sched

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/protect"
)

const (
	openWithin  = 3 * time.Second // to make a queue in the own store
	syncWithin  = time.Second     // to hear from all peers with a route
	dropAfter   = 10 * time.Second
	handoffWait = 2 * time.Second
	byeWait     = time.Second // for all to have heard a goodbye
)

// electLoop is the only place that changes who this node follows and whether it hosts.
func (n *Node) electLoop(ctx context.Context) error {
	defer n.members.ticksEnd()
	every, closed := pollEvery, time.Time{}
	t := time.NewTimer(n.until(every))
	defer t.Stop()
	became := make(chan *host, 1)
	var hosts sync.WaitGroup
	defer func() {
		hosts.Wait()
		select {
		case h := <-became: // it became host in the moment of the end
			if h != nil {
				h.stop()
			}
		default:
		}
	}()
	if err := n.dropOld(ctx); err != nil {
		n.log.Warn("drop queues of earlier terms", "err", err)
	}
	var told uint64
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case h := <-became:
			n.became(h)
		case <-t.C:
			t.Reset(n.until(every))
			n.gone(n.members.tick(), errSubmitterLost)
			if h := n.host(); h != nil {
				h.supervise()
			}
		case <-n.cfg.RouteClosed:
			closed = n.now()
		case <-n.kick:
		}
		d := n.elect(n.now())
		if news := n.members.newsCount(); news != told {
			told = news
			n.cfg.News()
		}
		if next := n.untilPoll(d, closed); next != every {
			every = next
			t.Reset(n.until(every))
		}
		if d.Act != HostClaim {
			continue
		}
		n.mu.Lock()
		n.becoming, n.local = true, d.Local
		n.mu.Unlock()
		hosts.Go(func() {
			h, err := n.becomeHost(ctx, d)
			if err != nil && ctx.Err() == nil {
				n.log.Error("become queue host", "term", d.Term, "err", err)
			}
			became <- h
		})
	}
}

// untilPoll is how long the routes are not read, of which one closed last at closed.
func (n *Node) untilPoll(d HostDecision, closed time.Time) time.Duration {
	if d.Act == HostFollow && !n.isLeaving() && n.now().Sub(closed) > closedFor && n.members.settled() {
		return restPoll // whoever comes is heard, which kicks
	}
	return pollEvery
}

// elect applies ChooseHost, but for a HostClaim, which it returns.
func (n *Node) elect(now time.Time) HostDecision {
	v := n.members.view()
	n.mu.Lock()
	c := Candidacy{
		Rank: n.cfg.Rank, Last: n.incumbent(v), MaxTerm: n.members.term(), NoHost: n.noHost,
		Leaving: n.isLeaving(), Draining: n.draining, Unable: n.isUnable(now),
		Listening: now.Sub(n.start) < listenFirst && n.last == "" && !n.cfg.Alone(),
	}
	busy, h := n.becoming || now.Sub(n.unable) < claimAgain, n.hosting
	n.mu.Unlock()
	if n.off(ProtectNamedHost) {
		c.NoHost = time.Time{}
	}
	d := ChooseHost(v, c, now)
	switch d.Act {
	case HostFollow:
		n.mu.Lock()
		n.noHost, n.last, n.lastBoot = now, d.Host, v.Peers[d.Host].Beat.Boot
		n.mu.Unlock()
		if h != nil && d.Host != n.cfg.ID {
			n.stepDown(h, d)
		}
		if n.queue.put(QueueID{d.Host, d.Term}, true) {
			n.log.Info("queue host", "host", d.Host, "name", n.members.name(d.Host), "term", d.Term)
			n.cfg.News()
			n.beat() // at once: others wait for the word
			n.outbox.wake()
		}
		if h != nil && d.Host == n.cfg.ID {
			n.considerHandover(v, now)
		}
	case HostWait, HostClaim:
		if n.queue.put(QueueID{}, false) {
			n.log.Info("no queue host", "why", d.Why)
			n.cfg.News()
			n.mu.Lock()
			n.noHost = now
			n.mu.Unlock()
			n.beat() // at once: others wait for the word
		}
		if busy {
			d.Act = HostWait
		}
	}
	return d
}

// isUnable reports whether this node could not become host a short while ago. The caller holds mu.
func (n *Node) isUnable(now time.Time) bool {
	return now.Sub(n.unable) < unableFor && !n.off(ProtectUnable)
}

// incumbent returns the host followed last, but not one that has started anew since: it does
// not know that it was host, and would wait for another while all others wait for it. The
// caller holds mu.
func (n *Node) incumbent(v View) bus.NodeID {
	if v.Peers[n.last].Beat.Boot != n.lastBoot {
		return ""
	}
	return n.last
}

func (n *Node) considerHandover(v View, now time.Time) {
	heir, why := n.handoff.Observe(v, now), "it reaches more nodes"
	if n.Draining() {
		heir, why = n.bestHeir(), "this node is drained"
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.isLeaving() || heir == "" || n.heir == heir {
		return
	}
	n.heir = heir
	n.handoff.Done(now)
	n.log.Info("hand over", "to", heir, "why", why)
	n.beatSoon()
}

// becomeHost opens the queue of a new term, and returns once it may be announced.
func (n *Node) becomeHost(ctx context.Context, d HostDecision) (*host, error) {
	start := n.now()
	if !n.off(ProtectNewTerm) {
		if err := n.fx.SetTerm(d.Term); err != nil {
			return nil, fmt.Errorf("keep term: %w", err)
		}
	}
	h := newHost(n, QueueID{n.cfg.ID, d.Term})
	octx, cancel := context.WithTimeout(ctx, openWithin)
	defer cancel()
	if err := n.fx.Open(octx, h.q); err != nil {
		return nil, fmt.Errorf("open queue: %w", err)
	}
	if !n.off(ProtectPreload) {
		n.outbox.preload(octx, h.q)
	}
	// Everybody with a route tells what runs there, so that nothing running is started again.
	if !n.off(ProtectRollCall) {
		n.rollCall(ctx)
	}
	if err := h.start(); err != nil {
		return nil, fmt.Errorf("watch queue: %w", err)
	}
	n.log.Info("the queues are open", "term", d.Term, "why", d.Why, "after", n.now().Sub(start).Round(time.Millisecond))
	return h, nil
}

// rollCall gets a fresh heartbeat of every node that this one has a route to.
func (n *Node) rollCall(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, syncWithin)
	defer cancel()
	if _, err := n.sync(ctx, nil, func(Final) {}); err != nil && ctx.Err() == nil {
		n.log.Debug("roll call", "err", err)
	}
}

// became announces h, unless another was announced meanwhile: nobody has followed h. Where there is none this node
// could not become host, and says so.
func (n *Node) became(h *host) {
	failed := h == nil
	if other, term, ok := liveClaim(n.members.view()); ok && h != nil && other != n.cfg.ID && term >= h.q.Term {
		n.log.Info("another hosts already", "term", h.q.Term, "host", other, "their_term", term)
		h.stop()
		h.dropLater()
		h = nil
	}
	var old *host // of a lower term: made heir while it hosts, it need not step down
	n.mu.Lock()
	n.becoming = false
	if failed {
		n.unable = n.now()
	}
	if h != nil {
		old, n.hosting, n.heir = n.hosting, h, ""
		n.members.noteTerm(h.q.Term)
	}
	n.mu.Unlock()
	if old != nil {
		old.stop()
		old.dropLater()
	}
	n.beat()
}

func (n *Node) stepDown(h *host, d HostDecision) {
	n.log.Info("step down", "term", h.q.Term, "for", d.Host, "their_term", d.Term)
	n.mu.Lock()
	n.hosting, n.heir, n.local = nil, "", false
	n.mu.Unlock()
	h.stop()
	h.dropLater()
	n.beatSoon()
}

func (n *Node) host() *host {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.hosting
}

func (n *Node) stopHosting() {
	n.mu.Lock()
	h := n.hosting
	n.hosting = nil
	n.mu.Unlock()
	if h != nil {
		h.stop()
	}
	n.queue.put(QueueID{}, false)
}

// dropOld removes the queues that an earlier process of this node left in its store. They are
// in memory, so there are some only where the store has lived on.
func (n *Node) dropOld(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, openWithin)
	defer cancel()
	old, err := n.fx.Old(ctx)
	for _, q := range old {
		err = errors.Join(err, n.fx.Drop(ctx, q))
	}
	return err
}

func (n *Node) isLeaving() bool {
	select {
	case <-n.leaving:
		return true
	default:
		return false
	}
}

// Leave ends this node's part in good order: Finish, and its goodbye. Run goes on until its context ends.
func (n *Node) Leave(ctx context.Context) {
	n.Finish(ctx)
	n.sayBye(context.WithoutCancel(ctx))
}

// Finish is the first part of Leave: the node takes no more work, hands the queues over if it hosts them, and waits until ctx
// ends for its work, and for what others do for those who asked here.
func (n *Node) Finish(ctx context.Context) {
	n.leave.Do(func() { close(n.leaving) })
	n.Drain(true)
	if h := n.host(); h != nil {
		if heir := n.bestHeir(); heir != "" {
			n.mu.Lock()
			n.heir = heir
			n.mu.Unlock()
			n.beatSoon()
			n.awaitStepDown(ctx, h)
		}
	}
	n.awaitEnds(ctx)
}

// awaitEnds waits until nothing runs here, nor elsewhere for those who asked here, or ctx ends. What has not begun is not waited for.
func (n *Node) awaitEnds(ctx context.Context) {
	t := time.NewTicker(pollEvery)
	defer t.Stop()
	for n.worker.busy() || n.outbox.awaits() {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// awaitStepDown waits until this node no longer hosts h, for handoffWait at most.
func (n *Node) awaitStepDown(ctx context.Context, h *host) {
	ctx, cancel := context.WithTimeout(ctx, handoffWait)
	defer cancel()
	for {
		changed := n.queue.change() // before the look: a change between the two would not be seen
		if n.host() != h {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// sayBye says goodbye, and waits for byeWait at most until all that are heard have it: what a busy node
// has published may be lost with its routes.
func (n *Node) sayBye(ctx context.Context) {
	if protect.Goodbye.Off() {
		return
	}
	n.speaks.Lock()
	n.bye = true
	n.speaks.Unlock()
	b := n.ownBeat(true) // after the flag is set: it is newer than all heartbeats that were sent
	missing := map[bus.NodeID]bool{}
	for _, id := range n.members.view().Live() {
		missing[id] = true
	}
	delete(missing, n.cfg.ID)
	ctx, cancel := context.WithTimeout(ctx, byeWait)
	defer cancel()
	err := n.hearFrom(ctx, missing, Msg{Subject: bus.SubjectBye(n.cfg.ID), Data: marshal(b)}, func(data []byte) (bus.NodeID, bool) {
		return bus.NodeID(data), false
	})
	if err != nil {
		n.log.Debug("say goodbye", "unheard", len(missing), "err", err)
	}
}

func (n *Node) bestHeir() (heir bus.NodeID) {
	v := n.members.view()
	for id, p := range v.Peers {
		if id != n.cfg.ID && fit(p) && (heir == "" || better(v, Candidacy{}, id, heir)) {
			heir = id
		}
	}
	return heir
}
