package jet

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/protect"
	"github.com/mycoswarm/mycoswarm/sched"
)

// outboxes are the streams on disk. They are a type of their own because both queues and
// outboxes are watched.
type outboxes struct{ *Jet }

var _ sched.Outboxes = outboxes{}

// probeEvery is how often Ensure asks whether a new outbox is heard of here.
const probeEvery = 50 * time.Millisecond

// perTask is how many messages a task may have in an outbox: itself, and its end.
const perTask = 2

// makeOutbox makes a submitter's outbox in a custodian's store. The submitter's own takes
// every custodian's token, so that each message is in its store once.
func (j *Jet) makeOutbox(ctx context.Context, submitter, custodian bus.NodeID) error {
	c := jetstream.StreamConfig{
		Name: outboxStream(submitter, custodian), Subjects: []string{bus.SubjectOutbox(submitter, custodian, "*")},
		Storage: jetstream.FileStorage, AllowDirect: true,
		MaxMsgsPerSubject: perTask, Discard: jetstream.DiscardNew, DiscardNewPerSubject: true,
		RePublish: &jetstream.RePublish{
			Source: bus.SubjectOutboxes + ">", Destination: bus.SubjectKept(custodian, ">"),
		},
	}
	if protect.Disk.Off() {
		c.Storage = jetstream.MemoryStorage
	}
	if submitter == custodian {
		c.Subjects = []string{bus.SubjectOutbox(submitter, "*", "*")}
	}
	js := j.js
	if custodian != j.cfg.Node {
		var err error
		if js, err = jetstream.NewWithDomain(j.cfg.Fabric, j.cfg.Domain(custodian)); err != nil {
			return fmt.Errorf("reach store of %s: %w", custodian, err)
		}
	}
	return makeStream(ctx, js, c)
}

