package batch

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

const (
	// Window is how long a batch may take.
	Window = 24 * time.Hour
	// batchesMost bounds the batches that are under way, of which nobody may have more than what is left then, and keptMost all:
	// of those that are over the oldest of who has most gives way.
	batchesMost, keptMost = 100, 1000
)

// Status is how far a batch is.
type Status string

// The statuses of a batch, in OpenAI's words.
const (
	Validating Status = "validating"
	Failed     Status = "failed" // its file is none of requests, or who has begun it asks no more
	InProgress Status = "in_progress"
	Finalizing Status = "finalizing"
	Completed  Status = "completed" // each request has an answer, which may be an error
	Expired    Status = "expired"   // not all had one in time
	Cancelling Status = "cancelling"
	Cancelled  Status = "cancelled"
)

// Over reports whether nothing more comes.
func (s Status) Over() bool {
	return s == Failed || s == Completed || s == Expired || s == Cancelled
}

// Fault is what is wrong with a batch's file. Line counts from 1; 0 is all of it.
type Fault struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Line    int    `json:"line,omitempty"`
}

// Batch is one file of requests to an endpoint.
type Batch struct {
	ID       string            `json:"id"`
	User     string            `json:"user,omitempty"` // as Task.User
	Endpoint string            `json:"endpoint"`       // a path, such as /v1/chat/completions
	Input    string            `json:"input"`          // the id of its file
	Metadata map[string]string `json:"metadata,omitempty"`
	// Output and Errors are the files of answers and of errors, once the batch is over; empty where there is none.
	Output string `json:"output,omitempty"`
	Errors string `json:"errors,omitempty"`
	// Keep is how long these are kept; 0 is Term.
	Keep   time.Duration `json:"keep,omitempty"`
	Faults []Fault       `json:"faults,omitempty"`
	Status Status        `json:"status"`
	// At tells when it came to each status that it had.
	At      map[Status]time.Time `json:"at"`
	Expires time.Time            `json:"expires"`
	// Late tells that not all requests were answered in time.
	Late bool `json:"late,omitempty"`
	// Total are its requests, Done those that were answered well, and Erred those with an error, cancelled ones
	// and late ones too.
	Total int `json:"total"`
	Done  int `json:"done"`
	Erred int `json:"erred"`
}

const batchPrefix = "batch_"

// The parts of what a batch comes to. Each is a file from the beginning, whose record is written at the end.
const (
	answerPart = "output"
	errorPart  = "errors"
)

// partID is the id of the file that is a part of what a batch comes to.
func partID(batch, part string) string {
	return filePrefix + strings.TrimPrefix(batch, batchPrefix) + part
}

// Begin has the requests of a file answered, of which Endpoint, Input, Metadata, Keep and User are given.
func (s *Store) Begin(b Batch) (Batch, error) {
	s.disk.Lock()
	defer s.disk.Unlock()
	if _, err := s.File(b.User, b.Input); err != nil {
		return Batch{}, err
	}
	if err := cmp.Or(s.cfg.Room(), s.tooMany(b.User)); err != nil {
		return Batch{}, err
	}
	now := time.Now()
	b.ID, b.Status, b.At, b.Expires = batchPrefix+string(bus.NewTaskID()), Validating, map[Status]time.Time{Validating: now}, now.Add(Window)
	if err := s.write(b.ID, b); err != nil {
		return Batch{}, s.failed("write a batch", err)
	}
	if old := s.oldest(); old != nil {
		s.forget(old)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	w := &work{id: b.ID, Batch: b}
	s.batches[b.ID] = w
	if s.begin != nil {
		s.begin(w)
	}
	return w.copied(), nil
}

// tooMany tells why a user may not begin a batch; nil where that is not so.
func (s *Store) tooMany(user string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	all, own := 0, 0
	for _, w := range s.batches {
		if w.Status.Over() {
			continue
		}
		if all++; w.User == user {
			own++
		}
	}
	if all+own >= batchesMost {
		return bus.Errorf(bus.CodeBusy, "this node has %d batches under way, %d of them yours, and no more than %d may be", all, own, batchesMost-own).
			WithHint("wait for one of them to end")
	}
	return nil
}

// oldest is the batch that is to give way; nil where there is room for another.
func (s *Store) oldest() *work {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.batches) < keptMost {
		return nil
	}
	over, most := map[string][]*work{}, ""
	for _, w := range s.batches {
		if w.Status.Over() {
			over[w.User] = append(over[w.User], w)
		}
	}
	for user, of := range over {
		if len(of) > len(over[most]) {
			most = user
		}
	}
	if len(over[most]) == 0 {
		return nil
	}
	return slices.MinFunc(over[most], func(a, b *work) int { return a.At[Validating].Compare(b.At[Validating]) })
}

// Batches lists the batches of a user, newest first.
func (s *Store) Batches(user string) []Batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []Batch{}
	for _, w := range s.batches {
		if w.User == user {
			out = append(out, w.copied())
		}
	}
	slices.SortFunc(out, func(a, b Batch) int {
		return cmp.Or(b.At[Validating].Compare(a.At[Validating]), strings.Compare(a.ID, b.ID))
	})
	return out
}

// Batch returns a batch of a user.
func (s *Store) Batch(user, id string) (Batch, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w, err := s.find(user, id)
	if err != nil {
		return Batch{}, err
	}
	return w.copied(), nil
}

// find returns a batch of a user. The caller holds mu.
func (s *Store) find(user, id string) (*work, error) {
	if w := s.batches[id]; w != nil && w.User == user {
		return w, nil
	}
	return nil, bus.Errorf(bus.CodeNotFound, "there is no batch %q here", id).WithHint("a node has the batches that were begun at itself, for 30 days")
}

// Cancel ends a batch. What was answered stays. Where the disk takes no record of that now, it has one at the end: until then a
// restart has the batch go on.
func (s *Store) Cancel(user, id string) (Batch, error) {
	s.disk.Lock()
	defer s.disk.Unlock()
	b, err := s.cancel(user, id)
	if err == nil && b.Status == Cancelling {
		if err := s.write(b.ID, b); err != nil {
			_ = s.failed("write a batch", err) // it is logged
		}
	}
	return b, err
}

// cancel is Cancel in memory.
func (s *Store) cancel(user, id string) (Batch, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w, err := s.find(user, id)
	if err != nil {
		return Batch{}, err
	}
	switch w.Status {
	case Validating, InProgress:
		w.Status, w.At[Cancelling] = Cancelling, time.Now()
		if w.cancel != nil {
			w.cancel(errCancelled)
		}
	case Cancelling, Cancelled:
	default:
		return Batch{}, bus.Errorf(bus.CodeConflict, "the batch is %s already", w.Status)
	}
	return w.copied(), nil
}
