package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"
)

// Times of a program that serves.
const (
	// offerEvery is how often a program tells the daemon anew what it can run, so that a
	// daemon that forgot it, or a model that came or went, is noticed.
	offerEvery = 2 * time.Second
	// drainLimit is how long running tasks may take once the program is asked to stop.
	drainLimit = 10 * time.Second
	// stopLimit is how long a handler may take to return once its context has ended.
	stopLimit = 5 * time.Second
	// leaveLimit is how long a daemon may take to answer the last offer once the program is told to stop, again to
	// hear that it stops, and again to take its last output.
	leaveLimit = 2 * time.Second
)

// Serve runs tasks with the handlers, each of another type, until ctx ends: the daemon offers what they
// can run to the swarm and sends them tasks, at most Capability.Slots at once. A program that is not
// heard for 7 s, as one that is stopped, gets no more.
//
// When ctx ends, no more tasks are taken and those that run have 10 s to end before their
// contexts do; then Serve returns nil. When the daemon goes away, the contexts of running tasks
// end at once and Serve offers its handlers again to the daemon that comes back, as it does to one that is busy.
// Other errors: a handler that cannot tell its capability at the start, an offer that the daemon refuses, and
// a handler that does not return after its context has ended.
func (c *Conn) Serve(ctx context.Context, handlers ...Handler) error {
	if len(handlers) == 0 {
		return Errorf(CodeInvalid, "nothing to serve: no handlers")
	}
	program := nuid.Next()
	all := make([]*served, len(handlers))
	for i, h := range handlers {
		capability, err := h.Capability(ctx)
		if err != nil {
			return fmt.Errorf("ask handler %d for its capability: %w", i, err)
		}
		if !validName(capability.Type, 32) {
			return Errorf(CodeInvalid, "handler %d serves the type %q: want 1 to 32 lower-case letters, digits, '-' or '_'", i, capability.Type)
		}
		if slices.ContainsFunc(all[:i], func(s *served) bool { return s.offer.Type == capability.Type }) {
			return Errorf(CodeInvalid, "handlers serve the type %q twice: want one, with the slots of both", capability.Type)
		}
		all[i] = newServed(c, h, capability, program)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	failed := make(chan error, len(all))
	var wg sync.WaitGroup
	for _, s := range all {
		wg.Go(func() {
			if err := s.run(ctx); err != nil {
				failed <- err
				cancel()
			}
		})
	}
	wg.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

// served is one handler in the service of a daemon.
type served struct {
	c       *Conn
	h       Handler
	offer   Capability
	program string

	mu       sync.Mutex
	stopping bool                // refuses tasks
	jobs     map[*running]TaskID // what runs
	idle     []chan<- struct{}   // closed when nothing runs
}

// running is one task in the hands of a handler.
type running struct{ cancel context.CancelCauseFunc }

func newServed(c *Conn, h Handler, offer Capability, program string) *served {
	return &served{c: c, h: h, offer: offer, program: program, jobs: map[*running]TaskID{}}
}

// run serves one daemon after the other until ctx ends.
func (s *served) run(ctx context.Context) error {
	for ctx.Err() == nil {
		err := s.c.Returned(ctx)
		if err == nil {
			err = s.serve(ctx)
		} else if ctx.Err() == nil {
			return err // the Conn is closed
		}
		if ctx.Err() == nil && err != nil && !passes(err) {
			return err
		}
		if err := s.wait(stopLimit); err != nil {
			return err
		}
	}
	return nil
}

// serve offers the handler to the present daemon and runs its tasks until the daemon goes away
// or ctx ends.
func (s *served) serve(ctx context.Context) error {
	link, cancel := s.c.bound(context.WithoutCancel(ctx))
	defer cancel(nil)
	reply, err := s.register(ctx, s.offer)
	if err != nil {
		if passes(err) {
			return s.pause(ctx, link, err)
		}
		return err
	}
	nc, err := s.c.link(link)
	if err != nil {
		return err
	}
	jobs, err := nc.Subscribe(reply.Jobs, func(m *nats.Msg) { s.start(link, m) })
	if err != nil {
		return s.c.lost(err)
	}
	defer s.c.leave(jobs)
	cancels, err := nc.Subscribe(reply.Cancels, s.cancel)
	if err != nil {
		return s.c.lost(err)
	}
	defer s.c.leave(cancels)
	if err := s.refresh(ctx, link); err != nil || link.Err() != nil {
		return err
	}
	return s.drain(link, cancel)
}

// passes reports whether the daemon may take an offer later that it has not taken now: it is away, starting, or has more
// requests to answer than it can.
func passes(err error) bool {
	switch AsError(err).Code {
	case CodeUnavailable, CodeTimeout, CodeBusy:
		return true
	}
	return false
}

// pause waits before the next offer to a daemon that is there and does not take one: it may be
// starting.
func (s *served) pause(ctx, link context.Context, err error) error {
	if link.Err() == nil {
		s.c.log.Warn("the daemon takes no offer to serve", "type", s.offer.Type, "error", err)
	}
	select {
	case <-time.After(offerEvery / 4):
	case <-link.Done():
	case <-ctx.Done():
	}
	return err
}

func (s *served) register(ctx context.Context, offer Capability) (ServeReply, error) {
	return call[ServeReply](ctx, s.c, SubjectPayloadRPC(s.c.NodeID(), VerbServe),
		ServeRequest{Capability: offer, Program: s.program})
}

// refresh tells the daemon again and again what the handler can run, until ctx or link ends. It waits for the answer to what
// it has told: the daemon takes requests side by side, and might hear last what was withdrawn.
func (s *served) refresh(ctx, link context.Context) error {
	answered, over := context.WithCancel(link)
	defer over()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(leaveLimit, over) })()
	asked, stop := context.WithCancel(link)
	defer stop()
	defer context.AfterFunc(ctx, stop)()
	tick := time.NewTicker(offerEvery)
	defer tick.Stop()
	for {
		offer, err := s.h.Capability(asked)
		if ctx.Err() != nil { // it is withdrawn next
			return nil
		}
		if err != nil {
			s.c.log.Warn("handler cannot tell its capability", "type", s.offer.Type, "error", err)
			offer = Capability{Slots: 0}
		}
		offer.Type = s.offer.Type
		if _, err := s.register(answered, offer); err != nil && ctx.Err() == nil && link.Err() == nil {
			s.c.log.Warn("offer a handler to the daemon", "type", offer.Type, "error", err)
			if !passes(err) {
				return err
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		case <-link.Done():
			return nil
		}
	}
}

// drain takes no more tasks and lets the running ones end.
func (s *served) drain(link context.Context, cancel context.CancelCauseFunc) error {
	s.mu.Lock()
	s.stopping = true
	s.mu.Unlock()
	leave, over := context.WithTimeout(link, leaveLimit)
	defer over()
	if _, err := s.register(leave, Capability{Type: s.offer.Type, Slots: 0}); err != nil {
		s.c.log.Debug("withdraw a handler", "type", s.offer.Type, "error", err)
	}
	if s.wait(drainLimit) == nil {
		leave, over := context.WithTimeout(link, leaveLimit)
		defer over()
		return s.c.flush(leave)
	}
	cancel(Errorf(CodeUnavailable, "the program that runs this task stops"))
	return nil
}

// wait waits until no task runs.
func (s *served) wait(limit time.Duration) error {
	idle := make(chan struct{})
	s.mu.Lock()
	if len(s.jobs) == 0 {
		close(idle)
	} else {
		s.idle = append(s.idle, idle)
	}
	s.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-time.After(limit):
		return Errorf(CodeInternal, "a handler of type %q still runs %v after it was told to stop", s.offer.Type, limit)
	}
}

