package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
)

const (
	// relayBytes is how much output of another node may wait to be passed on.
	relayBytes = 8 << 20
	// relayLook is how often a relay looks whether the other node is still there.
	relayLook = time.Second
	// endedWait is how long who has the output of a task that has ended may say nothing of it: a message was lost.
	endedWait = 5 * time.Second
	// silentMost is how long a relay listens to a task that says nothing before it asks for the output again: what was sent
	// may be lost, or the other node has given this one up while they could not reach each other.
	silentMost = 5 * time.Second
)

// source is a node whose output is passed on, as it is when its daemon is asked: one that has started anew since
// knows nothing of that, and sends no more.
type source struct {
	view  func() sched.View
	at    bus.NodeID
	boot  string
	ended bool      // the task has: all of its output is there, and comes at once
	heard time.Time // when it said something last, or was asked
}

// sourceAt is the submitter of a task.
func sourceAt(n *sched.Node, t bus.TaskInfo) *source {
	return &source{view: n.View, at: t.Submitter, boot: n.View().Peers[t.Submitter].Beat.Boot, ended: t.State.Terminal(), heard: time.Now()}
}

// there reports whether more may come.
func (s *source) there() bool { return s.in(s.view(), time.Now()) }

func (s *source) in(v sched.View, now time.Time) bool {
	return v.Alive(s.at) && v.Peers[s.at].Beat.Boot == s.boot && (!s.ended || now.Sub(s.heard) < endedWait)
}

// tells reports whether the daemon of a task's submitter has something to say of its output to who has read, or could have,
// of attempt: while the task is open, and for a while after to who comes back.
func tells(t bus.TaskInfo, attempt int) bool {
	return t.Submitter != "" && (attempt > 0 || !t.State.Terminal())
}

// ask sends a request that nobody may answer any more, and returns the answer, or none once there says that.
func ask(ctx context.Context, nc *nats.Conn, there func() bool, subject string, data []byte) (*nats.Msg, error) {
	ctx, lost := context.WithCancel(ctx)
	var looks sync.WaitGroup
	looks.Go(func() {
		tick := time.NewTicker(relayLook)
		defer tick.Stop()
		for there() {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
		lost()
	})
	defer looks.Wait()
	defer lost()
	return nc.RequestWithContext(ctx, subject, data)
}

// relay reads the output of a task of another node through that node's daemon. What is lost on the way it asks for again, and
// so it does where that node was lost and is back.
type relay struct {
	nc     *nats.Conn
	self   bus.NodeID
	task   func(context.Context, bus.TaskID) (bus.TaskInfo, error)
	source func(bus.TaskInfo) *source
	nameOf func(bus.NodeID) string
	said   func(context.Context, bus.TaskInfo, bus.Place, bus.NodeID) ([]bus.Chunk, bool) // see sched.Node
	silent time.Duration                                                                  // see silentMost

	id bus.TaskID
	at bus.Place // where its reader is
	// hole is where pieces were missing last: they are asked for again once.
	hole *bus.Place
	via  bus.NodeID // who has sent something
	node bus.NodeID // who had made what came last
	// hand gives the reader a piece, as it came and as it was read.
	hand func(*nats.Msg, bus.Chunk) error
}

func (d *Daemon) newRelay(n *sched.Node, req bus.AttachRequest, hand func(*nats.Msg, bus.Chunk) error) *relay {
	return &relay{
		nc: d.rpc, self: d.id.NodeID(), task: n.Task, source: func(t bus.TaskInfo) *source { return sourceAt(n, t) }, nameOf: d.nameOf,
		said: n.Said, silent: silentMost, id: req.ID, at: bus.PlaceAt(req.Attempt, req.From), hand: hand,
	}
}

// run hands on all that comes before the end of task t, and returns that. told is whether it is as the task's submitter has told
// it; else that is not to be had, and it warns of what may be missing.
func (r *relay) run(ctx context.Context, t bus.TaskInfo) (end bus.Chunk, told bool, err error) {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		again := false
		if t.Submitter != r.self && tells(t, r.at.Attempt) {
			if from := r.source(t); from.there() {
				if end, again, err = r.listen(ctx, from); end.End != nil || err != nil {
					return end, true, err
				}
			}
		}
		switch {
		case again:
			continue
		case t.State.Terminal():
			if t.Warning, err = r.rest(ctx, t); err != nil {
				return end, false, err
			}
			return r.at.Read(bus.Chunk{Attempt: max(t.Attempts, r.at.Attempt), Seq: r.at.Next, Node: t.NodeID, End: &t}), false, nil
		default:
			select {
			case <-tick.C:
			case <-ctx.Done():
				return end, false, context.Cause(ctx)
			}
		}
		if t, err = r.task(ctx, r.id); err != nil {
			return end, false, cmp.Or(context.Cause(ctx), err)
		}
	}
}

