package jet

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/protect"
	"github.com/mycoswarm/mycoswarm/sched"
)

var _ sched.Queues = (*Jet)(nil)

// hdrNeed is what a work message tells its host, which sees headers alone.
const hdrNeed = "Myco-Need"

// keysMost is how many keys a queue may have. Without a number the server takes 1,000, and
// refuses the next one for the rest of the term; each takes some 50 KiB.
const keysMost = 5000

// Open makes queue q, of this node, with its claims, in memory.
func (j *Jet) Open(ctx context.Context, q sched.QueueID) error {
	all := bus.SubjectWork(q.Host, q.Term, ">")
	work := jetstream.StreamConfig{
		Name: workStream(q), Subjects: []string{all},
		Retention: jetstream.WorkQueuePolicy, Storage: jetstream.MemoryStorage,
		MaxMsgsPerSubject: 1, Discard: jetstream.DiscardNew, DiscardNewPerSubject: true, MaxConsumers: keysMost,
		RePublish: &jetstream.RePublish{
			Source: all, Destination: bus.SubjectStored(q.Host, q.Term, ">"), HeadersOnly: true,
		},
	}
	if err := makeStream(ctx, j.js, work); err != nil {
		return fmt.Errorf("open queue: %w", err)
	}
	if err := j.openClaims(q); err != nil {
		return fmt.Errorf("open queue: %w", err)
	}
	return nil
}

// makeStream makes a stream, or gives one of that name this configuration.
func makeStream(ctx context.Context, js jetstream.JetStream, c jetstream.StreamConfig) error {
	_, err := js.CreateStream(ctx, c)
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		_, err = js.UpdateStream(ctx, c)
	}
	if err != nil {
		return fmt.Errorf("make stream %s: %w", c.Name, err)
	}
	return nil
}

// Drop ends queue q, of this node, and what is in it. A queue that is gone is no error.
func (j *Jet) Drop(ctx context.Context, q sched.QueueID) error {
	name := workStream(q)
	j.mu.Lock()
	for k := range j.keys {
		if strings.HasPrefix(k, name+" ") {
			delete(j.keys, k)
		}
	}
	j.mu.Unlock()
	j.dropClaims(q)
	if err := j.js.DeleteStream(ctx, name); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("drop queue: delete stream %s: %w", name, err)
	}
	return nil
}

// Old returns the queues of this node that are still there, in no order.
func (j *Jet) Old(ctx context.Context) ([]sched.QueueID, error) {
	var out []sched.QueueID
	names := j.js.StreamNames(ctx)
	for n := range names.Name() {
		rest, isWork := strings.CutPrefix(n, workStreams(j.cfg.Node))
		if !isWork {
			continue
		}
		if term, err := strconv.ParseUint(rest, 10, 64); err == nil {
			out = append(out, sched.QueueID{Host: j.cfg.Node, Term: term})
		}
	}
	if err := names.Err(); err != nil {
		return nil, fmt.Errorf("list queues: %w", err)
	}
	return out, nil
}

// nameMost is the longest consumer name that is spelled out; the server allows 255 bytes.
const nameMost = 200

// consumerName is one subject token, and no two keys, queues or nodes share it.
func consumerName(q sched.QueueID, key bus.Key) string {
	n := fmt.Sprintf("%s_%d_%s", q.Host, q.Term, strings.ReplaceAll(key.String(), ".", "+"))
	if len(n) <= nameMost {
		return n
	}
	sum := sha256.Sum256([]byte(n))
	return n[:nameMost-64] + hex.EncodeToString(sum[:])
}

