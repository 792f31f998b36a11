package bus

import (
	"errors"

	"github.com/nats-io/nats.go"
)

// idleMost is how many inboxes a connection keeps for streams to come.
const idleMost = 64

// inbox returns a subscription for the output of one task. One that a stream before has read to
// its end serves again: the whole swarm hears of every subscription that comes or goes.
func (c *Conn) inbox() (*nats.Subscription, error) {
	c.mu.Lock()
	for n := len(c.idle); n > 0; n = len(c.idle) {
		sub := c.idle[n-1]
		c.idle = c.idle[:n-1]
		if sub.IsValid() {
			c.mu.Unlock()
			return sub, nil
		}
	}
	c.mu.Unlock()
	sub, err := c.nc.Load().SubscribeSync(c.nc.Load().NewInbox())
	if err != nil {
		return nil, c.lost(err)
	}
	if err := sub.SetPendingLimits(-1, maxUnread); err != nil {
		return nil, Errorf(CodeInternal, "limit the unread output: %w", err)
	}
	return sub, nil
}

// reuse keeps an inbox whose stream has ended.
func (c *Conn) reuse(sub *nats.Subscription) {
	c.mu.Lock()
	keep := len(c.idle) < idleMost && !c.over
	if keep {
		c.idle = append(c.idle, sub)
	}
	c.mu.Unlock()
	if !keep {
		c.leave(sub)
	}
}

// leave ends a subscription.
func (c *Conn) leave(sub *nats.Subscription) {
	c.aside(func() {
		if err := sub.Unsubscribe(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
			c.log.Debug("end a subscription", "subject", sub.Subject, "error", err)
		}
	})
}
