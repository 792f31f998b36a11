package sched

import (
	"cmp"
	"context"
	"maps"
	"reflect"
	"slices"

	"github.com/mycoswarm/mycoswarm/bus"
)

// pool is the slots of one handler.
type pool struct {
	typ     string
	handler bus.Handler
	cap     bus.Capability
	slots   map[int]context.CancelFunc
	busy    int
	batch   int // slots that have batch work, or look for it
}

// Handle makes the node run tasks with h, until remove is called. A second handler of the same
// type replaces the first.
func (n *Node) Handle(ctx context.Context, h bus.Handler) (remove func(), err error) {
	c, err := h.Capability(ctx)
	if err != nil {
		return nil, err
	}
	w := n.worker
	p := &pool{typ: c.Type, handler: h, cap: c, slots: map[int]context.CancelFunc{}}
	w.mu.Lock()
	if old := w.pools[c.Type]; old != nil {
		old.shrink(0)
	}
	w.pools[c.Type] = p
	w.mu.Unlock()
	poke(w.changed)
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.pools[c.Type] == p {
			delete(w.pools, c.Type)
		}
		p.shrink(0)
		n.beatSoon()
	}, nil
}

// CapabilityChanged makes the node ask its handlers at once what they can run.
func (n *Node) CapabilityChanged() { poke(n.worker.changed) }

// shrink ends slots until n are left; those that work end when they are done. The caller holds
// the worker's mutex.
func (p *pool) shrink(n int) {
	for id, stop := range p.slots {
		if len(p.slots) <= n {
			return
		}
		stop()
		delete(p.slots, id)
	}
}

func (w *worker) adjust(ctx context.Context) {
	w.mu.Lock()
	pools := slices.Collect(maps.Values(w.pools))
	w.mu.Unlock()
	news := false
	for _, p := range pools {
		c, err := p.handler.Capability(ctx)
		if err != nil {
			w.n.log.Warn("ask a handler what it can run", "type", p.typ, "err", err)
			c = bus.Capability{Type: p.typ}
		}
		w.mu.Lock()
		news = news || !reflect.DeepEqual(c, p.cap) || len(p.slots) != c.Slots
		p.cap = c
		if w.pools[p.typ] == p {
			p.shrink(c.Slots)
			for len(p.slots) < c.Slots {
				w.addSlot(ctx, p)
			}
		}
		w.mu.Unlock()
	}
	if news {
		w.n.beatSoon()
	}
}

// addSlot starts one more slot of p. The caller holds mu.
func (w *worker) addSlot(ctx context.Context, p *pool) {
	var id int
	if spare := w.spare[p.typ]; len(spare) > 0 {
		id, w.spare[p.typ] = spare[len(spare)-1], spare[:len(spare)-1]
	} else {
		w.nextSlot++
		id = w.nextSlot
	}
	sctx, stop := context.WithCancel(ctx)
	p.slots[id] = stop
	w.wg.Go(func() {
		defer func() {
			stop()
			w.mu.Lock()
			w.spare[p.typ] = append(w.spare[p.typ], id)
			w.mu.Unlock()
		}()
		w.work(ctx, sctx, p, id)
	})
}

// describe fills in what handlers can do.
func (w *worker) describe(i *bus.NodeInfo) {
	w.mu.Lock()
	defer w.mu.Unlock()
	i.Types, i.Slots, i.Busy, i.ModelSlots = []string{}, 0, 0, 0
	i.Models, i.Embedders = []bus.ModelInfo{}, nil
	for typ, p := range w.pools {
		if p.cap.Slots == 0 {
			continue
		}
		i.Types = append(i.Types, typ)
		if typ == bus.TypeEmbed {
			i.Embedders = append(i.Embedders, p.cap.Models...)
			continue // it has slots of its own, beside those that are told
		}
		i.Models = append(i.Models, p.cap.Models...)
		switch typ {
		case bus.TypePing, bus.TypePull, bus.TypeDelete, bus.TypeShow, bus.TypeFetch, bus.TypeSearch, bus.TypeFile: // these have slots of their own
		default:
			i.Slots += p.cap.Slots
			i.Busy += p.busy
			if typ == bus.TypeInference {
				i.ModelSlots = p.cap.Slots
			}
		}
	}
	slices.Sort(i.Types)
	slices.SortStableFunc(i.Models, func(a, b bus.ModelInfo) int { return cmp.Compare(a.Name, b.Name) })
}

// slotsOf is how many slots p has at present.
func (w *worker) slotsOf(p *pool) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return p.cap.Slots
}