// AddKey makes key of this node's queue q fetchable. It may be called again.
func (j *Jet) AddKey(ctx context.Context, q sched.QueueID, key bus.Key) error {
	c := jetstream.ConsumerConfig{
		Durable: consumerName(q, key), FilterSubject: bus.SubjectWork(q.Host, q.Term, key.String()+".*"),
		AckPolicy: jetstream.AckExplicitPolicy, AckWait: j.cfg.Lease,
		MaxDeliver: -1, MaxAckPending: -1, MemoryStorage: true,
	}
	if protect.Lease.Off() {
		c.AckWait = time.Hour
	}
	known := workStream(q) + " " + c.Durable
	j.mu.Lock()
	has := j.keys[known]
	j.mu.Unlock()
	if has {
		return nil
	}
	if _, err := j.js.CreateOrUpdateConsumer(ctx, workStream(q), c); err != nil {
		return fmt.Errorf("add key %s: %w", key, notFound(err, jetstream.ErrStreamNotFound))
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.keys[known] = true
	return nil
}

// DropKey ends the consumer of a key of this node's queue q. The messages stay.
func (j *Jet) DropKey(ctx context.Context, q sched.QueueID, key bus.Key) error {
	name := consumerName(q, key)
	j.mu.Lock()
	delete(j.keys, workStream(q)+" "+name) // before it is known what becomes of it
	j.mu.Unlock()
	if err := j.js.DeleteConsumer(ctx, workStream(q), name); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return fmt.Errorf("drop key %s: %w", key, notFound(err, jetstream.ErrStreamNotFound))
	}
	return nil
}

// notFound marks err as sched.ErrNotFound where it is missing.
func notFound(err, missing error) error {
	if errors.Is(err, missing) {
		return fmt.Errorf("%w: %w", sched.ErrNotFound, err)
	}
	return err
}

// Feed stores a task's message once: where one is there already, nothing happens. One that was
// settled a few microseconds ago counts as there.
func (j *Jet) Feed(ctx context.Context, q sched.QueueID, key bus.Key, id bus.TaskID, need sched.Need, data []byte) error {
	l, _ := j.at(q.Host)
	m := &nats.Msg{Subject: bus.SubjectWork(q.Host, q.Term, key.String()+"."+string(id)), Data: data}
	if need != (sched.Need{}) {
		m.Header = nats.Header{hdrNeed: {need.String()}}
	}
	a, err := l.put(ctx, m)
	if err == nil && a.Error != nil && !a.full() {
		err = a.Error
	}
	if err != nil {
		return fmt.Errorf("feed %s: %w", id, err)
	}
	return nil
}