// Ensure makes the outbox of submitter in custodian's store, and returns when a Put from here
// reaches it.
func (o outboxes) Ensure(ctx context.Context, submitter, custodian bus.NodeID) error {
	name := outboxStream(submitter, custodian)
	o.mu.Lock()
	has := o.made[name]
	o.mu.Unlock()
	if has || submitter == custodian || custodian == bus.NoCustodian || custodian == "" {
		return nil
	}
	if err := o.makeOutbox(ctx, submitter, custodian); err != nil {
		return fmt.Errorf("make outbox of %s at %s: %w", submitter, custodian, err)
	}
	if err := o.probe(ctx, submitter, custodian); err != nil {
		return fmt.Errorf("reach outbox of %s at %s: %w", submitter, custodian, err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.made[name] = true
	return nil
}

// probe sends messages that every stream refuses, until the custodian's has done so. A stream
// is heard of on other nodes a moment after it is made.
func (o outboxes) probe(ctx context.Context, submitter, custodian bus.NodeID) error {
	l := o.fabric
	reply, ch := l.await(16)
	defer l.forget(reply)
	again := time.NewTicker(probeEvery)
	defer again.Stop()
	for {
		m := &nats.Msg{
			Subject: bus.SubjectOutbox(submitter, custodian, "probe"), Reply: reply,
			Header: nats.Header{hdrExpectStream: {"none"}},
		}
		if err := l.nc.PublishMsg(m); err != nil {
			return err
		}
		for wait := true; wait; {
			select {
			case r := <-ch:
				if a := parseAnswer(r); a.Stream == outboxStream(submitter, custodian) &&
					a.Error != nil && a.Error.ErrorCode == codeOtherStream {
					return nil
				}
			case <-again.C:
				wait = false
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
}

// parseAnswer reads a stream's answer; what is none has no stream.
func parseAnswer(m *nats.Msg) pubAck {
	var a pubAck
	if json.Unmarshal(m.Data, &a) != nil {
		return pubAck{}
	}
	return a
}

// Put publishes once to both custodians, and returns when want stores have answered, when
// nobody listens, or when ctx ends.
func (o outboxes) Put(ctx context.Context, k sched.Kept, first bool, want int) sched.Put {
	if k.Custodian == "" {
		k.Custodian = bus.NoCustodian
	}
	l := o.fabric // the own store passes nothing on to other nodes
	reply, ch := l.await(8)
	defer l.forget(reply)
	m := &nats.Msg{Subject: bus.SubjectOutbox(k.Submitter, k.Custodian, string(k.Task)), Reply: reply, Data: k.Data}
	if first {
		m.Header = nats.Header{hdrExpectSeq: {"0"}}
	}
	var out sched.Put
	if err := l.nc.PublishMsg(m); err != nil {
		o.refusals.Do(err.Error(), func() { o.log.Warn("cannot write to outbox", "task", k.Task, "error", err) })
		return out
	}
	var answered []string
	for len(answered) < want {
		select {
		case r := <-ch:
			if r.Header.Get(hdrStatus) == statusNoResponse {
				o.forgetMade(k)
				return out
			}
			a := parseAnswer(r)
			if a.Stream == "" || slices.Contains(answered, a.Stream) {
				continue
			}
			answered = append(answered, a.Stream)
			custodian := a.Stream == outboxStream(k.Submitter, k.Custodian)
			switch {
			case a.Error == nil:
				out.Stores++
				out.Custodian = out.Custodian || custodian
			case a.conflict():
				out.Refused++
				out.Custodian = out.Custodian || custodian
			default:
				o.refusals.Do(a.Stream+" "+a.Error.Error(), func() {
					o.log.Warn("a store refused a message of the outbox", "stream", a.Stream, "task", k.Task, "error", a.Error)
				})
			}
		case <-ctx.Done():
			o.forgetMade(k)
			out.Pending = !slices.Contains(answered, outboxStream(k.Submitter, k.Submitter))
			return out
		}
	}
	return out
}

// forgetMade has the next Ensure look again: a store that does not answer may come back empty.
func (o outboxes) forgetMade(k sched.Kept) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.made, outboxStream(k.Submitter, k.Custodian))
}

// parseKept reads a message of an outbox: rest of its subject is <submitter>.<custodian>.<task>.
func parseKept(rest string, m *nats.Msg) (sched.Kept, error) {
	p := strings.Split(rest, ".")
	if len(p) != 3 {
		return sched.Kept{}, fmt.Errorf("outbox subject ends in %q: want 3 tokens", rest)
	}
	at, err := time.Parse(time.RFC3339Nano, m.Header.Get(jetstream.TimeStampHeaer))
	if err != nil {
		return sched.Kept{}, fmt.Errorf("parse when it was stored: %w", err)
	}
	return sched.Kept{Submitter: bus.NodeID(p[0]), Custodian: bus.NodeID(p[1]), Task: bus.TaskID(p[2]), Data: m.Data, At: at}, nil
}

// Task returns the first message of k's subject in this node's store: sched.ErrNotFound.
func (o outboxes) Task(ctx context.Context, k sched.Kept) ([]byte, error) {
	return o.read(ctx, k, map[string]any{"seq": 1, "next_by_subj": bus.SubjectOutbox(k.Submitter, k.Custodian, string(k.Task))})
}

// End returns the last message of k's subject in this node's store: sched.ErrNotFound.
func (o outboxes) End(ctx context.Context, k sched.Kept) ([]byte, error) {
	return o.read(ctx, k, map[string]any{"last_by_subj": bus.SubjectOutbox(k.Submitter, k.Custodian, string(k.Task))})
}

// read returns the message of k's subject that which names.
func (o outboxes) read(ctx context.Context, k sched.Kept, which map[string]any) ([]byte, error) {
	ask, err := json.Marshal(which)
	if err != nil {
		return nil, fmt.Errorf("read task %s: %w", k.Task, err)
	}
	m, err := o.store.request(ctx, &nats.Msg{
		Subject: "$JS.API.DIRECT.GET." + outboxStream(k.Submitter, o.cfg.Node), Data: ask,
	})
	if err == nil {
		switch status := m.Header.Get(hdrStatus); status {
		case "":
		case "404":
			err = sched.ErrNotFound
		default:
			err = fmt.Errorf("status %s %s", status, m.Header.Get("Description"))
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read task %s: %w", k.Task, err)
	}
	return m.Data, nil
}

// Forget deletes a task and its end from this node's store.
func (o outboxes) Forget(ctx context.Context, k sched.Kept) error {
	in := map[string]string{"filter": bus.SubjectOutbox(k.Submitter, k.Custodian, string(k.Task))}
	var out struct {
		Purged int64 `json:"purged"`
	}
	err := o.count.add(-perTask)
	if err == nil {
		err = o.store.call(ctx, "$JS.API.STREAM.PURGE."+outboxStream(k.Submitter, o.cfg.Node), in, &out)
	}
	if err == nil {
		err = o.count.add(perTask - out.Purged)
	}
	if err != nil {
		return fmt.Errorf("forget %s: %w", k.Task, err)
	}
	return nil
}
