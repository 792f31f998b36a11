package sched

import (
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

// onResend sends again what a submitter has missed.
func (w *worker) onResend(m Msg) {
	var r resendMsg
	id, ok := bus.TaskOfResend(m.Subject)
	if !ok || bus.Unmarshal(m.Data, &r) != nil {
		return
	}
	w.mu.Lock()
	a := w.running[id]
	if a == nil {
		a, _ = w.said.get(id)
	}
	w.mu.Unlock()
	if a == nil || a.rec.Attempt != r.Attempt || m.Subject != bus.SubjectResend(a.job.Submitter, id) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, k := range a.kept {
		if k.Seq < r.From {
			continue
		}
		if err := a.send(k); err != nil {
			w.n.log.Debug("resend", "err", err)
			return
		}
	}
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