// listen asks from for the output, and hands on what comes before its end. There is none where that node does not send, or is
// lost; and where something may have been lost on the way, then it is to be asked again.
func (r *relay) listen(ctx context.Context, from *source) (end bus.Chunk, again bool, err error) {
	inbox := r.nc.NewInbox()
	data, err := bus.Marshal(bus.AttachRequest{ID: r.id, Attempt: r.at.Attempt, From: r.at.Next, Inbox: inbox, Far: true})
	if err != nil {
		return end, false, err
	}
	sub, err := r.nc.SubscribeSync(inbox)
	if err != nil {
		return end, false, bus.AsError(err)
	}
	defer func() { _ = sub.Unsubscribe() }() // it fails only with the connection
	if err := sub.SetPendingLimits(-1, relayBytes); err != nil {
		return end, false, bus.AsError(err)
	}
	asking, done := context.WithTimeout(ctx, r.silent)
	m, err := ask(asking, r.nc, from.there, bus.SubjectPayloadRPC(from.at, bus.VerbAttach), data)
	late := err != nil && asking.Err() != nil && ctx.Err() == nil
	done()
	if late { // the question was lost, or the answer
		return end, from.there(), nil
	}
	if err != nil || m.Header.Get(bus.HeaderError) != "" {
		return end, false, context.Cause(ctx)
	}
	for {
		m, err := from.next(ctx, sub, r.silent)
		switch {
		case err != nil:
			return end, from.there(), context.Cause(ctx)
		case m.Header.Get(bus.HeaderError) != "":
			return end, false, nil
		}
		var c bus.Chunk
		if err := bus.Unmarshal(m.Data, &c); err != nil {
			return end, false, bus.Errorf(bus.CodeInternal, "read the output of task %s: %w", r.id, err)
		}
		switch {
		case r.at.Skips(c) && (r.hole == nil || *r.hole != r.at): // which the other node may still have
			hole := r.at
			r.hole = &hole
			return end, true, nil
		case c.End != nil:
			return r.at.Read(c), false, nil
		}
		r.via, r.node = from.at, c.Node
		r.at.Read(c)
		if err := r.hand(m, c); err != nil {
			return end, false, err
		}
	}
}

// next waits for a message of s. It fails where none comes any more, and after most, as one may be lost.
func (s *source) next(ctx context.Context, sub *nats.Subscription, most time.Duration) (*nats.Msg, error) {
	for until := time.Now().Add(most); ; {
		look, done := context.WithTimeout(ctx, min(relayLook, most))
		m, err := sub.NextMsgWithContext(look)
		done()
		if err == nil {
			s.heard = time.Now()
			return m, nil
		}
		if errors.Is(err, nats.ErrSlowConsumer) {
			continue // it comes before what waits; where that ends and the hole begins, the rest is asked for
		}
		if ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) || !s.there() || !time.Now().Before(until) {
			return nil, err
		}
	}
}

// rest hands on what is left of the output of t, which has ended, and is not to be had of its submitter: who ran it may have that
// yet. What may be missing is warned of.
func (r *relay) rest(ctx context.Context, t bus.TaskInfo) (warning string, err error) {
	warning = r.brokenOff()
	if warning == "" || r.at.Attempt == 0 {
		return warning, nil
	}
	next, ok := r.said(ctx, t, r.at, r.node)
	if !ok {
		return warning, nil
	}
	for _, c := range next {
		data, err := bus.Marshal(c)
		if err != nil {
			return "", bus.Errorf(bus.CodeInternal, "encode the output of task %s: %w", r.id, err)
		}
		r.at.Read(c)
		if err := r.hand(&nats.Msg{Data: data}, c); err != nil {
			return "", err
		}
	}
	return "", nil
}

// brokenOff is the warning at the end of an output that its reader has begun with, and whose rest is not to be had; empty where
// there is no such part.
func (r *relay) brokenOff() string {
	switch {
	case r.at.Next == 0:
		return ""
	case r.via == "":
		return "pieces of the output may be missing: no node has them any more"
	}
	return fmt.Sprintf("pieces of the output may be missing: node %s, through which they came, was lost", r.nameOf(r.via))
}
