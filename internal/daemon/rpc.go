package daemon

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
)

// maxRequests is how many requests are worked on at once; more are refused as CodeBusy.
const maxRequests = 4096

// answer is what a verb gives: the reply, and what to do once it is sent.
type answer struct {
	reply any
	then  func()
}

// verb answers one kind of request.
type verb func(ctx context.Context, data []byte) (answer, error)

// plain makes a verb of a function of a decoded request.
func plain[Req any](do func(context.Context, Req) (any, error)) verb {
	return func(ctx context.Context, data []byte) (answer, error) {
		req, err := decode[Req](data)
		if err != nil {
			return answer{}, err
		}
		reply, err := do(ctx, req)
		return answer{reply: reply}, err
	}
}

func decode[Req any](data []byte) (req Req, err error) {
	if len(data) == 0 {
		return req, nil
	}
	if err := bus.Unmarshal(data, &req); err != nil {
		if e, ok := errors.AsType[*bus.Error](err); ok {
			return req, e
		}
		return req, bus.Errorf(bus.CodeInvalid, "decode the request: %w", err)
	}
	return req, nil
}

// none is the request of verbs that take none.
type none struct{}

// rpcServer answers the requests of this machine's users and of other daemons. Each is answered
// in its own goroutine.
type rpcServer struct {
	d    *Daemon
	ctx  context.Context // of the work behind requests; see Daemon.startRPC
	wg   sync.WaitGroup
	room chan struct{}

	mu      sync.Mutex
	windows map[string]*window // of output that is being sent, by token
}

// startRPC answers on this node's subjects, as a NATS micro service.
func (d *Daemon) startRPC(ctx context.Context, up *lifeline) error {
	work, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	s := &rpcServer{d: d, ctx: work, room: make(chan struct{}, maxRequests), windows: map[string]*window{}}
	service, err := micro.AddService(d.rpc, micro.Config{
		Name: "myco", Version: semver(d.cfg.Version), Description: "a node of the swarm", QueueGroupDisabled: true,
		Metadata: map[string]string{"node": string(d.id.NodeID())},
	})
	if err != nil {
		cancel(nil)
		return fmt.Errorf("answer requests: %w", err)
	}
	up.later(func() {
		if err := service.Stop(); err != nil {
			d.log.Debug("stop answering requests", "err", err)
		}
		cancel(errNoMember)
		s.wg.Wait()
	})
	id := d.id.NodeID()
	verbs := s.verbs(up.fail)
	maps.Copy(verbs, s.trustVerbs())
	for subject, v := range verbs {
		may := d.isInbox
		if slices.Contains(daemonVerbs, subject[strings.LastIndexByte(subject, '.')+1:]) {
			may = d.isAnyInbox
		}
		err := service.AddEndpoint(strings.ReplaceAll(strings.TrimPrefix(subject, "payload."), ".", "_"),
			micro.HandlerFunc(func(r micro.Request) {
				if may(r.Reply()) { // else the reply would be a message with the daemon's rights, to anywhere
					s.take(r, v)
				}
			}), micro.WithEndpointSubject(subject),
			micro.WithEndpointQueueGroupDisabled())
		if err != nil {
			return fmt.Errorf("answer on %s: %w", subject, err)
		}
	}
	if _, err := d.rpc.Subscribe(bus.SubjectPayloadRPC(id, bus.VerbRead)+".*", s.onRead); err != nil {
		return fmt.Errorf("listen for what clients have read: %w", err)
	}
	if err := s.serveParcels(); err != nil {
		return fmt.Errorf("listen for pieces: %w", err)
	}
	d.log.Debug("answering requests", "node", id)
	return d.rpc.Flush()
}

