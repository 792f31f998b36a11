package sched

import (
	"context"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Without returns c with protections out of force.
func (c Config) Without(ps []Protection) Config {
	c.without = map[Protection]bool{}
	for _, p := range ps {
		c.without[p] = true
	}
	return c
}

// WithSpareKeys returns c where a queue keeps n keys of which nothing is there, and none where n is below 0.
func (c Config) WithSpareKeys(n int) Config {
	c.spareKeys = n
	return c
}

// Open is how many bytes of open tasks count, all together and of the durable ones, once more are added.
func (n *Node) Open(more int) (all, durable int) {
	n.outbox.mu.Lock()
	defer n.outbox.mu.Unlock()
	n.outbox.openBytes += more
	return n.outbox.openBytes, n.outbox.durableBytes
}

// Receivers are what a node does with the messages of others, by what they are.
func (n *Node) Receivers() map[string]func(Msg) {
	return map[string]func(Msg){
		"beat":   n.onBeat,
		"bye":    n.onBye,
		"next":   n.onNext,
		"offer":  func(m Msg) { n.onOffer(context.Background(), m) },
		"out":    n.outbox.onOut,
		"sync":   n.onSync,
		"find":   n.outbox.onFind,
		"cancel": n.worker.onCancel,
		"resend": n.worker.onResend,
		"shown":  n.outbox.onShown,
		"kept": func(m Msg) {
			n.outbox.onKept(Kept{Submitter: n.cfg.ID, Custodian: bus.NoCustodian, Task: "t1", Data: m.Data, At: time.Now()})
		},
	}
}
