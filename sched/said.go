package sched

import (
	"context"
	"slices"

	"github.com/mycoswarm/mycoswarm/bus"
)

// A worker keeps the output of attempts that have just ended, for who has missed some of it: so many, of so many bytes, and
// so much of one.
const (
	saidMost, saidBytes = 64, 8 << 20
	saidEach            = saidBytes / 8
	pieceBytes          = 128 // what a kept piece takes beside its Data
)

// onResend sends again what a submitter has missed, or a reader whose submitter is lost.
func (w *worker) onResend(m Msg) {
	var r resendMsg
	id, ok := bus.TaskOfResend(m.Subject)
	if !ok || bus.Unmarshal(m.Data, &r) != nil || r.Worker != "" && (r.Worker != w.n.cfg.ID || m.Reply == "") {
		return
	}
	w.mu.Lock()
	a := w.running[id]
	if a == nil {
		a, _ = w.said.get(id)
	}
	w.mu.Unlock()
	if a != nil && (a.rec.Attempt != r.Attempt || m.Subject != bus.SubjectResend(a.job.Submitter, id)) {
		a = nil
	}
	var err error
	switch {
	case r.Worker != "":
		err = w.tellSaid(a, r.From, m.Reply)
	case a != nil:
		a.mu.Lock() // what it says now comes after that
		defer a.mu.Unlock()
		for _, k := range a.kept {
			if k.Seq >= r.From && err == nil {
				err = a.send(k)
			}
		}
	}
	if err != nil {
		w.n.log.Debug("resend", "err", err)
	}
}

// tellSaid sends what is kept of the output of a from one piece on to who has asked; nothing where a is nil.
func (w *worker) tellSaid(a *attempt, from int, reply string) error {
	var all []outMsg
	if a != nil {
		a.mu.Lock()
		all = slices.Clone(a.kept)
		a.mu.Unlock()
	}
	all = slices.DeleteFunc(all, func(k outMsg) bool { return k.Seq < from })
	for {
		n, size := 0, 0
		for ; n < len(all); n++ {
			if size += len(all[n].Data) + 2*pieceBytes; size > findPiece && n > 0 { // what is beside its words is longer here
				break
			}
		}
		err := w.n.fx.Publish(Msg{Subject: reply, Data: marshal(saidMsg{Pieces: all[:n], More: n < len(all)})})
		if all = all[n:]; err != nil || len(all) == 0 {
			return err
		}
	}
}

// Said returns what comes after at of the output of a task that has ended, as who ran it last keeps it, for a reader whose
// submitter is lost: before is who said what it has read last, where it knows that. ok is false where some of that is gone, or may be.
func (n *Node) Said(ctx context.Context, t bus.TaskInfo, at bus.Place, before bus.NodeID) (next []bus.Chunk, ok bool) {
	if t.NodeID == "" || t.Attempts == 0 || !n.members.alive(t.NodeID) {
		return nil, false
	}
	ctx, cancel := context.WithTimeout(ctx, syncWithin)
	defer cancel()
	q := Msg{Subject: bus.SubjectResend(t.Submitter, t.ID), Data: marshal(resendMsg{Attempt: t.Attempts, Worker: t.NodeID})}
	var all []outMsg
	err := n.hearFrom(ctx, map[bus.NodeID]bool{t.NodeID: true}, q, func(data []byte) (last bus.NodeID, enough bool) {
		var r saidMsg
		if bus.Unmarshal(data, &r) != nil {
			return "", false
		}
		all = append(all, r.Pieces...)
		ok = !r.More
		return "", ok
	})
	if err != nil || !ok {
		n.log.Debug("ask who ran a task for its output", "task", t.ID, "node", t.NodeID, "err", err)
		return nil, false
	}
	return follow(all, at, before)
}

// follow returns those of the last pieces of an attempt that come after at, numbered as its readers know them, and whether
// they are all that there are.
func follow(pieces []outMsg, at bus.Place, before bus.NodeID) (next []bus.Chunk, ok bool) {
	for _, m := range pieces {
		c, base := bus.Chunk{Attempt: m.Attempt, Seq: m.Seq, Node: m.Node, Data: m.Data}, 0
		if a := m.After; a != nil && a.Chunks > 0 {
			base = a.Chunks
			if c.Attempt, c.Seq = a.Attempt, base+m.Seq; m.Seq == 0 {
				c.Continues = &bus.Continues{Attempt: m.Attempt, Lost: before}
			}
		}
		if ok = c.Attempt >= at.Attempt; c.Attempt < at.Attempt || c.Attempt == at.Attempt && c.Seq < at.Next {
			continue
		}
		if c.Attempt == at.Attempt && at.Next > base && before != "" && before != m.Node {
			return nil, false // another run of that number was read
		}
		if len(next) == 0 && at.Skips(c) {
			return nil, false
		}
		next = append(next, c)
	}
	return next, ok
}

// keepSaid keeps the last output of a, which has ended, for a submitter that has missed some: its end may come first.
func (w *worker) keepSaid(a *attempt) {
	if a.job.Submitter == w.n.cfg.ID {
		return
	}
	a.mu.Lock() // not within w.mu, see reported
	kept, size := lastSaid(a.kept)
	kept = slices.Clone(kept) // alone: what was cut off is in the same array
	a.mu.Unlock()
	if len(kept) == 0 {
		return
	}
	j := *a.job
	j.slim()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.said.put(j.Task.ID, &attempt{w: w, job: &j, rec: Record{Attempt: a.rec.Attempt}, kept: kept}, size)
}

// lastSaid returns the last pieces of an output that take saidEach bytes at most, or the very last one, and what they take:
// an output of a million words does not drive out those of all other tasks.
func lastSaid(kept []outMsg) (last []outMsg, size int) {
	from := len(kept)
	for ; from > 0; from-- {
		piece := len(kept[from-1].Data) + pieceBytes
		if size+piece > saidEach && from < len(kept) {
			break
		}
		size += piece
	}
	return kept[from:], size
}
