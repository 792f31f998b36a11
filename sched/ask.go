package sched

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// repliesMost is how many bytes of replies wait for who has asked, and has not read them yet. What comes beyond that is
// dropped, as it may be on its way, and all that follows: a last reply would pass for those before it. Who asks of a large swarm
// has many replies in one moment, and each may have several.
const repliesMost = 64 << 20

// asker sends requests and gathers their replies over one subscription.
type asker struct {
	wire  Wire
	inbox string
	next  atomic.Uint64

	mu   sync.Mutex
	open map[string]*replies
}

func newAsker(w Wire) *asker {
	return &asker{wire: w, inbox: w.Inbox(), open: map[string]*replies{}}
}

func (a *asker) start() (stop func(), err error) {
	return a.wire.Subscribe(a.inbox+".*", func(m Msg) {
		a.mu.Lock()
		r := a.open[m.Subject]
		a.mu.Unlock()
		if r != nil {
			r.put(m)
		}
	})
}

// replies are those to one question that are not read yet.
type replies struct {
	come chan struct{} // has a value where there may be some

	mu   sync.Mutex
	all  []Msg
	size int
	lost bool
}

func (r *replies) put(m Msg) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.size += len(m.Data); r.size > repliesMost || r.lost {
		r.lost = true
		return
	}
	r.all = append(r.all, m)
	poke(r.come)
}

// take returns those that have come since it was called last.
func (r *replies) take() (all []Msg) {
	r.mu.Lock()
	defer r.mu.Unlock()
	all, r.all, r.size = r.all, nil, 0
	return all
}

// ask publishes a request and returns its replies; done releases them.
func (a *asker) ask(subject string, data []byte) (r *replies, done func(), err error) {
	reply := a.inbox + "." + strconv.FormatUint(a.next.Add(1), 36)
	r = &replies{come: make(chan struct{}, 1)}
	a.mu.Lock()
	a.open[reply] = r
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
	return r, done, nil
}

// gather collects replies until enough says so or ctx ends. enough is asked with every reply,
// and now and then with none: who was waited for may have gone.
func (a *asker) gather(ctx context.Context, subject string, data []byte, enough func(*Msg) bool) error {
	r, done, err := a.ask(subject, data)
	if err != nil {
		return err
	}
	defer done()
	t := time.NewTicker(pollEvery)
	defer t.Stop()
	for {
		select {
		case <-r.come:
			for _, m := range r.take() {
				if enough(&m) {
					return nil
				}
			}
		case <-t.C:
			if enough(nil) {
				return nil
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// hearFrom asks all nodes, and calls each with every reply until those of missing have given their last, or have no route
// any more: it drops them there. each tells whose last reply it was, if it was one, and whether no more is needed.
func (n *Node) hearFrom(ctx context.Context, missing map[bus.NodeID]bool, q Msg, each func(data []byte) (last bus.NodeID, enough bool)) error {
	return n.asker.gather(ctx, q.Subject, q.Data, func(m *Msg) bool {
		enough := false
		if m == nil {
			n.stillThere(missing)
		} else {
			var last bus.NodeID
			last, enough = each(m.Data)
			delete(missing, last)
		}
		return enough || len(missing) == 0
	})
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
