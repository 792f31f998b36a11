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

// window counts the open durable tasks of one submitter, or custodian, that are in a queue host's memory, by their queue. They are
// feedWindow at most, of feedBytes, and beyond that a part of that for each queue.
type window struct {
	all  filled
	each map[bus.Key]filled
}

type filled struct{ tasks, bytes int }

func newWindow() *window { return &window{each: map[bus.Key]filled{}} }

// windowKey is key with the share of j's user, whether its queue has shares or not.
func windowKey(key bus.Key, j *Job) bus.Key {
	key.Share = bus.ShareOf(cmp.Or(j.Task.User, string(j.Submitter)))
	return key
}

// takes reports whether j may be fed.
func (w *window) takes(key bus.Key, j *Job) bool {
	return w.all.takes(j, 1) || w.each[windowKey(key, j)].takes(j, windowParts)
}

func (f filled) takes(j *Job, parts int) bool {
	return f.tasks < feedWindow/parts && f.bytes+inline(&j.Task) <= feedBytes/parts
}

// add notes that j is in the queue.
func (w *window) add(key bus.Key, j *Job) {
	k := windowKey(key, j)
	w.all, w.each[k] = w.all.with(j), w.each[k].with(j)
}

func (f filled) with(j *Job) filled {
	return filled{f.tasks + 1, f.bytes + inline(&j.Task)}
}
