package daemon

import (
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
)

// source is a node whose output is passed on, as it is when its daemon is asked: one that has started anew since
// knows nothing of that, and sends no more.
type source struct {
	n     *sched.Node
	at    bus.NodeID
	boot  string
	ended bool      // the task has: all of its output is there, and comes at once
	heard time.Time // when it said something last, or was asked
}

// sourceAt is the submitter of a task.
func sourceAt(n *sched.Node, t bus.TaskInfo) *source {
	return &source{n: n, at: t.Submitter, boot: n.View().Peers[t.Submitter].Beat.Boot, ended: t.State.Terminal(), heard: time.Now()}
}

// there reports whether more may come.
func (s *source) there() bool { return s.in(s.n.View(), time.Now()) }

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

// far attaches to the output of a task of another node, and returns what passes it on to the client:
// another daemon sends to this one's inboxes, not to those of its users. nil: that node does not send.
func (s *rpcServer) far(ctx context.Context, n *sched.Node, t bus.TaskInfo, req bus.AttachRequest) (relay func()) {
	from := sourceAt(n, t)
	inbox := s.d.rpc.NewInbox()
	// The client may not tell another daemon what it has read.
	data, err := bus.Marshal(bus.AttachRequest{ID: req.ID, Attempt: req.Attempt, From: req.From, Inbox: inbox, Far: true})
	if err != nil {
		return nil
	}
	sub, err := s.d.rpc.SubscribeSync(inbox)
	if err == nil {
		err = sub.SetPendingLimits(-1, relayBytes)
	}
	var m *nats.Msg
	if err == nil {
		m, err = ask(ctx, s.d.rpc, from.there, bus.SubjectPayloadRPC(from.at, bus.VerbAttach), data)
	}
	if err != nil || m.Header.Get(bus.HeaderError) != "" {
		if sub != nil {
			_ = sub.Unsubscribe() // it was never used
		}
		return nil
	}
	return func() {
		defer func() {
			if err := sub.Unsubscribe(); err != nil {
				s.d.log.Debug("end a relay", "task", req.ID, "err", err)
			}
		}()
		if pieces, over := s.passOn(from, sub, req); !over {
			s.follow(n, req, s.d.brokenOff(pieces, from.at))
		}
	}
}

// brokenOff is the warning at the end of an output of which so many pieces had come through node at when that
// was lost; empty where none had.
func (d *Daemon) brokenOff(pieces int, at bus.NodeID) string {
	if pieces == 0 {
		return ""
	}
	return fmt.Sprintf("pieces of the output may be missing: node %s, through which they came, was lost", d.nameOf(at))
}

// passOn sends what comes to sub to the client until its end, or until the client has left, and counts the
// pieces; over is false where the node that they are from is lost before.
func (s *rpcServer) passOn(from *source, sub *nats.Subscription, req bus.AttachRequest) (pieces int, over bool) {
	ctx, cancel := context.WithCancelCause(s.ctx)
	defer cancel(nil)
	s.wg.Go(func() { s.watchInbox(ctx, req.Inbox, cancel) })
	for {
		look, done := context.WithTimeout(ctx, relayLook)
		m, err := sub.NextMsgWithContext(look)
		done()
		switch {
		case ctx.Err() != nil:
			return pieces, true
		case errors.Is(err, context.DeadlineExceeded):
			if !from.there() {
				return pieces, false
			}
			continue
		case err != nil: // too much waits: the end is told all the same
			s.d.log.Warn("pass output on", "task", req.ID, "from", from.at, "err", err)
			return pieces, false
		}
		from.heard = time.Now()
		m.Subject, m.Reply = req.Inbox, ""
		if err := s.d.rpc.PublishMsg(m); err != nil {
			s.d.log.Debug("pass output on", "task", req.ID, "err", err)
			return pieces, true
		}
		var chunk bus.Chunk
		if m.Header.Get(bus.HeaderError) != "" || bus.Unmarshal(m.Data, &chunk) == nil && chunk.End != nil {
			return pieces, true
		}
		pieces++
	}
}