func (s *rpcServer) verbs(fail context.CancelCauseFunc) map[string]verb {
	d, id := s.d, s.d.id.NodeID()
	return map[string]verb{
		bus.SubjectRPC(id, bus.VerbPing): plain(func(context.Context, none) (any, error) {
			return bus.PingReply{NodeID: id, Name: d.id.Name()}, nil
		}),
		bus.SubjectRPC(id, bus.VerbStatus): plain(func(context.Context, none) (any, error) { return d.status(), nil }),

		bus.SubjectPayloadRPC(id, bus.VerbSubmit):  s.submit,
		bus.SubjectPayloadRPC(id, bus.VerbAttach):  s.attach,
		bus.SubjectPayloadRPC(id, bus.VerbEnqueue): plain(d.enqueue),
		bus.SubjectPayloadRPC(id, bus.VerbUpload):  plain(d.parcels.begin),
		bus.SubjectPayloadRPC(id, bus.VerbCancel):  plain(d.cancelTask),
		bus.SubjectPayloadRPC(id, bus.VerbTask):    plain(d.task),
		bus.SubjectPayloadRPC(id, bus.VerbTasks):   plain(d.tasks),
		bus.SubjectPayloadRPC(id, bus.VerbWhy):     plain(d.why),
		bus.SubjectPayloadRPC(id, bus.VerbInvite):  plain(d.invite),
		bus.SubjectPayloadRPC(id, bus.VerbJoin):    plain(d.joinSwarm),
		bus.SubjectPayloadRPC(id, bus.VerbLeave): plain(func(ctx context.Context, _ none) (any, error) {
			return d.leaveSwarm(ctx, fail)
		}),
		bus.SubjectPayloadRPC(id, bus.VerbProbe):  plain(d.probe),
		bus.SubjectPayloadRPC(id, bus.VerbRetry):  plain(d.retryDead),
		bus.SubjectPayloadRPC(id, bus.VerbRemove): plain(d.removeDead),
		bus.SubjectPayloadRPC(id, bus.VerbDrain):  plain(d.drain),
		bus.SubjectPayloadRPC(id, bus.VerbDoctor): plain(d.diagnose),
		bus.SubjectPayloadRPC(id, bus.VerbServe):  plain(d.programs.serve),

		bus.SubjectPayloadRPC(id, bus.VerbPlugins): plain(d.listPlugins),

		bus.SubjectPayloadRPC(id, bus.VerbKeyCreate): plain(d.createKey),
		bus.SubjectPayloadRPC(id, bus.VerbKeys):      plain(d.listKeys),
		bus.SubjectPayloadRPC(id, bus.VerbKeyRevoke): plain(d.revokeKey),
	}
}

// take answers one request in its own goroutine.
func (s *rpcServer) take(r micro.Request, v verb) {
	select {
	case s.room <- struct{}{}:
	default:
		s.refuse(r, bus.Errorf(bus.CodeBusy, "the daemon works on %d requests already", maxRequests))
		return
	}
	s.wg.Go(func() {
		defer func() { <-s.room }()
		a, err := v(s.ctx, r.Data())
		if err != nil {
			s.refuse(r, err)
			return
		}
		s.reply(r, nil, a.reply)
		if a.then != nil {
			a.then()
		}
	})
}

func (s *rpcServer) refuse(r micro.Request, err error) {
	e := bus.AsError(err)
	if e.Node == "" {
		c := *e
		c.Node = s.d.id.NodeID()
		e = &c
	}
	s.reply(r, nats.Header{micro.ErrorCodeHeader: []string{strconv.Itoa(e.Code.HTTPStatus())}, micro.ErrorHeader: []string{string(e.Code)}}, e)
}

// reply answers a request. Not by the request itself: micro looks into that once take has returned
// (nats.go 1.55).
func (s *rpcServer) reply(r micro.Request, h nats.Header, body any) {
	data, err := bus.Marshal(body)
	if err == nil {
		err = s.d.rpc.PublishMsg(&nats.Msg{Subject: r.Reply(), Header: h, Data: data})
	}
	if errors.Is(err, nats.ErrMaxPayload) && h == nil { // a list of many tasks
		b, none := s.d.parcels.lend(data, nil)
		if none != nil {
			s.refuse(r, none)
			return
		}
		s.reply(r, nats.Header{bus.HeaderBlob: []string{"1"}}, b)
		return
	}
	if err != nil {
		s.d.log.Warn("answer a request", "subject", r.Subject(), "err", err)
	}
}

// daemonVerbs are those by which daemons ask one another, and themselves.
var daemonVerbs = []string{
	bus.VerbPing, bus.VerbStatus, bus.VerbAttach, bus.VerbRetry, bus.VerbRemove, bus.VerbDrain, bus.VerbTrustOffer, bus.VerbTrustTake,
}

// isInbox reports whether a reply may go to subject: a client names it, and the daemon that
// publishes there may publish anywhere.
func (d *Daemon) isInbox(subject string) bool { return isBelow(bus.UserInbox(d.id.NodeID()), subject) }

// isAnyInbox is isInbox for what daemons ask, too. Clients hear under swarm.> on which inbox a daemon waits: what they have written
// themselves must not get there, as if a daemon had answered.
func (d *Daemon) isAnyInbox(subject string) bool {
	return d.isInbox(subject) || isBelow("_INBOX", subject)
}

