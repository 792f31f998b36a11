package batch

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mycoswarm/mycoswarm/bus"
)

const (
	// windowUnits are how many requests of all batches are asked at a time; one counts as one more for each MiB.
	windowUnits = 64
	// waitingMost bounds the requests of one batch that are asked or wait to be asked again.
	waitingMost = 128
	// A request that may be answered later is asked again after againFirst, then twice as long, againTries times. Then those behind
	// it come first. Where the disk fails it is tried again so, too, at most after againMost.
	againFirst, againMost, againTries = time.Second, time.Minute, 5
	// idleMost is how long a batch waits at most, after it has come to nothing for a while.
	idleMost = 4 * time.Minute
)

// run is the work on the requests of a batch.
type run struct {
	s  *Store
	w  *work
	b  Batch // as it was at the beginning
	in *os.File

	entering chan struct{} // held by the one request that waits for the limits of its user

	mu        sync.Mutex // guards what follows
	out, errs *os.File
	held      int64        // bytes of these, which count as coming
	done      map[int]bool // the lines that were answered
	broken    error        // why an outcome may be there in part; nothing is written behind it
}

func newRun(s *Store, w *work, b Batch, in *os.File) *run {
	return &run{s: s, w: w, b: b, in: in, entering: make(chan struct{}, 1), done: map[int]bool{}}
}

// open opens what the batch has come to so far. Whether it is late is told there alone until its end is on disk.
func (r *run) open() (err error) {
	var done, erred sofar
	if r.out, done, err = partial(r.s.path(partID(r.b.ID, answerPart)), r.b.ID, r.done); err != nil {
		return err
	}
	if r.errs, erred, err = partial(r.s.path(partID(r.b.ID, errorPart)), r.b.ID, r.done); err != nil {
		return errors.Join(err, r.out.Close())
	}
	r.held = done.size + erred.size
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	r.w.Done, r.w.Erred, r.w.Late = done.n, erred.n, erred.late
	r.s.coming[r.b.User] += r.held
	return nil
}

// close has what the batch has come to on disk.
func (r *run) close() error {
	r.s.arrived(r.b.User, r.held)
	return errors.Join(r.out.Sync(), r.out.Close(), r.errs.Sync(), r.errs.Close())
}

// all asks what is not done, until that is all, or the batch is cancelled or late. It returns why its user asks no more, nil
// where that is not so; or an error of the disk, or of ctx.
func (r *run) all(ctx context.Context) (refused, err error) {
	within, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	within, stop := context.WithDeadlineCause(within, r.b.Expires, errExpired)
	defer stop()
	r.s.mu.Lock()
	r.w.cancel = cancel
	if r.w.Status != InProgress { // it was cancelled before there was what to cancel
		cancel(errCancelled)
	}
	r.s.mu.Unlock()
	defer func() {
		r.s.mu.Lock()
		defer r.s.mu.Unlock()
		r.w.cancel = nil
	}()
	err = r.passes(within)
	switch why := context.Cause(within); {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case r.broken != nil:
		return nil, r.broken
	case errors.Is(why, errCancelled):
		return nil, r.cancelled()
	case errors.Is(why, errExpired):
		return nil, r.late()
	}
	if _, gone := errors.AsType[noUser](err); gone {
		return err, nil
	}
	return nil, err
}

// passes asks what is not done until nothing is left. Where a pass has come to nothing the next one waits.
func (r *run) passes(ctx context.Context) error {
	for wait := againMost; ; {
		before := r.answered()
		left, err := r.pass(ctx)
		if !left || err != nil {
			return err
		}
		if r.answered() > before {
			wait = againMost
			continue
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		wait = min(2*wait, idleMost)
	}
}

// answered is how many requests have an answer.
func (r *run) answered() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.done)
}

// pass asks what is not done, and reports whether there is some left that may be answered later.
func (r *run) pass(ctx context.Context) (left bool, err error) {
	if _, err := r.in.Seek(0, io.SeekStart); err != nil {
		return false, err
	}
	group, asking := errgroup.WithContext(ctx)
	group.SetLimit(waitingMost)
	for l, err := range lines(r.in) {
		if asking.Err() != nil {
			break
		}
		if err != nil {
			group.Go(func() error { return err })
		} else if !r.has(l) {
			left = true
			group.Go(func() error { return r.one(asking, l) })
		}
	}
	return left, group.Wait()
}

