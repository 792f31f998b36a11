package batch

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/atomicfile"
)

// work is a batch, and what its goroutine has.
type work struct {
	id     string
	loaded bool                    // it was begun by a program before: the nodes with its models may be yet to come
	Batch                          // guarded by Store.mu; Status and what is on disk change under Store.disk, too
	cancel context.CancelCauseFunc // ends its requests; nil unless they run
	waits  bool                    // for the disk, with no file open; guarded by Store.mu
}

// copied is what others may have. The caller holds mu.
func (w *work) copied() Batch {
	b := w.Batch
	b.At, b.Metadata, b.Faults = maps.Clone(b.At), maps.Clone(b.Metadata), slices.Clone(b.Faults)
	return b
}

// expireEvery is how often what is old is deleted.
const expireEvery = time.Hour

// Run has the requests of batches answered until ctx ends. What is under way then goes on at the next Run, of another process
// too.
func (s *Store) Run(ctx context.Context) error {
	var running sync.WaitGroup
	begin := func(w *work) { running.Go(func() { s.work(ctx, w) }) }
	s.mu.Lock()
	for _, w := range s.batches {
		if !w.Status.Over() {
			begin(w)
		}
	}
	s.begin = begin
	s.mu.Unlock()
	tick := time.NewTicker(expireEvery)
	defer tick.Stop()
	for {
		s.expire(time.Now())
		select {
		case <-tick.C:
		case <-ctx.Done():
			s.mu.Lock()
			s.begin = nil
			s.mu.Unlock()
			running.Wait()
			return nil
		}
	}
}

// work brings a batch to its end, unless ctx ends. Where the disk fails it tries again.
func (s *Store) work(ctx context.Context, w *work) {
	for wait := againFirst; ; wait = min(2*wait, againMost) {
		err := s.finish(ctx, w)
		if err == nil || ctx.Err() != nil {
			return
		}
		s.cfg.Logger.Warn("a batch waits", "id", w.id, "err", err)
		s.waits(w, true)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
		s.waits(w, false)
	}
}

func (s *Store) waits(w *work, is bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.waits = is
}

// finish does what is left of a batch. An error is one of the disk, or of ctx.
func (s *Store) finish(ctx context.Context, w *work) error {
	b := s.now(w)
	if b.Status == Finalizing {
		return s.end(w, nil)
	}
	in, err := os.Open(s.path(b.Input))
	if errors.Is(err, os.ErrNotExist) {
		r := newRun(s, w, b, nil) // which leaves out what was cut off
		if err := r.open(); err != nil {
			return err
		}
		if err := r.close(); err != nil {
			return err
		}
		return s.end(w, bus.Errorf(bus.CodeNotFound, "the file %s is gone", b.Input))
	}
	if err != nil {
		return err
	}
	defer in.Close()
	if b.Status == Validating {
		if b, err = s.validated(ctx, w, b, in); err != nil || b.Status.Over() {
			return err
		}
	}
	r := newRun(s, w, b, in)
	if err := r.open(); err != nil {
		return err
	}
	var refused error
	if b.Status == InProgress {
		refused, err = r.all(ctx)
	} else if _, asked := b.At[InProgress]; asked { // else nobody knows what its lines are
		err = r.cancelled()
	}
	if err := errors.Join(err, r.close()); err != nil {
		return err
	}
	return s.end(w, refused)
}

// validated looks at the file of a batch, which has failed or is in progress then; or is ended, if that came before.
func (s *Store) validated(ctx context.Context, w *work, b Batch, in *os.File) (Batch, error) {
	knows := s.cfg.Knows
	if w.loaded {
		knows = func(string, string) bool { return true }
	}
	if err := s.check.Acquire(ctx, 1); err != nil {
		return Batch{}, err
	}
	total, faults, err := validate(ctx, b.Endpoint, in, knows)
	s.check.Release(1)
	if err != nil {
		return Batch{}, err
	}
	s.disk.Lock()
	defer s.disk.Unlock()
	if w.Status != Validating {
		return s.now(w), nil
	}
	to := InProgress
	if len(faults) > 0 {
		to = Failed
	}
	return s.turn(w, to, func(b *Batch) { b.Total, b.Faults = total, faults })
}

// end makes files of what a batch has come to; refused tells why its user asks no more, nil where that is not so.
func (s *Store) end(w *work, refused error) error {
	s.disk.Lock()
	defer s.disk.Unlock()
	b, to := s.now(w), Completed
	switch {
	case b.Status == Cancelling:
		to = Cancelled
	case refused != nil:
		to = Failed
		b.Faults = []Fault{{Code: "not_permitted", Message: bus.AsError(refused).Message}}
	case b.Late:
		to = Expired
	}
	if b.Status == InProgress && to != Failed {
		if _, err := s.turn(w, Finalizing, func(*Batch) {}); err != nil {
			return err
		}
	}
	output, err := s.keep(b, answerPart, "_output.jsonl")
	if err != nil {
		return err
	}
	failures, err := s.keep(b, errorPart, "_error.jsonl")
	if err != nil {
		return err
	}
	_, err = s.turn(w, to, func(next *Batch) { next.Output, next.Errors, next.Faults = output, failures, b.Faults })
	return err
}

// keep makes a file of a part of what a batch has come to, and returns its id; empty where that is nothing. What was cut short is
// done again. The caller holds disk.
func (s *Store) keep(b Batch, part, name string) (string, error) {
	id := partID(b.ID, part)
	info, err := os.Stat(s.path(id))
	switch {
	case errors.Is(err, os.ErrNotExist):
		return "", nil
	case err != nil:
		return "", err
	case info.Size() == 0:
		return "", atomicfile.Remove(s.path(id))
	}
	f := File{ID: id, User: b.User, Name: b.ID + name, Purpose: "batch_output", Bytes: info.Size(), Created: time.Now()}
	f.Expires = f.Created.Add(cmp.Or(b.Keep, Term))
	return id, s.record(f)
}

// now is a batch as it is now.
func (s *Store) now(w *work) Batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	return w.copied()
}

// turn changes a batch, whose requests are not asked meanwhile, and brings it to a status; on disk first. The caller holds disk.
func (s *Store) turn(w *work, to Status, change func(*Batch)) (Batch, error) {
	next := s.now(w)
	change(&next)
	next.Status, next.At[to] = to, time.Now()
	if err := s.write(w.ID, next); err != nil {
		return Batch{}, s.failed("write a batch", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Batch = next
	return w.copied(), nil
}

// forget deletes the record of a batch that is over. The caller holds disk.
func (s *Store) forget(w *work) {
	s.mu.Lock()
	delete(s.batches, w.id)
	s.mu.Unlock()
	if err := atomicfile.Remove(s.path(w.id + recordExt)); err != nil {
		s.cfg.Logger.Warn("delete a batch", "id", w.id, "err", err)
	}
}
