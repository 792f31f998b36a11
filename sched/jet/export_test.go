package jet

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
)

// ConsumerName is the name of a key's consumer.
func ConsumerName(q sched.QueueID, k bus.Key) string { return consumerName(q, k) }

// ParseAck reads an acknowledgement subject.
func ParseAck(subject string) (stream string, seq uint64, delivered int, err error) {
	a, err := parseAck(subject)
	return a.stream, a.seq, a.delivered, err
}

// OpenDisk opens the files beside a store.
func OpenDisk(dir string) (sched.Disk, func() error, error) {
	d, err := openDisk(dir)
	if err != nil {
		return nil, nil, err
	}
	return d, d.close, nil
}

// JournalMost, CrashedMost and OlderMost bound the journal.
const (
	JournalMost = journalMost
	CrashedMost = crashedMost
	OlderMost   = olderMost
)

// Hearing returns what takes in a message that the store tells of, rest of whose subject is after its prefix. What it has missed
// it reads within limit.
func (j *Jet) Hearing(limit time.Duration, fn func(sched.Kept)) (hear func(rest string, m *nats.Msg) error, stop context.CancelFunc) {
	w, stop := outboxes{j}.watched(fn)
	w.limit = limit
	return w.hear, stop
}
