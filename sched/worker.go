package sched

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/protect"
)

// Times of the worker.
const (
	nextWait   = time.Second            // a request for work is renewed after this, or before; see next
	listedFor  = nextWait / 4           // the slots that look within this time look into one listing
	capEvery   = 250 * time.Millisecond // how often handlers are asked what they can run
	effectWait = 2 * time.Second        // a claim, a commit
	silentMost = 3                      // renewals without work, after which a slot looks for itself: the host may keep a task for another
	// Ends of attempts that are remembered for those who ask: so many, of so many bytes.
	recentMost, recentBytes = 2000, 64 << 20
)

// worker runs tasks: one goroutine a slot, each with at most one delivery.
type worker struct {
	n       *Node
	wg      sync.WaitGroup
	changed chan struct{} // handlers came or went
	listing chan struct{} // holds one: it guards list, while a listing is asked for too
	list    listing
	// renewals are the requests of idle slots that are about to be sent.
	renewals *together
	unfeds   Seldom // of each task whose payload nobody has

	mu       sync.Mutex
	pools    map[string]*pool // by task type
	running  map[bus.TaskID]*attempt
	taken    map[bus.TaskID]bool // deliveries that a slot is busy with
	slots    map[string]bool     // where slots of this process wait, but for the number of the request
	recent   *latest[Final]
	said     *latest[*attempt]
	nextSlot int
	// spare are slot numbers to use again, by task type: a host may hand work to a slot that has just
	// closed, and whichever has its number takes that.
	spare map[string][]int
}

func newWorker(n *Node) *worker {
	w := &worker{
		n: n, changed: make(chan struct{}, 1), listing: make(chan struct{}, 1), pools: map[string]*pool{}, slots: map[string]bool{},
		running: map[bus.TaskID]*attempt{}, taken: map[bus.TaskID]bool{}, recent: newLatest[Final](recentMost, recentBytes),
		said: newLatest[*attempt](saidMost, saidBytes), spare: map[string][]int{},
	}
	w.renewals = &together{bg: n.bg, send: w.ask}
	return w
}

// run keeps the slots in step with what the handlers can do.
func (w *worker) run(ctx context.Context) error {
	t := time.NewTimer(w.n.until(capEvery))
	defer t.Stop()
	defer w.wg.Wait()
	w.wg.Go(func() { w.renew(ctx) })
	for {
		w.adjust(ctx)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
			t.Reset(w.n.until(capEvery))
		case <-w.changed:
		}
	}
}

// slot is what a slot knows between two deliveries.
type slot struct {
	p      *pool
	id     int
	missed bool // it was handed nothing the last time
	silent int  // requests for work in a row that had no answer
}

// work asks for work, fetches it and runs it in slot id of p, until sctx ends. What runs then goes on until ctx ends.
func (w *worker) work(ctx, sctx context.Context, p *pool, id int) {
	s := &slot{p: p, id: id}
	for sctx.Err() == nil {
		q, qctx, done, err := w.n.queue.wait(sctx)
		if err != nil {
			return
		}
		d, j, err := w.take(qctx, q, s)
		done()
		s.missed = errors.Is(err, ErrNotFound)
		if s.silent++; !errors.Is(err, errIdle) {
			s.silent = 0
		}
		if err != nil {
			continue
		}
		w.mu.Lock()
		p.busy++
		w.mu.Unlock()
		w.process(ctx, q, p, d, j)
		w.mu.Lock()
		p.busy--
		w.mu.Unlock()
		w.countBatch(p, d.Key, -1)
	}
}

// take gets one delivery: what the host hands over, or after a second without a word, where there was nothing
// for silentMost times before, what the slot finds itself.
func (w *worker) take(ctx context.Context, q QueueID, s *slot) (d Delivery, j *Job, err error) {
	if w.n.Draining() {
		select {
		case <-time.After(nextWait):
		case <-ctx.Done():
		}
		return d, nil, errDraining
	}
	if d, err = w.next(ctx, q, s); err == nil {
		w.countBatch(s.p, d.Key, 1)
	} else if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		if err = errIdle; s.silent >= silentMost {
			if d, err = w.look(ctx, q, s.p, s.id); errors.Is(err, ErrNotFound) {
				err = errIdle
			}
		}
	}
	if err != nil {
		return d, nil, err
	}
	if j, err = d.Job, nil; j == nil {
		j = &Job{}
		err = bus.Unmarshal(d.Data, j)
	}
	if err != nil {
		w.n.log.Error("drop an unreadable work message", "key", d.Key, "err", err)
		w.ack(d.Ack)
		w.countBatch(s.p, d.Key, -1)
		return d, nil, err
	}
	now := w.n.now()
	if !protect.TimeLeft.Off() {
		left := time.Duration(j.LeftMS)*time.Millisecond - w.waited(q, d, j, now) - w.n.sleptSince(j)
		w.n.stamp(j, left, now)
		j.By = w.n.cfg.ID
	}
	return d, j, nil
}

// waited returns how long a delivered job has been on its way and in the queue: by the clock of
// who fed it, and at least by that of the queue's host.
func (w *worker) waited(q QueueID, d Delivery, j *Job, now time.Time) time.Duration {
	m := w.n.members
	return max(m.since(q.Host, d.At, now), m.since(j.By, j.Stamp, now))
}

