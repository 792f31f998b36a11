package jet

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/protect"
	"github.com/mycoswarm/mycoswarm/sched"
)

// A page of Load: small enough that the server never takes this node for a slow reader.
const (
	pageMsgs  = 1000
	pageBytes = 8 << 20
)

// Load returns everything in this node's outbox and in those it has custody of, oldest first
// within each.
func (o outboxes) Load(ctx context.Context) ([]sched.Kept, error) {
	streams, others, err := o.streams(ctx)
	if err != nil {
		return nil, err
	}
	var out []sched.Kept
	from := map[string]uint64{}
	for _, s := range streams {
		if out, from[s], err = o.loadStream(ctx, s, out, 1); err != nil {
			return nil, fmt.Errorf("load %s: %w", s, err)
		}
	}
	missing, err := o.count.loaded(len(out), others, from)
	if err != nil {
		return nil, err
	}
	o.unreadable.Store(missing)
	if missing > 0 && !protect.Count.Off() {
		o.log.Warn("the store has lost messages of its outboxes; other nodes may hold them", "lost", missing, "left", len(out))
	}
	return out, nil
}

// streams returns the names of this node's outbox and of those that it has custody of, and how many messages there are of
// identities that its data directory had before.
func (o outboxes) streams(ctx context.Context) (streams []string, others int64, err error) {
	names := o.js.StreamNames(ctx)
	for n := range names.Name() {
		switch {
		case n == outboxStream(o.cfg.Node, o.cfg.Node) || strings.HasPrefix(n, custodies):
			streams = append(streams, n)
		case strings.HasPrefix(n, outboxesOwn):
			s, err := o.js.Stream(ctx, n)
			if err != nil {
				return nil, 0, fmt.Errorf("look at %s: %w", n, err)
			}
			others += int64(s.CachedInfo().State.Msgs)
		}
	}
	if err := names.Err(); err != nil {
		return nil, 0, fmt.Errorf("list outboxes: %w", err)
	}
	return streams, others, nil
}

// loadStream appends the messages of one stream from sequence next on, and returns the sequence after the last.
func (o outboxes) loadStream(ctx context.Context, name string, out []sched.Kept, next uint64) ([]sched.Kept, uint64, error) {
	stream, err := o.js.Stream(ctx, name)
	if err != nil {
		return nil, 0, err
	}
	inbox := o.store.nc.NewInbox()
	sub, err := o.store.nc.SubscribeSync(inbox)
	if err != nil {
		return nil, 0, err
	}
	defer stopper(sub)()
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return nil, 0, err
	}
	for more := stream.CachedInfo().State.Msgs > 0; more; {
		ask := fmt.Appendf(nil, `{"seq":%d,"batch":%d,"max_bytes":%d}`, next, pageMsgs, pageBytes)
		if err := o.store.nc.PublishRequest("$JS.API.DIRECT.GET."+name, inbox, ask); err != nil {
			return nil, 0, err
		}
		if out, next, more, err = loadPage(ctx, sub, out, next); err != nil {
			return nil, 0, err
		}
	}
	return out, next, nil
}

// loadPage appends one page. more is set where another one follows, at sequence next.
func loadPage(ctx context.Context, sub *nats.Subscription, out []sched.Kept, next uint64) (_ []sched.Kept, _ uint64, more bool, err error) {
	first := next
	for {
		m, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return nil, 0, false, err
		}
		switch m.Header.Get(hdrStatus) {
		case "":
		case "204": // end of the page
			left := m.Header.Get("Nats-Num-Pending")
			return out, next, next > first && left != "" && left != "0", nil
		case "404": // nothing from next on
			return out, next, false, nil
		default:
			return nil, 0, false, fmt.Errorf("status %s %s", m.Header.Get(hdrStatus), m.Header.Get("Description"))
		}
		seq, err := strconv.ParseUint(m.Header.Get(jetstream.SequenceHeader), 10, 64)
		if err != nil {
			return nil, 0, false, fmt.Errorf("parse sequence: %w", err)
		}
		subject := m.Header.Get(jetstream.SubjectHeader)
		k, err := parseKept(strings.TrimPrefix(subject, bus.SubjectOutboxes), m)
		if err != nil {
			return nil, 0, false, err
		}
		out, next = append(out, k), seq+1
	}
}