// cancel ends the context of a running task.
func (s *served) cancel(m *nats.Msg) {
	var req TaskRequest
	if err := Unmarshal(m.Data, &req); err != nil {
		s.c.log.Warn("decode a cancel", "error", err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for r, id := range s.jobs {
		if id == req.ID {
			r.cancel(Errorf(CodeCancelled, "task %s is cancelled", id))
		}
	}
}

// start runs one task in its own goroutine.
func (s *served) start(link context.Context, m *nats.Msg) {
	var job ServeJob
	if err := Unmarshal(m.Data, &job); err != nil || m.Reply == "" {
		s.c.log.Warn("decode a task", "error", err)
		return
	}
	ctx, cancel := context.WithCancelCause(link)
	r := &running{cancel: cancel}
	if !s.enter(r, job.Task.ID) {
		cancel(nil)
		s.finish(ctx, m.Reply, job, ServeOutput{Retry: true, Error: Errorf(CodeUnavailable, "the program that runs this type stops")})
		return
	}
	go func() {
		defer s.exit(r)
		defer cancel(nil)
		// It stays where the handler calls runtime.Goexit, as testing.T.FailNow does.
		end := ServeOutput{Error: Errorf(CodeInternal, "the handler of type %q ended its goroutine", s.offer.Type)}
		defer func() { s.finish(ctx, m.Reply, job, end) }()
		end = s.handle(ctx, job, m.Reply)
	}()
}

// enter notes that r runs, unless the program stops.
func (s *served) enter(r *running, id TaskID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return false
	}
	s.jobs[r] = id
	return true
}

func (s *served) exit(r *running) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.jobs, r)
	if len(s.jobs) == 0 {
		for _, w := range s.idle {
			close(w)
		}
		s.idle = nil
	}
}

