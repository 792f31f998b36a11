package sched

import (
	"slices"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

const (
	justEnded = 100 * time.Millisecond // a slot whose task has ended asks again within this
	leastSoon = 10 * time.Millisecond  // what is overdue may end at any time
	overdue   = 3                      // times as long as it takes as a rule: nobody knows
)

// seatID names the slots of one node for one class.
type seatID struct {
	node  bus.NodeID
	class string
}

// seatState is what a host knows of a node's slots for one class.
type seatState struct {
	told    *asking // its last request for work
	running map[*item]struct{}
	batch   int       // of running
	ended   time.Time // the last of them
	stays   stays
}

// seat returns what is known of a node's slots.
func (h *host) seat(node bus.NodeID, class string) *seatState {
	id := seatID{node, class}
	s := h.seats[id]
	if s == nil {
		s = &seatState{running: map[*item]struct{}{}}
		h.seats[id] = s
	}
	return s
}

// sits notes that a worker has claimed it.
func (h *host) sits(it *item, worker bus.NodeID) {
	if worker == "" || it.at == worker {
		return
	}
	h.rises(it, false)
	s := h.seat(worker, it.k.key.Class)
	it.at, it.began = worker, h.n.now()
	s.running[it] = struct{}{}
	if it.k.key.Lane == bus.Batch {
		s.batch++
	}
	if !h.n.off(ProtectAffinity) {
		h.warm.put(it.need.Affinity, worker)
	}
	it.charged = guessStay
	if d := s.stays[it.k.key.Model]; d > 0 {
		it.charged = d
	}
	h.usage.spent(it.k.key.Share, it.charged)
}

// rises notes that its worker runs it no more. done is set where it has ended as it should.
func (h *host) rises(it *item, done bool) {
	if it.at == "" {
		return
	}
	s := h.seat(it.at, it.k.key.Class)
	if _, was := s.running[it]; was {
		delete(s.running, it)
		if it.k.key.Lane == bus.Batch {
			s.batch--
		}
	}
	now := h.n.now()
	s.ended = now
	if done {
		s.stays = s.stays.with(it.k.key.Model, now.Sub(it.began))
	}
	h.usage.spent(it.k.key.Share, now.Sub(it.began)-it.charged)
	it.at = ""
}

// freeSlot is a slot that asks, and the seat that it belongs to.
type freeSlot struct {
	a    *asking
	seat int
}

// seatsFor returns the seats of all nodes for the classes of heads, and notes in h.free the slots that
// may be answered. It forgets those who ask no more.
func (h *host) seatsFor(heads []QueueHead, now time.Time) []Seat {
	h.classes = h.classes[:0]
	for i := range heads {
		if c := heads[i].Key.Class; !slices.Contains(h.classes, c) {
			h.classes = append(h.classes, c)
		}
	}
	clear(h.seatAt)
	h.boots = h.boots[:0]
	seats := h.n.members.seats(h.classes, &h.boots)
	for i := range seats {
		h.seatAt[seatID{seats[i].Node, seats[i].Class}] = i
		h.describe(&seats[i])
		if o := seats[i].Info; o != nil && o.Owner != nil && h.n.off(ProtectOwner) {
			open := *o
			open.Owner = nil
			seats[i].Info = &open
		}
	}
	h.free = h.free[:0]
	for id, a := range h.asking {
		if !slices.Contains(h.classes, id.class) {
			continue
		}
		i, known := h.seatAt[seatID{id.node, id.class}]
		if !known || now.Sub(a.at) > askedFor || !seats[i].State.Live() || a.boot != h.boots[i] {
			delete(h.asking, id)
			continue
		}
		if seats[i].State == bus.NodeReady {
			seats[i].Free++
			h.free = append(h.free, freeSlot{a, i})
		}
	}
	for id, g := range h.answers { // what is on its way there is not claimed yet
		i, known := h.seatAt[seatID{id.node, id.class}]
		if !known {
			continue
		}
		seats[i].Busy++
		if g.k.key.Lane == bus.Batch {
			seats[i].Batch++
		}
		seats[i].before(g.k.key.Model, 0)
	}
	for i := range seats {
		if seats[i].Free == 0 {
			h.foresee(&seats[i], now)
		}
	}
	return seats
}

// describe fills in what the host knows of a seat.
func (h *host) describe(s *Seat) {
	if pulls := h.seats[seatID{s.Node, bus.TypePull}]; pulls != nil {
		s.Pulls = len(pulls.running)
	}
	st := h.seats[seatID{s.Node, s.Class}]
	if st == nil {
		return
	}
	s.Busy, s.Batch, s.Stays = len(st.running), st.batch, st.stays
	for it := range st.running {
		s.before(it.k.key.Model, h.n.now().Sub(it.began))
	}
	if t := st.told; t != nil {
		s.Slots, s.CPU, s.GPU, s.FreeBytes = t.Slots, t.CPU, t.GPU, int64(t.FreeMB)<<20
	}
}

// before notes a task of a model that has run at s for so long.
func (s *Seat) before(model string, ran time.Duration) {
	if model == "" {
		return
	}
	for i := range s.Ahead {
		if a := &s.Ahead[i]; a.Model == model {
			a.Tasks, a.Ran = a.Tasks+1, max(a.Ran, ran)
			return
		}
	}
	s.Ahead = append(s.Ahead, Ahead{model, 1, ran})
}

// foresee estimates when a slot of s will be free, by how long tasks take there.
func (h *host) foresee(s *Seat, now time.Time) {
	st := h.seats[seatID{s.Node, s.Class}]
	if st == nil {
		return
	}
	if s.Busy < s.Slots && now.Sub(st.ended) < justEnded {
		s.Soon = time.Millisecond
	}
	for it := range st.running {
		stay, known := st.stays[it.k.key.Model]
		if ran := now.Sub(it.began); known && ran < overdue*stay {
			s.Stay = max(s.Stay, stay)
			if left := max(stay-ran, leastSoon); s.Soon == 0 || left < s.Soon {
				s.Soon = left
			}
		}
	}
}

// takeFree removes the slot of a seat with the lowest number from those that ask.
func (h *host) takeFree(seat int) *asking {
	best := -1
	for i, f := range h.free {
		if f.seat == seat && (best < 0 || f.a.Slot < h.free[best].a.Slot) {
			best = i
		}
	}
	a := h.free[best].a
	h.free = slices.Delete(h.free, best, best+1)
	return a
}

// seats returns a Seat for each node and class, and beside it in boots the node's start.
func (m *members) seats(classes []string, boots *[]string) []Seat {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]Seat, 0, len(m.peers)*len(classes))
	for id, p := range m.peers {
		for _, c := range classes {
			out = append(out, Seat{Node: id, State: p.State, Info: p.told, Class: c})
			*boots = append(*boots, p.Beat.Boot)
		}
	}
	return out
}
