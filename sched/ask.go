package sched

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// asker sends requests and gathers their replies over one subscription.
type asker struct {
	wire  Wire
	inbox string
	next  atomic.Uint64

	mu   sync.Mutex
	open map[string]chan Msg
}

func newAsker(w Wire) *asker {
	return &asker{wire: w, inbox: w.Inbox(), open: map[string]chan Msg{}}
}

func (a *asker) start() (stop func(), err error) {
	return a.wire.Subscribe(a.inbox+".*", func(m Msg) {
		a.mu.Lock()
		c := a.open[m.Subject]
		a.mu.Unlock()
		if c != nil {
			select {
			case c <- m:
			default: // the asker wants no more
			}
		}
	})
}

// ask publishes a request and returns a channel of its replies; done releases it.
func (a *asker) ask(subject string, data []byte, room int) (replies <-chan Msg, done func(), err error) {
	reply := a.inbox + "." + strconv.FormatUint(a.next.Add(1), 36)
	c := make(chan Msg, room)
	a.mu.Lock()
	a.open[reply] = c
	a.mu.Unlock()
	done = func() {
		a.mu.Lock()
		delete(a.open, reply)
		a.mu.Unlock()
	}
	if err := a.wire.Publish(Msg{Subject: subject, Reply: reply, Data: data}); err != nil {
		done()
		return nil, nil, err
	}
	return c, done, nil
}

// gather collects replies until enough says so or ctx ends. enough is asked with every reply,
// and now and then with none: who was waited for may have gone.
func (a *asker) gather(ctx context.Context, subject string, data []byte, enough func(*Msg) bool) error {
	c, done, err := a.ask(subject, data, 256)
	if err != nil {
		return err
	}
	defer done()
	t := time.NewTicker(pollEvery)
	defer t.Stop()
	for {
		var reply *Msg
		select {
		case m := <-c:
			reply = &m
		case <-t.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if enough(reply) {
			return nil
		}
	}
}

// stillThere drops from missing who has no route any more.
func (n *Node) stillThere(missing map[bus.NodeID]bool) {
	routes := n.fx.Routes()
	for id := range missing {
		if id != n.cfg.ID && !routes[id] {
			delete(missing, id)
		}
	}
}
