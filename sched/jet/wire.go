package jet

import (
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
)

var _ sched.Wire = (*Jet)(nil)

// Publish sends m over the fabric, or loses it.
func (j *Jet) Publish(m sched.Msg) error {
	err := j.fabric.nc.PublishMsg(&nats.Msg{Subject: m.Subject, Reply: m.Reply, Data: m.Data})
	if err != nil {
		return fmt.Errorf("publish to %s: %w", m.Subject, err)
	}
	return nil
}

// Subscribe calls fn for each message on subject, one at a time, until stop is called; but for the
// ends of this node's own tasks, which may come beside others (see tell). A call that runs already
// when stop is called is not waited for.
func (j *Jet) Subscribe(subject string, fn func(sched.Msg)) (stop func(), err error) {
	if subject == bus.SubjectOuts(j.cfg.Node) {
		j.mu.Lock()
		j.outs = fn
		j.mu.Unlock()
	}
	sub, err := subscribe(j.fabric.nc, subject, func(m *nats.Msg) {
		if m.Header.Get(hdrStatus) != "" && len(m.Data) == 0 {
			return // the server's note that a request found nobody
		}
		fn(sched.Msg{Subject: m.Subject, Reply: m.Reply, Data: m.Data})
	})
	if err != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", subject, err)
	}
	return stopper(sub), nil
}

// tell is Publish for the output of a task; that of this node's own goes straight to who listens
// here, without the way through the server.
func (j *Jet) tell(m sched.Msg) error {
	j.mu.Lock()
	own := j.outs
	j.mu.Unlock()
	if own == nil || !strings.HasPrefix(m.Subject, strings.TrimSuffix(bus.SubjectOuts(j.cfg.Node), "*.out")) {
		return j.Publish(m)
	}
	own(m)
	return nil
}

// Inbox returns a new subject prefix that only this node listens on.
func (j *Jet) Inbox() string { return j.fabric.nc.NewInbox() }

// Routes returns the nodes that this node has a route to at this moment.
func (j *Jet) Routes() map[bus.NodeID]bool { return j.cfg.Routes() }

// stopper ends subscriptions. Ending one twice, or after its connection, is no error.
func stopper(subs ...*nats.Subscription) func() {
	return func() {
		for _, s := range subs {
			_ = s.Unsubscribe()
		}
	}
}
