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

// Receivers are what a node does with the messages of others, by what they are.
func (n *Node) Receivers() map[string]func(Msg) {
	return map[string]func(Msg){
		"beat":   n.onBeat,
		"bye":    n.onBye,
		"next":   n.onNext,
		"out":    n.outbox.onOut,
		"sync":   func(m Msg) { n.onSync(context.Background(), m) },
		"find":   n.outbox.onFind,
		"cancel": n.worker.onCancel,
		"resend": n.worker.onResend,
		"kept": func(m Msg) {
			n.outbox.onKept(Kept{Submitter: n.cfg.ID, Custodian: bus.NoCustodian, Task: "t1", Data: m.Data, At: time.Now()})
		},
	}
}
