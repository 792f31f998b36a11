package jet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/mycoswarm/mycoswarm/sched"
)

// Error codes of the server that jetstream gives no name.
const (
	codeStoreFailed  jetstream.ErrorCode = 10077 // "maximum messages per subject exceeded", among others
	codeOtherStream  jetstream.ErrorCode = 10060 // the stream is not the one expected
	perSubject                           = "per subject exceeded"
	hdrExpectSeq                         = "Nats-Expected-Last-Subject-Sequence"
	hdrExpectStream                      = "Nats-Expected-Stream"
	hdrStatus                            = "Status"
	statusNoResponse                     = "503"
)

// errLate is a request that had no answer in time.
var errLate = errors.New("no answer")

// link is a connection with one permanent inbox for replies, so that a request costs no
// subscription of its own.
type link struct {
	nc  *nats.Conn
	sub *nats.Subscription

	mu      sync.Mutex
	inbox   string
	n       uint64
	waiting map[string]chan *nats.Msg
}

func (l *link) listen() error {
	l.waiting = map[string]chan *nats.Msg{}
	l.inbox = l.nc.NewInbox() + "."
	sub, err := subscribeAll(l.nc, l.inbox+"*", l.deliver)
	if err != nil {
		return fmt.Errorf("listen for replies: %w", err)
	}
	l.sub = sub
	return nil
}

func (l *link) close() {
	if l.sub != nil {
		_ = l.sub.Unsubscribe() // fails where the connection is closed already
	}
}

// subscribe calls fn for each message on subject, and returns when the server knows it. A
// reader far too slow loses messages.
func subscribe(nc *nats.Conn, subject string, fn func(*nats.Msg)) (*nats.Subscription, error) {
	sub, err := nc.Subscribe(subject, fn)
	if err != nil {
		return nil, err
	}
	if err := nc.FlushTimeout(patience); err != nil {
		return nil, errors.Join(err, sub.Unsubscribe())
	}
	return sub, nil
}

// subscribeAll is subscribe, and loses nothing: what comes was asked for, or is stored too.
func subscribeAll(nc *nats.Conn, subject string, fn func(*nats.Msg)) (*nats.Subscription, error) {
	sub, err := subscribe(nc, subject, fn)
	if err != nil {
		return nil, err
	}
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return nil, errors.Join(err, sub.Unsubscribe())
	}
	return sub, nil
}

func (l *link) deliver(m *nats.Msg) {
	l.mu.Lock()
	ch := l.waiting[m.Subject]
	l.mu.Unlock()
	select {
	case ch <- m:
	default: // nobody waits any more
	}
}

// await returns a reply subject, and the channel of the first n messages to it.
func (l *link) await(n int) (string, chan *nats.Msg) {
	ch := make(chan *nats.Msg, n)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.n++
	reply := l.inbox + strconv.FormatUint(l.n, 36)
	l.waiting[reply] = ch
	return reply, ch
}

func (l *link) forget(reply string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.waiting, reply)
}

// request publishes m and returns the first reply.
func (l *link) request(ctx context.Context, m *nats.Msg) (*nats.Msg, error) {
	return l.requestWithin(ctx, m, patience)
}

func (l *link) requestWithin(ctx context.Context, m *nats.Msg, limit time.Duration) (*nats.Msg, error) {
	reply, ch := l.await(1)
	defer l.forget(reply)
	m.Reply = reply
	if err := l.nc.PublishMsg(m); err != nil {
		return nil, err
	}
	late := time.NewTimer(limit)
	defer late.Stop()
	select {
	case r := <-ch:
		if r.Header.Get(hdrStatus) == statusNoResponse {
			return nil, nats.ErrNoResponders
		}
		return r, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-late.C:
		return nil, errLate
	}
}

// pubAck is a stream's answer to a message.
type pubAck struct {
	Stream string              `json:"stream"`
	Error  *jetstream.APIError `json:"error"`
}

// conflict reports whether the message was refused for what its subject holds already.
func (a *pubAck) conflict() bool {
	return a.Error != nil && (a.Error.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || a.full())
}

// full reports whether the message was refused because its subject holds all that it may.
func (a *pubAck) full() bool {
	return a.Error != nil && a.Error.ErrorCode == codeStoreFailed && strings.Contains(a.Error.Description, perSubject)
}

// put publishes m to the one stream that takes it. The answer may be a refusal.
func (l *link) put(ctx context.Context, m *nats.Msg) (pubAck, error) {
	var a pubAck
	r, err := l.request(ctx, m)
	if err != nil {
		return a, err
	}
	if err := json.Unmarshal(r.Data, &a); err != nil {
		return a, fmt.Errorf("parse answer of stream: %w", err)
	}
	return a, nil
}

// call asks the JetStream API and parses the answer into out.
func (l *link) call(ctx context.Context, subject string, in, out any) error {
	b, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encode request: %w", err)
	}
	r, err := l.request(ctx, &nats.Msg{Subject: subject, Data: b})
	if err != nil {
		return err
	}
	var e struct {
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(r.Data, &e); err != nil {
		return fmt.Errorf("parse answer of store: %w", err)
	}
	if e.Error != nil && e.Error.ErrorCode == jetstream.JSErrCodeStreamNotFound {
		return fmt.Errorf("%w: %w", sched.ErrNotFound, e.Error)
	}
	if e.Error != nil {
		return e.Error
	}
	if err := json.Unmarshal(r.Data, out); err != nil {
		return fmt.Errorf("parse answer of store: %w", err)
	}
	return nil
}
