package daemon

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/protect"
	"github.com/mycoswarm/mycoswarm/sched"
)

const (
	// leftEvery is how often it is looked whether a client still listens to its output.
	leftEvery = 250 * time.Millisecond
	// followEvery is how often a task is looked at whose submitter is away.
	followEvery = 500 * time.Millisecond
	// cancelLimit bounds the cancel of a task whose client left.
	cancelLimit = 5 * time.Second
	// serveWait is how long a task waits for a program that serves its type, servePoll how
	// often it is looked for.
	serveWait = time.Second
	servePoll = 10 * time.Millisecond
)

var errLeft = errors.New("the client left")

// submit runs an attached task and sends its output to the client's inbox. Once nobody listens
// there the task is cancelled.
func (s *rpcServer) submit(ctx context.Context, data []byte) (answer, error) {
	req, err := decode[bus.SubmitRequest](data)
	if err != nil {
		return answer{}, err
	}
	if !s.d.isInbox(req.Inbox) {
		return answer{}, s.d.errInbox(req.Inbox)
	}
	n, err := s.d.current()
	if err != nil {
		return answer{}, err
	}
	if protect.Unlogged.Off() {
		s.d.log.Debug("a task is submitted", "payload", string(req.Task.Payload))
	}
	done, err := s.d.parcels.unpack(&req.Task, req.Payload)
	if err != nil {
		return answer{}, err
	}
	defer done()
	out, reply, err := submitSoon(ctx, n, req.Task)
	if err != nil {
		return answer{}, err
	}
	return answer{reply, func() {
		err := s.pump(n, out, req.Inbox, req.Window, s.tellOwn)
		if err == nil || protect.Left.Off() {
			return
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), cancelLimit)
		defer cancel()
		if _, err := n.Cancel(ctx, reply.ID); err != nil {
			s.d.log.Warn("cancel a task whose client left", "task", reply.ID, "err", err)
		}
	}}, nil
}

// submitSoon is Submit with a moment's patience for a type that nobody serves: the program that
// does may be starting, perhaps in the same process. What an engine lacks does not come so fast.
func submitSoon(ctx context.Context, n *sched.Node, t bus.Task) (*sched.Output, bus.SubmitReply, error) {
	out, reply, err := n.Submit(t)
	nobody := func() bool { return errors.Is(err, &bus.Error{Code: bus.CodeNoWorker}) }
	if !nobody() || t.Type == bus.TypeInference || t.Type == bus.TypeEmbed {
		return out, reply, err
	}
	limit := time.NewTimer(serveWait)
	defer limit.Stop()
	tick := time.NewTicker(servePoll)
	defer tick.Stop()
	for nobody() {
		select {
		case <-tick.C:
			out, reply, err = n.Submit(t)
		case <-limit.C:
			return out, reply, err
		case <-ctx.Done():
			return out, reply, err
		}
	}
	return out, reply, err
}

func (d *Daemon) errInbox(inbox string) error {
	return bus.Errorf(bus.CodeInvalid, "the output cannot go to %q: want a subject below %s", inbox, bus.UserInbox(d.id.NodeID()))
}

// attach sends the output of a task that was submitted before. A task of another node is its
// daemon's to send.
func (s *rpcServer) attach(ctx context.Context, data []byte) (answer, error) {
	req, err := decode[bus.AttachRequest](data)
	if err != nil {
		return answer{}, err
	}
	may := s.d.isInbox
	if req.Far {
		may = s.d.isAnyInbox
	}
	if !may(req.Inbox) {
		return answer{}, s.d.errInbox(req.Inbox)
	}
	if err := req.ID.Validate(); err != nil {
		return answer{}, err
	}
	n, err := s.d.current()
	if err != nil {
		return answer{}, err
	}
	out, err := n.AttachAt(req.ID, req.Attempt, req.From)
	switch {
	case err == nil:
		return answer{bus.SubmitReply{ID: req.ID}, func() { s.pumpQuietly(n, out, req) }}, nil
	case !isNotFound(err):
		return answer{}, err
	}
	info, err := n.Task(ctx, req.ID)
	if err != nil {
		return answer{}, err
	}
	reply := bus.SubmitReply{ID: req.ID, Model: info.Model}
	return answer{reply, func() { s.passOn(n, info, req) }}, nil
}

