package sched

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mycoswarm/mycoswarm/bus"
)

const (
	heardEvery = askAfter     // between tries to write an end that was heard
	heardAtOne = 16           // written at one time
	heardBytes = 64 << 20     // of ends that wait for the own disk
	heardFor   = 3 * askAfter // how long one counts that did not fit; it is asked for again meanwhile
)

// heard is the end of a task that is open here, as another node has told it, until it is on the own disk.
// Such a task is not fed. Others may know many ends, and a disk is slow.
type heard struct {
	final *Final // nil where it did not fit into memory
	at    time.Time
	next  time.Time // of the next try
}

// learn takes in an end that another node knows.
func (o *outbox) learn(f Final) {
	o.mu.Lock()
	k, e := o.kept[f.Task], o.entries[f.Task]
	durable := k != nil && k.final == nil || k == nil && e != nil && e.job.Durable() // which the own disk may have missed
	if durable {
		o.hear(f)
	}
	o.mu.Unlock()
	switch {
	case durable:
		o.writeHeard()
	case e != nil && !e.job.Durable():
		o.complete(f.Task, f)
	}
}

// hear notes f, unless another end was heard first. The caller holds mu.
func (o *outbox) hear(f Final) {
	h := o.heard[f.Task]
	if h != nil && h.final != nil {
		return
	}
	h = &heard{at: o.n.now()}
	if size := f.size(); o.heardBytes+size <= heardBytes {
		h.final = &f
		o.heardBytes += size
	}
	o.heard[f.Task] = h
	o.stir()
}

// unhear drops what was heard of a task. The caller holds mu.
func (o *outbox) unhear(id bus.TaskID) {
	if h := o.heard[id]; h != nil && h.final != nil {
		o.heardBytes -= h.final.size()
	}
	delete(o.heard, id)
}

// size is roughly what f takes in memory, in bytes.
func (f *Final) size() int { return len(f.Result) + 500 }

// writeHeard writes the ends that were heard to the own disk, in the background, until no try is due.
func (o *outbox) writeHeard() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.hearing || len(o.heard) == 0 {
		return
	}
	o.hearing = true
	o.n.bg.run(func() {
		for {
			due := o.dueHeard()
			if len(due) == 0 {
				return
			}
			var all errgroup.Group
			all.SetLimit(heardAtOne)
			for i := range due {
				select {
				case <-o.n.bg.done:
					return
				default:
				}
				all.Go(func() error {
					ctx, cancel := context.WithTimeout(context.Background(), keepWait)
					defer cancel()
					o.put(ctx, &due[i].job, due[i].job.Custodian, &due[i].final, 1) // the store tells once it has it, see onKept
					return nil
				})
			}
			_ = all.Wait() // they return none
		}
	})
}

// dueHeard returns the ends to write now. Where there is none, nobody is writing any more.
func (o *outbox) dueHeard() (due []ended) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.n.now()
	for id, h := range o.heard {
		k, e := o.kept[id], o.entries[id]
		switch {
		case k == nil && e == nil, h.final == nil && now.Sub(h.at) > heardFor:
			o.unhear(id)
		case h.final == nil || now.Before(h.next):
		default:
			h.next = now.Add(heardEvery)
			if k != nil {
				due = append(due, ended{k.job, *h.final})
			} else {
				due = append(due, ended{e.job, *h.final})
			}
		}
	}
	o.hearing = len(due) > 0
	return due
}