func (s *served) finish(ctx context.Context, reply string, job ServeJob, end ServeOutput) {
	end.End = true
	if end.Error != nil {
		end.Error = end.Error.Short()
	}
	if err := s.send(ctx, reply, end); err != nil {
		s.c.log.Warn("send the end of a task", "task", job.Task.ID, "error", err)
	}
}

// handle runs the handler and tells how it ended.
func (s *served) handle(ctx context.Context, job ServeJob, reply string) (end ServeOutput) {
	defer func() {
		if p := recover(); p != nil {
			s.c.log.Error("handler panicked", "type", s.offer.Type, "task", job.Task.ID, "panic", p, "stack", string(debug.Stack()))
			end = ServeOutput{Error: Errorf(CodeInternal, "the handler of type %q panicked", s.offer.Type)}
		}
	}()
	work := WithPhase(ctx, func(name string, limit time.Duration) {
		if err := s.send(ctx, reply, ServeOutput{Phase: name, PhaseLimit: limit}); err != nil {
			s.c.log.Debug("send the phase of a task", "task", job.Task.ID, "error", err)
		}
	})
	if job.Payload != nil {
		var err error
		if job.Task.Payload, err = s.c.download(ctx, job.Payload); err != nil {
			return ServeOutput{Error: AsError(err), Retry: true}
		}
	}
	result, err := s.h.Handle(work, &job.Task, func(chunk any) error {
		if ctx.Err() != nil {
			return endOf(ctx)
		}
		data, err := Marshal(chunk)
		if err != nil {
			return Errorf(CodeInternal, "encode output: %w", err)
		}
		return s.send(ctx, reply, ServeOutput{Data: data})
	})
	if err != nil {
		if cause := context.Cause(ctx); cause != nil && errors.Is(err, ctx.Err()) {
			err = cause
		}
		return ServeOutput{Error: AsError(err), Retry: IsRetry(err), Few: IsRetryFew(err)}
	}
	data, err := encodeResult(result)
	switch {
	case err != nil:
		return ServeOutput{Error: Errorf(CodeInternal, "encode the result: %w", err)}
	case len(data) > MaxPayload:
		return ServeOutput{Error: TooLarge("result", int64(len(data)))}
	case !fits(data):
		b, err := s.c.upload(ctx, data)
		if err != nil {
			return ServeOutput{Error: AsError(err), Retry: true}
		}
		return ServeOutput{ResultBlob: b}
	}
	return ServeOutput{Result: data}
}

// encodeResult makes JSON of a result; what is JSON already is not copied.
func encodeResult(result any) (json.RawMessage, error) {
	if raw, ok := result.(json.RawMessage); ok && (len(raw) > MaxPayload || len(raw) > MaxInline && json.Valid(raw)) {
		return raw, nil // over MaxPayload it is refused, whatever it says
	}
	return Marshal(result)
}

func (s *served) send(ctx context.Context, reply string, out ServeOutput) error {
	b, err := Marshal(out)
	if err != nil {
		return Errorf(CodeInternal, "encode output: %w", err)
	}
	nc, err := s.c.linked()
	if err != nil {
		return err
	}
	if limit := nc.MaxPayload(); int64(len(b)) > limit {
		return Errorf(CodeTooLarge, "output has %d bytes, the limit is %d", len(b), limit)
	}
	if err := nc.Publish(reply, b); err != nil {
		return s.c.requestError(ctx, err)
	}
	return nil
}
