package bus

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
)

// cancelLimit is how long a Submit that was given up waits for the daemon to confirm that the
// task is cancelled.
const cancelLimit = 5 * time.Second

const (
	// readWindow is how much output, in bytes, may be on its way to a reader, or wait for it. What
	// comes beyond waits in the daemon, which keeps the last 1 MiB.
	readWindow = 512 << 10
	// maxUnread is how much may wait where the daemon knows no window. Beyond it the stream ends with
	// an error, since NATS drops what has no room.
	maxUnread = 64 << 20
)

// Submit runs t and returns its output as it is made. It validates t, and fills in an id.
//
// The last pair holds the chunk whose End is set. Its error is nil if the task is done, and
// otherwise what became of it: an Error with CodeFailed or the work's own code, CodeCancelled,
// CodeExpired or CodeDead. Errors without a chunk come from the way there: CodeNoWorker,
// CodeInvalid, CodeTooLarge, and CodeBusy where too many of the daemon's tasks are open, before the task
// began; CodeUnavailable when the daemon went away, with which the task ends.
//
// Output of a higher attempt starts anew from Seq 0 and voids what earlier attempts said. A result over
// MaxInline is kept for whoever reads the last chunk within 10 minutes; CodeNotFound is the error of a later one.
// Breaking the loop, or ending ctx, cancels the task.
func (c *Conn) Submit(ctx context.Context, t Task) iter.Seq2[Chunk, error] {
	return func(yield func(Chunk, error) bool) {
		s, err := c.Start(ctx, t)
		if err != nil {
			yield(Chunk{}, err)
			return
		}
		s.Chunks()(yield)
	}
}

