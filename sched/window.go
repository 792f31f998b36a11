package sched

import (
	"cmp"

	"github.com/mycoswarm/mycoswarm/bus"
)

// windowParts is how many parts the window has, of which each queue gets one at least: what nobody can run at present, or
// only one slow node, or what another user has sent, may fill the window, and the others wait for none of that.
const windowParts = 20

// refillAt is how many places of the window are filled at once, and not when the loop looks anyway: to find who is next of
// very many takes a while.
const refillAt = feedWindow / 4

// window counts the open durable tasks of one submitter that are in a queue host's memory, by their queue. They are
// feedWindow at most, of feedBytes, and beyond that a part of that for each queue.
type window struct {
	all  filled
	each map[bus.Key]filled
}

type filled struct{ tasks, bytes int }

func newWindow() *window { return &window{each: map[bus.Key]filled{}} }

// key is that of e with the share of its user, whether its queue has shares or not.
func (e *entry) windowKey() bus.Key {
	k := e.key
	k.Share = bus.ShareOf(cmp.Or(e.job.Task.User, string(e.job.Submitter)))
	return k
}

// takes reports whether e may be fed.
func (w *window) takes(e *entry) bool {
	return w.all.takes(e, 1) || w.each[e.windowKey()].takes(e, windowParts)
}

func (f filled) takes(e *entry, parts int) bool {
	return f.tasks < feedWindow/parts && f.bytes+inline(&e.job.Task) <= feedBytes/parts
}

// add notes that e is in the queue.
func (w *window) add(e *entry) {
	k := e.windowKey()
	w.all, w.each[k] = w.all.with(e), w.each[k].with(e)
}

func (f filled) with(e *entry) filled {
	return filled{f.tasks + 1, f.bytes + inline(&e.job.Task)}
}