// has reports whether a line was answered.
func (r *run) has(l line) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.done[l.number]
}

// late tells of all requests without an answer that they came too late.
func (r *run) late() error {
	n, err := r.leave(lateCode, errExpired)
	if err != nil || n == 0 {
		return err
	}
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	r.w.Late = true
	return nil
}

// cancelled tells of all requests without an answer that their batch was cancelled.
func (r *run) cancelled() error {
	_, err := r.leave("batch_cancelled", errCancelled)
	return err
}

// leave has why as the error of all requests without an answer, and tells how many these are.
func (r *run) leave(code string, why *bus.Error) (n int, err error) {
	if _, err := r.in.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	for l, err := range lines(r.in) {
		if err != nil {
			return n, err
		}
		if r.has(l) {
			continue
		}
		req, err := l.read(r.in)
		if err != nil {
			return n, err
		}
		if err := r.tell(l, outcome{CustomID: req.CustomID, Error: &failure{Code: code, Message: why.Message}}); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

var (
	errCancelled = bus.Errorf(bus.CodeCancelled, "the batch was cancelled")
	errExpired   = bus.Errorf(bus.CodeExpired, "the batch has taken %v", Window)
)

// noUser tells that who has begun a batch asks no more.
type noUser struct{ error }

func (n noUser) Unwrap() error { return n.error }

// one has the request of a line answered, and writes the answer, unless that may be had later alone.
func (r *run) one(ctx context.Context, l line) error {
	wait := againFirst
	for range againTries {
		req, a, err := r.ask(ctx, l)
		if err != nil {
			return err
		}
		if !a.Later {
			return r.tell(l, outcome{CustomID: req.CustomID, Response: &response{StatusCode: a.Status, RequestID: a.ID, Body: a.Body}})
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		wait *= 2
	}
	return nil
}

// ask has the request of a line answered once. It waits for the limits of its user first, and holds nothing meanwhile that requests
// of others need.
func (r *run) ask(ctx context.Context, l line) (request, Answer, error) {
	within, leave, err := r.enter(ctx)
	if err != nil {
		return request{}, Answer{}, ended(ctx, err)
	}
	defer leave()
	units := int64(1 + l.size>>20)
	if r.s.window.Acquire(within, units) != nil {
		return request{}, Answer{}, ended(ctx, context.Cause(within))
	}
	defer r.s.window.Release(units)
	if r.s.full() {
		return request{}, Answer{Later: true}, nil
	}
	req, err := l.read(r.in)
	if err != nil {
		return req, Answer{}, err
	}
	a := r.s.cfg.Ask(within, r.b.Endpoint, req.Body)
	if within.Err() != nil { // which says nothing of the request
		return req, a, ended(ctx, context.Cause(within))
	}
	return req, a, nil
}

// enter is Config.Enter, for one request at a time: others of the user, who is a person perhaps, may come between.
func (r *run) enter(ctx context.Context) (within context.Context, leave func(), err error) {
	select {
	case r.entering <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	defer func() { <-r.entering }()
	return r.s.cfg.Enter(ctx, r.b.User)
}

// ended tells why a request is not answered: ctx has ended, or why its user asks no more.
func ended(ctx context.Context, why error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return noUser{why}
}

// tell writes what came of a request.
func (r *run) tell(l line, o outcome) error {
	o.ID = outcomePrefix(r.b.ID) + strconv.Itoa(l.number)
	data, err := json.Marshal(o)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.broken != nil {
		return r.broken
	}
	out, count := r.out, &r.w.Done
	if o.Response == nil || o.Response.StatusCode >= 300 {
		out, count = r.errs, &r.w.Erred
	}
	if _, err := out.Write(append(data, '\n')); err != nil {
		r.broken = bus.Errorf(bus.CodeUnavailable, "write what came of a request: %w", err)
		return r.broken
	}
	r.done[l.number] = true
	r.held += int64(len(data)) + 1
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	r.s.coming[r.b.User] += int64(len(data)) + 1
	*count++
	return nil
}