// Start is Submit for those who want to know, before the first output, what the daemon decided.
// The caller reads Chunks, or calls Close.
func (c *Conn) Start(ctx context.Context, t Task) (*Stream, error) {
	if err := t.Validate(); err != nil {
		return nil, err
	}
	t = t.WithDefaults(Interactive)
	payload, err := c.handOver(ctx, &t)
	if err != nil {
		return nil, err
	}
	s := &Stream{c: c, id: t.ID, cancels: true}
	err = s.open(ctx, 0, func(ctx context.Context, inbox string) (SubmitReply, error) {
		return call[SubmitReply](ctx, c, SubjectPayloadRPC(c.NodeID(), VerbSubmit), SubmitRequest{Task: t, Payload: payload, Inbox: inbox, Window: readWindow})
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Attach returns the output of a task that was submitted before, beginning with the chunk whose Seq
// is from. A worker keeps the last 1 MiB of output, so it may begin later; of a task that has ended
// there is the last chunk alone. Who has a part of the output, and not all, finds that in the Warning of its
// End. Breaking the loop leaves the task alone. Errors are those of Submit,
// and CodeNotFound, without a chunk, where nobody in the swarm knows the task.
func (c *Conn) Attach(ctx context.Context, id TaskID, from int) iter.Seq2[Chunk, error] {
	return c.AttachAt(ctx, id, 0, from)
}

// AttachAt is Attach for a reader that has read the chunks before from of one attempt (Chunk.Attempt),
// and wants each chunk once: a later attempt, where there is one, is sent from its beginning.
func (c *Conn) AttachAt(ctx context.Context, id TaskID, attempt, from int) iter.Seq2[Chunk, error] {
	return func(yield func(Chunk, error) bool) {
		if err := id.Validate(); err != nil {
			yield(Chunk{}, err)
			return
		}
		s := &Stream{c: c, id: id, attached: true}
		err := s.open(ctx, from, func(ctx context.Context, inbox string) (SubmitReply, error) {
			return call[SubmitReply](ctx, c, SubjectPayloadRPC(c.NodeID(), VerbAttach), AttachRequest{ID: id, Attempt: attempt, From: from, Inbox: inbox, Window: readWindow})
		})
		if err != nil {
			yield(Chunk{}, err)
			return
		}
		s.Chunks()(yield)
	}
}

// Stream is the output of one task, for one goroutine at a time: others end it by the context that Start was given.
type Stream struct {
	// Reply is what the daemon decided before the work began.
	Reply SubmitReply

	c        *Conn
	id       TaskID
	cancels  bool // leaving early cancels the task
	attached bool // to a task that was submitted before
	ctx      context.Context
	end      context.CancelCauseFunc
	sub      *nats.Subscription
	unacked  int // bytes read since the daemon was last told
	done     bool
	ended    bool // the last chunk was read: nothing more comes
}

// open subscribes to a new inbox and asks the daemon to send the output there.
func (s *Stream) open(ctx context.Context, from int, ask func(context.Context, string) (SubmitReply, error)) error {
	if from < 0 {
		return Errorf(CodeInvalid, "chunk %d: want 0 or more", from)
	}
	s.ctx, s.end = s.c.bound(ctx)
	if s.ctx.Err() != nil { // the Conn may be closed, and not have lost its daemon
		err := endOf(s.ctx)
		s.end(nil)
		return err
	}
	var err error
	if s.sub, err = s.c.inbox(); err != nil {
		s.end(nil)
		return err
	}
	s.Reply, err = ask(s.ctx, s.sub.Subject)
	if err != nil {
		// The daemon may have the task although its reply was not waited for.
		s.done = s.ctx.Err() == nil
		s.Close()
		return err
	}
	return nil
}

// Close leaves the stream. A submitted task that has not ended is cancelled; Close waits for
// the daemon to say so, at most 5 s. It does nothing after the last chunk.
func (s *Stream) Close() {
	if s.sub == nil {
		return
	}
	if s.cancels && !s.done {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), cancelLimit)
		if _, err := s.c.Cancel(ctx, s.id); err != nil {
			s.c.log.Debug("cancel a task that was left", "task", s.id, "error", err)
		}
		cancel()
	}
	if s.ended {
		s.c.reuse(s.sub)
	} else {
		s.c.leave(s.sub)
	}
	s.end(nil)
	s.sub = nil
}

// Chunks returns the output, once. See Submit.
func (s *Stream) Chunks() iter.Seq2[Chunk, error] {
	return func(yield func(Chunk, error) bool) {
		defer s.Close()
		order := order{attached: s.attached}
		for !s.done && s.sub != nil {
			chunk, err := s.next()
			if err != nil {
				yield(Chunk{}, err)
				return
			}
			chunk, fresh, err := order.accept(chunk)
			if err != nil {
				yield(Chunk{}, err)
				return
			}
			if !fresh {
				continue
			}
			s.done, s.ended = chunk.End != nil, chunk.End != nil
			if !yield(chunk, endError(chunk.End)) {
				return
			}
		}
	}
}

// next waits for one chunk.
func (s *Stream) next() (Chunk, error) {
	var chunk Chunk
	m, err := s.sub.NextMsgWithContext(s.ctx)
	switch {
	case err != nil && s.ctx.Err() != nil:
		return chunk, endOf(s.ctx)
	case errors.Is(err, nats.ErrSlowConsumer):
		return chunk, Errorf(CodeInternal, "the output was read too slowly: %d bytes were waiting: %w", maxUnread, err)
	case err != nil:
		return chunk, s.c.lost(err)
	}
	s.read(m)
	if err = decode(m, &chunk); err == nil {
		err = s.c.whole(s.ctx, chunk.End)
	}
	return chunk, err
}

// read tells the daemon, now and then, what has been read, so that it sends more.
func (s *Stream) read(m *nats.Msg) {
	if s.unacked += len(m.Data); m.Reply == "" || s.unacked < readWindow/4 {
		return
	}
	ack, err := Marshal(ReadAck{Bytes: s.unacked})
	if err == nil {
		err = s.c.nc.Load().Publish(m.Reply, ack)
	}
	if err != nil {
		s.c.log.Debug("tell what was read", "task", s.id, "error", err)
		return
	}
	s.unacked = 0
}

// order checks that chunks follow one another.
type order struct {
	at       Place
	attached bool
	begun    bool
}

// accept reports whether ch is the next chunk, and returns it as it is read; what was seen before, or is void since a higher
// attempt began, is not. A gap is an error. To who is attached, and has no other way to the rest, the End tells of it.
func (o *order) accept(ch Chunk) (Chunk, bool, error) {
	if o.attached && !o.begun { // the first may have any Seq
		o.at = PlaceAt(ch.Attempt, ch.Seq)
	}
	o.begun = true
	if ch.End != nil {
		return o.at.Read(ch), true, nil
	}
	if ch.Attempt < o.at.Attempt || ch.Attempt == o.at.Attempt && ch.Seq < o.at.Next {
		return ch, false, nil
	}
	if o.at.Skips(ch) && !o.attached {
		return ch, false, Errorf(CodeInternal, "output is missing: chunk %d of attempt %d came too early, as what was not read in time is dropped",
			ch.Seq, ch.Attempt).WithHint("read faster, or hand the task over for good and read its result: myco ask --detach")
	}
	return o.at.Read(ch), true, nil
}

// endError tells what became of a task that is not done.
func endError(end *TaskInfo) error {
	if end == nil || end.State == StateDone {
		return nil
	}
	if end.Error != nil {
		return end.Error
	}
	code := map[TaskState]Code{
		StateFailed: CodeFailed, StateCancelled: CodeCancelled, StateExpired: CodeExpired, StateDead: CodeDead,
	}[end.State]
	if code == "" {
		code = CodeInternal
	}
	e := Errorf(code, "task %s is %s", end.ID, end.State)
	e.Node = end.NodeID
	return e
}

// EnqueueOption changes what Enqueue waits for.
type EnqueueOption func(*EnqueueRequest)

// WithCopies sets for how many disks Enqueue waits, 1 or 2; the default is 2. With 1 it waits for the
// second for 1 s at most, and with 2 as long as it takes to copy a payload over MaxInline. Where no
// second disk answers the task is accepted with one copy, as Receipt.Copies tells, and has the other
// made later.
func WithCopies(n int) EnqueueOption { return func(r *EnqueueRequest) { r.Copies = n } }

// Enqueue hands t over for good: when it returns, t is synced to disk, on Receipt.Copies nodes.
// Handing over the same task again, at any node, is the same task; the same id with other content is
// CodeConflict, as far as the nodes know that are there. Among the other errors are CodeInvalid and
// CodeTooLarge for what Task.Validate refuses, CodeNoSpace where the daemon's disk is nearly full,
// CodeBusy where too many of its tasks are open, and CodeUnavailable or CodeTimeout where no store
// answered in time, which for the node's own is 10 s: then the task may have been accepted, and may be handed over again
// under its id, which the Receipt has with each error but of Validate. With a payload of MaxInline at most that was done
// twice already.
func (c *Conn) Enqueue(ctx context.Context, t Task, opts ...EnqueueOption) (Receipt, error) {
	if err := t.Validate(); err != nil {
		return Receipt{}, err
	}
	req := EnqueueRequest{Task: t.WithDefaults(Batch), Fresh: t.ID == ""}
	for _, o := range opts {
		o(&req)
	}
	r, err := c.enqueue(ctx, req)
	if err != nil {
		return Receipt{ID: req.Task.ID}, err
	}
	return r, nil
}

// enqueue is Enqueue for a task that is valid, and has an id.
func (c *Conn) enqueue(ctx context.Context, req EnqueueRequest) (Receipt, error) {
	payload, err := c.handOver(ctx, &req.Task)
	if err != nil {
		return Receipt{}, err
	}
	req.Payload = payload
	limit := rpcLimit
	if payload != nil {
		limit = largeLimit
	}
	subject := SubjectPayloadRPC(c.NodeID(), VerbEnqueue)
	r, err := callWithin[Receipt](ctx, c, limit, subject, req)
	if payload != nil { // which went with the request
		return r, err
	}
	fresh := req.Fresh
	req.Fresh = false
	for try := 1; try < enqueueTries && errors.Is(err, &Error{Code: CodeUnavailable}) && ctx.Err() == nil; try++ {
		before := err
		r, err = callWithin[Receipt](ctx, c, limit, subject, req)
		if !errors.Is(err, &Error{Code: CodeConflict}) {
			continue
		}
		if fresh { // of an id that was made here: a store has it from the try before
			return Receipt{ID: req.Task.ID, Accepted: true, Copies: 1}, nil
		}
		return r, before // it may have it from there, and may have it from another
	}
	return r, err
}

// enqueueTries is how often a task is handed over to stores that do not answer in time, as those on a slow disk may not.
const enqueueTries = 3

// Cancel cancels a task of this swarm and tells what it was then: one that had ended stays as
// it is. CodeNotFound if nobody knows it.
func (c *Conn) Cancel(ctx context.Context, id TaskID) (TaskInfo, error) {
	return c.ofTask(ctx, VerbCancel, id)
}

// Task tells what became of a task, with its result. CodeNotFound if nobody in the swarm
// knows it.
func (c *Conn) Task(ctx context.Context, id TaskID) (TaskInfo, error) {
	return c.ofTask(ctx, VerbTask, id)
}

func (c *Conn) ofTask(ctx context.Context, verb string, id TaskID) (TaskInfo, error) {
	if err := id.Validate(); err != nil {
		return TaskInfo{}, err
	}
	info, err := call[TaskInfo](ctx, c, SubjectPayloadRPC(c.NodeID(), verb), TaskRequest{ID: id})
	if err == nil {
		err = c.fetch(ctx, &info)
	}
	return info, err
}

// MaxListed is how many tasks a node tells of in a list: those that are open first, then dead ones, then the latest.
const MaxListed = 1000

// Tasks lists the tasks that the swarm knows, without their results; of each node MaxListed at most.
func (c *Conn) Tasks(ctx context.Context) ([]TaskInfo, error) {
	return call[[]TaskInfo](ctx, c, SubjectPayloadRPC(c.NodeID(), VerbTasks), struct{}{})
}

// Listed leaves out of what Tasks tells the parts that have ended, and what nodes ask each other, unless all is wanted. cut
// tells that a node may have more tasks than it lists.
func Listed(tasks []TaskInfo, all bool) (listed []TaskInfo, cut bool) {
	// A node lists these last: where there are any, no other is missing.
	tasks = slices.DeleteFunc(slices.Clone(tasks), func(t TaskInfo) bool { return !all && t.EndedPart() })
	cut = len(tasks) >= MaxListed
	return slices.DeleteFunc(tasks, func(t TaskInfo) bool { return !all && Internal(t.Type) }), cut
}

// Result decodes the result of a task that is done.
func Result[T any](info TaskInfo) (T, error) {
	var v T
	if err := endError(&info); err != nil {
		return v, err
	}
	if err := json.Unmarshal(info.Result, &v); err != nil {
		return v, Errorf(CodeInternal, "decode the result of task %s: %w", info.ID, err)
	}
	return v, nil
}