var (
	errDraining = errors.New("takes no more work")
	errIdle     = errors.New("nothing to do")
)

// next asks the host for work and waits for what it hands over.
func (w *worker) next(ctx context.Context, q QueueID, s *slot) (Delivery, error) {
	to, wait, err := w.n.fx.Await(q, s.id)
	if err != nil {
		return Delivery{}, err
	}
	w.noteSlot(to)
	l := w.n.cfg.Load()
	r := nextMsg{
		Node: w.n.cfg.ID, Class: s.p.typ, Slot: s.id, Missed: s.missed,
		Slots: w.slotsOf(s.p), CPU: int(l.CPUPercent), GPU: int(l.GPUPercent), FreeMB: int(l.FreeBytes >> 20),
	}
	asked := w.n.now()
	// All slots renew theirs in the same moment, so that an idle node wakes, and writes to its host, once a second.
	ctx, cancel := context.WithTimeout(ctx, w.n.until(nextWait))
	defer cancel()
	if h := w.n.host(); h != nil && h.q == q {
		h.asked(&asking{nextMsg: r, to: to})
	} else if m := (Msg{Subject: bus.SubjectNext(q.Host), Reply: to, Data: marshal(r)}); s.silent > 0 { // it renews a request
		w.renewals.add(m)
	} else {
		w.ask(m)
	}
	d, err := wait(ctx)
	d.Until = asked.Add(grantFor)
	return d, err
}

func (w *worker) ack(ack string) {
	if ack == "" { // it was never in the queue
		return
	}
	if err := w.n.fx.Ack(ack); err != nil {
		w.n.log.Debug("ack", "err", err)
	}
}

func (w *worker) nak(ack string, delay time.Duration) {
	if ack == "" {
		return // its host has read it in the record
	}
	if err := w.n.fx.Nak(ack, delay); err != nil {
		w.n.log.Debug("give back", "err", err)
	}
}

// reported returns the tasks that no watchdog has stopped, for a heartbeat. What is not content is reported
// until it is stopped: the host gives away at once what is reported no more.
func (w *worker) reported() []bus.Running {
	// Not within mu: output is handed to the outbox under the attempt's mutex, and the outbox
	// looks for who runs a task under its own.
	w.mu.Lock()
	all := slices.Collect(maps.Values(w.running))
	w.mu.Unlock()
	var out []bus.Running
	for _, a := range all {
		if !a.stopped() {
			out = append(out, bus.Running{
				Task: a.job.Task.ID, Submitter: a.job.Submitter, Attempt: a.rec.Attempt,
				BeganMS: a.began.UnixMilli(), WaitedMS: a.waited.Milliseconds(),
			})
		}
	}
	slices.SortFunc(out, func(a, b bus.Running) int { return cmp.Compare(a.Task, b.Task) })
	return out
}

// renew prolongs the leases of healthy attempts, and stops the others.
func (w *worker) renew(ctx context.Context) {
	t := time.NewTimer(w.n.until(renewEvery))
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			t.Reset(w.n.until(renewEvery))
		}
		now := w.n.now()
		w.mu.Lock()
		all := slices.Collect(maps.Values(w.running))
		w.mu.Unlock()
		for _, a := range all {
			if !a.healthy(now) && !protect.Watchdog.Off() {
				a.stall(now, waitsBehind(a, all, now))
			} else if a.ack() == "" {
				continue // there is no lease; its host looks at heartbeats
			} else if err := w.n.fx.Progress(a.ack()); err != nil {
				w.n.log.Debug("renew a lease", "err", err)
			}
		}
	}
}

// begin takes a task for one slot; false: another has it.
func (w *worker) begin(id bus.TaskID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.taken[id] {
		return false
	}
	w.taken[id] = true
	return true
}

func (w *worker) done(id bus.TaskID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.taken, id)
}

// remember keeps an end for those who ask, see sync.
func (w *worker) remember(f Final) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.recent.put(f.Task, f, f.size())
}

func (w *worker) ended(id bus.TaskID) (Final, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.recent.get(id)
}

func (w *worker) find(id bus.TaskID) *attempt {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.running[id]
}

// attemptOf returns the number of the attempt at a task that runs here; 0 where none does.
func (w *worker) attemptOf(id bus.TaskID) int {
	if a := w.find(id); a != nil {
		return a.rec.Attempt
	}
	return 0
}

// busy reports whether something runs here.
func (w *worker) busy() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.running) > 0
}

// submitterGone stops the attached tasks of a node that is gone, or was lost: why tells which.
func (w *worker) submitterGone(id bus.NodeID, why *bus.Error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.running {
		if a.job.Submitter == id && !a.job.Durable() {
			a.cancel(why)
		}
	}
}

// onCancel stops a task that its submitter gave up.
func (w *worker) onCancel(m Msg) {
	var r bus.TaskRequest
	if bus.Unmarshal(m.Data, &r) != nil {
		return
	}
	if a := w.find(r.ID); a != nil && m.Subject == bus.SubjectCancel(a.job.Submitter, r.ID) {
		a.cancel(errCancelled)
	}
}