func isBelow(prefix, subject string) bool {
	rest, ok := strings.CutPrefix(subject, prefix+".")
	return ok && rest != "" && !strings.ContainsAny(rest, "*> \t\r\n")
}

// semver is what a micro service accepts as version.
func semver(v string) string {
	v = strings.TrimPrefix(v, "v")
	if parts := strings.SplitN(v, ".", 3); len(parts) == 3 {
		return v
	}
	return "0.0.0"
}

func (d *Daemon) enqueue(ctx context.Context, req bus.EnqueueRequest) (any, error) {
	if req.Copies < 0 || req.Copies > 2 {
		return nil, bus.Errorf(bus.CodeInvalid, "%d copies: want 1 or 2", req.Copies)
	}
	n, err := d.current()
	if err != nil {
		return nil, err
	}
	if req.Copies == 0 {
		req.Copies = 2
	}
	done, err := d.parcels.unpack(&req.Task, req.Payload)
	if err != nil {
		return nil, err
	}
	defer done()
	if !req.Fresh {
		if err := n.CheckID(ctx, req.Task); err != nil {
			return nil, err
		}
	}
	return n.Enqueue(ctx, req.Task, req.Copies)
}

func (d *Daemon) cancelTask(ctx context.Context, req bus.TaskRequest) (any, error) {
	n, err := d.current()
	if err != nil {
		return nil, err
	}
	info, err := n.Cancel(ctx, req.ID)
	if err == nil {
		err = d.told(ctx, n, "", &info)
	}
	return info, err
}

func (d *Daemon) task(ctx context.Context, req bus.TaskRequest) (any, error) {
	n, err := d.current()
	if err != nil {
		return nil, err
	}
	info, err := n.Task(ctx, req.ID)
	if err == nil {
		err = d.told(ctx, n, "", &info)
	}
	return info, err
}

func (d *Daemon) why(ctx context.Context, req bus.TaskRequest) (any, error) {
	n, err := d.current()
	if err != nil {
		return nil, err
	}
	return n.Why(ctx, req.ID)
}

func (d *Daemon) tasks(ctx context.Context, _ none) (any, error) {
	n, err := d.current()
	if err != nil {
		return nil, err
	}
	return n.Tasks(ctx)
}

func (d *Daemon) invite(_ context.Context, req bus.InviteRequest) (any, error) {
	addrs := d.addrsOf(d.join.Addr().String())
	var inv bus.Invitation
	var err error
	if req.TTL == 0 {
		inv.Token, inv.ExpiresAt, err = d.id.Invite(addrs)
	} else {
		inv.Token, inv.ExpiresAt, err = d.id.InviteFor(addrs, req.TTL)
	}
	if err != nil {
		return nil, identityError(err)
	}
	return inv, nil
}

// probeLimit is how long a node may take to answer a ping.
const probeLimit = 2 * time.Second

// probe pings one node, or all.
func (d *Daemon) probe(ctx context.Context, req bus.ProbeRequest) (any, error) {
	var targets []bus.NodeInfo
	for _, n := range d.nodes() {
		if req.Node == "" || string(n.ID) == req.Node || n.Name == req.Node {
			targets = append(targets, n)
		}
	}
	if len(targets) == 0 {
		return nil, bus.Errorf(bus.CodeNotFound, "no node of the swarm is called %q", req.Node).WithHint("myco swarm")
	}
	return d.pingAll(ctx, targets), nil
}

func (d *Daemon) pingAll(ctx context.Context, targets []bus.NodeInfo) []bus.ProbeReply {
	out := make([]bus.ProbeReply, len(targets))
	var wg sync.WaitGroup
	for i, n := range targets {
		wg.Go(func() { out[i] = d.ping(ctx, n) })
	}
	wg.Wait()
	return out
}

func (d *Daemon) ping(ctx context.Context, n bus.NodeInfo) bus.ProbeReply {
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	out := bus.ProbeReply{NodeID: n.ID, Name: n.Name}
	start := time.Now()
	if _, err := d.rpc.RequestWithContext(ctx, bus.SubjectRPC(n.ID, bus.VerbPing), nil); err != nil {
		out.Error = "no route to it"
		if errors.Is(err, context.DeadlineExceeded) {
			out.Error = fmt.Sprintf("no answer within %v", probeLimit)
		}
		return out
	}
	out.RTTMS = float64(time.Since(start).Microseconds()) / 1000
	return out
}

// isNotFound reports whether sched knows nothing of a task on this node.
func isNotFound(err error) bool { return errors.Is(err, sched.ErrNotFound) }