// Keys returns the keys of queue q that have a message, delivered or not, for a worker that looks for itself.
func (j *Jet) Keys(ctx context.Context, q sched.QueueID) ([]bus.Key, error) {
	counts, err := j.consumers(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	var keys []bus.Key
	for _, c := range counts {
		if c.Pending+c.Unacked > 0 {
			keys = append(keys, c.Key)
		}
	}
	return keys, nil
}

// Counts tells what this node's queue q holds. The server does not tell deliveries that are
// out from those that wait for another try: Unacked counts both.
func (j *Jet) Counts(ctx context.Context, q sched.QueueID) ([]sched.KeyCount, error) {
	if own, err := j.ownClaims(q); err == nil {
		own.forgetOld(time.Now()) // a host asks for its counts at rest, too
	}
	counts, err := j.consumers(ctx, q)
	if err == nil {
		counts, err = j.strays(ctx, q, counts)
	}
	if err != nil {
		return nil, fmt.Errorf("count queue: %w", err)
	}
	return counts, nil
}

// strays adds the keys that have messages and no consumer: the news of their first message was
// lost.
func (j *Jet) strays(ctx context.Context, q sched.QueueID, counts []sched.KeyCount) ([]sched.KeyCount, error) {
	l, api := j.at(q.Host)
	var info struct {
		State struct {
			Messages uint64            `json:"messages"`
			Subjects map[string]uint64 `json:"subjects"`
		} `json:"state"`
	}
	if err := l.call(ctx, api+"STREAM.INFO."+workStream(q), map[string]string{}, &info); err != nil {
		return nil, err
	}
	known := map[bus.Key]int{}
	total := 0
	for i, c := range counts {
		known[c.Key] = i
		total += c.Pending + c.Unacked
	}
	if info.State.Messages <= uint64(total) {
		return counts, nil
	}
	prefix := bus.SubjectWork(q.Host, q.Term, "")
	if err := l.call(ctx, api+"STREAM.INFO."+workStream(q), map[string]string{"subjects_filter": prefix + ">"}, &info); err != nil {
		return nil, err
	}
	had := len(counts)
	for subject := range info.State.Subjects {
		rest := strings.TrimPrefix(subject, prefix)
		key, err := bus.ParseKey(rest[:max(0, strings.LastIndexByte(rest, '.'))])
		if err != nil { // one message that no node can fetch must not hide the others
			j.odd.Do(func() { j.log.Warn("passed over work of no key", "subject", subject, "err", err) })
			continue
		}
		i, ok := known[key]
		if !ok {
			i = len(counts)
			known[key] = i
			counts = append(counts, sched.KeyCount{Key: key})
		}
		if i >= had {
			counts[i].Pending++
		}
	}
	return counts, nil
}

// consumers asks q's host for its consumers, page by page.
func (j *Jet) consumers(ctx context.Context, q sched.QueueID) ([]sched.KeyCount, error) {
	l, api := j.at(q.Host)
	prefix := bus.SubjectWork(q.Host, q.Term, "")
	var out []sched.KeyCount
	for seen := 0; ; {
		var page struct {
			Total     int                       `json:"total"`
			Consumers []*jetstream.ConsumerInfo `json:"consumers"`
		}
		in := map[string]int{"offset": seen}
		if err := l.call(ctx, api+"CONSUMER.LIST."+workStream(q), in, &page); err != nil {
			return nil, err
		}
		for _, c := range page.Consumers {
			filter := strings.TrimSuffix(strings.TrimPrefix(c.Config.FilterSubject, prefix), ".*")
			key, err := bus.ParseKey(filter)
			if err != nil {
				j.odd.Do(func() { j.log.Warn("passed over a consumer of no key", "consumer", c.Name, "err", err) })
				continue
			}
			out = append(out, sched.KeyCount{
				Key: key, Pending: int(c.NumPending), Unacked: c.NumAckPending,
				DeliveredSeq: c.Delivered.Stream, ConsumerSeq: c.Delivered.Consumer,
			})
		}
		seen += len(page.Consumers)
		if len(page.Consumers) == 0 || seen >= page.Total {
			return out, nil
		}
	}
}

// Watch calls stored for each message of this node's queue once stored, and claimed for each
// claim record written, one call at a time each.
func (j *Jet) Watch(q sched.QueueID, stored func(bus.Key, bus.TaskID, uint64, sched.Need), claimed func(sched.Claim)) (func(), error) {
	s1, err := j.watch(bus.SubjectStored(q.Host, q.Term, ""), func(rest string, m *nats.Msg) error {
		key, id, err := workOf(rest, "")
		if err != nil {
			return err
		}
		seq, err := strconv.ParseUint(m.Header.Get(jetstream.SequenceHeader), 10, 64)
		if err != nil {
			return fmt.Errorf("parse sequence: %w", err)
		}
		stored(key, id, seq, sched.ParseNeed(m.Header.Get(hdrNeed)))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("watch queue: %w", err)
	}
	own, err := j.ownClaims(q)
	if err != nil {
		stopper(s1)()
		return nil, fmt.Errorf("watch claims: %w", err)
	}
	unwatch := own.watch(claimed)
	return func() { stopper(s1)(); unwatch() }, nil
}

// watch calls fn for each message below prefix that the own store publishes.
func (j *Jet) watch(prefix string, fn func(rest string, m *nats.Msg) error) (*nats.Subscription, error) {
	return subscribeAll(j.store.nc, prefix+">", func(m *nats.Msg) {
		if err := fn(strings.TrimPrefix(m.Subject, prefix), m); err != nil {
			j.log.Warn("cannot read a message of the own store", "subject", m.Subject, "error", err)
		}
	})
}