func (s *rpcServer) pumpQuietly(n *sched.Node, out *sched.Output, req bus.AttachRequest) {
	tell := s.d.told
	if req.Far { // its client fetches a large result from its own daemon
		tell = func(context.Context, *sched.Node, string, *bus.TaskInfo) error { return nil }
	}
	if err := s.pump(n, out, req.Inbox, req.Window, tell); err != nil {
		s.d.log.Debug("send the output of a task", "task", req.ID, "err", err)
	}
}

// tellOwn is told for the client that submitted a task: the result is its own alone.
func (s *rpcServer) tellOwn(ctx context.Context, n *sched.Node, inbox string, t *bus.TaskInfo) error {
	b := t.ResultBlob
	err := s.d.told(ctx, n, inbox, t)
	if err == nil && !t.Durable {
		n.Taken(t.ID, b)
	}
	return err
}

// pump sends out to an inbox until it ends, no faster than it is read there, and fails where nobody
// listens any more.
func (s *rpcServer) pump(n *sched.Node, out *sched.Output, inbox string, limit int, tell func(context.Context, *sched.Node, string, *bus.TaskInfo) error) error {
	w, reads, end := s.openWindow(limit)
	defer end()
	ctx, cancel := context.WithCancelCause(s.ctx)
	defer cancel(nil)
	s.wg.Go(func() { s.watchInbox(ctx, inbox, cancel) })
	for {
		chunk, err := out.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			if s.ctx.Err() != nil || ctx.Err() == nil { // else it is the client that has left
				err = errors.Join(err, s.send(inbox, nil, err))
			}
			return err
		}
		if chunk.End != nil {
			err = tell(ctx, n, inbox, chunk.End)
		}
		m, err := s.message(inbox, &chunk, err)
		if err == nil {
			m.Reply = reads
			err = w.wait(ctx, len(m.Data))
		}
		if err == nil {
			err = s.d.rpc.PublishMsg(m)
		}
		if err != nil {
			return err
		}
	}
}

// watchInbox ends ctx once nobody listens on inbox: the client is gone.
func (s *rpcServer) watchInbox(ctx context.Context, inbox string, cancel context.CancelCauseFunc) {
	tick := time.NewTicker(leftEvery)
	defer tick.Stop()
	for missed := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if s.d.fabric.Interest(inbox) {
			missed = 0
			continue
		}
		if missed++; missed > 1 { // a client of another node is heard of a moment later
			cancel(errLeft)
			return
		}
	}
}

// send publishes a chunk, or an error, to an inbox.
func (s *rpcServer) send(inbox string, chunk *bus.Chunk, failed error) error {
	m, err := s.message(inbox, chunk, failed)
	if err != nil {
		return err
	}
	return s.d.rpc.PublishMsg(m)
}

// message is a chunk, or an error, for an inbox.
func (s *rpcServer) message(inbox string, chunk *bus.Chunk, failed error) (*nats.Msg, error) {
	m := &nats.Msg{Subject: inbox}
	var err error
	if failed != nil {
		m.Header = nats.Header{bus.HeaderError: []string{"503"}}
		m.Data, err = bus.Marshal(bus.AsError(failed))
	} else {
		m.Data, err = bus.Marshal(chunk)
	}
	if err != nil {
		return nil, err
	}
	if limit := s.d.rpc.MaxPayload(); int64(len(m.Data)) > limit {
		return s.message(inbox, nil, bus.Errorf(bus.CodeTooLarge, "a piece of output has %d bytes, the limit is %d", len(m.Data), limit))
	}
	return m, nil
}

// passOn sends what another daemon sends of the output of task t, which is not this node's, and its end.
func (s *rpcServer) passOn(n *sched.Node, t bus.TaskInfo, req bus.AttachRequest) {
	ctx, cancel := context.WithCancelCause(s.ctx)
	defer cancel(nil)
	s.wg.Go(func() { s.watchInbox(ctx, req.Inbox, cancel) })
	r := s.d.newRelay(n, req, func(m *nats.Msg, _ bus.Chunk) error {
		m.Subject, m.Reply = req.Inbox, ""
		return s.d.rpc.PublishMsg(m)
	})
	end, told, err := r.run(ctx, t)
	if ctx.Err() != nil {
		return
	}
	if err == nil && !told { // who has told it leaves a large result to the client's own daemon
		err = s.d.told(ctx, n, req.Inbox, end.End)
	}
	if err := s.send(req.Inbox, &end, err); err != nil {
		s.d.log.Debug("send the end of a task", "task", req.ID, "err", err)
	}
}
