package jet

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
)

// Headers of a claim record: what the host reads of it. They travel without the body.
const (
	hdrState   = "Myco-State"
	hdrWorker  = "Myco-Worker"
	hdrAttempt = "Myco-Attempt"
	hdrAck     = "Myco-Ack"
	hdrKey     = "Myco-Key"
	hdrSeq     = "Myco-Seq"
)

// CreateClaim writes the first record of a task: sched.ErrConflict where there is one.
func (j *Jet) CreateClaim(ctx context.Context, q sched.QueueID, c sched.Claim, rec []byte) (uint64, error) {
	rev, err := j.putClaim(ctx, q, c, rec, 0)
	if err != nil {
		return 0, fmt.Errorf("claim %s: %w", c.Task, err)
	}
	return rev, nil
}

// UpdateClaim replaces revision rev of a record: sched.ErrConflict where it is another. After
// any other error it may have been replaced or not.
func (j *Jet) UpdateClaim(ctx context.Context, q sched.QueueID, c sched.Claim, rec []byte, rev uint64) (uint64, error) {
	rev, err := j.putClaim(ctx, q, c, rec, rev)
	if err != nil {
		return 0, fmt.Errorf("update claim of %s: %w", c.Task, err)
	}
	return rev, nil
}

func (j *Jet) putClaim(ctx context.Context, q sched.QueueID, c sched.Claim, rec []byte, rev uint64) (uint64, error) {
	l, _ := j.at(q.Host)
	m := &nats.Msg{Subject: bus.SubjectClaim(q.Host, q.Term, string(c.Task)), Data: rec, Header: claimHeader(c)}
	m.Header[hdrExpectSeq] = []string{strconv.FormatUint(rev, 10)}
	if c.State.Terminal() {
		m.Header[jetstream.MsgTTLHeader] = []string{claimAge.String()}
	}
	a, err := l.put(ctx, m)
	switch {
	case err != nil:
		return 0, err
	case a.conflict():
		return 0, fmt.Errorf("%w: %w", sched.ErrConflict, a.Error)
	case a.Error != nil:
		return 0, a.Error
	}
	return a.Seq, nil
}

// GetClaim reads a record as it is at this moment: sched.ErrNotFound.
func (j *Jet) GetClaim(ctx context.Context, q sched.QueueID, id bus.TaskID) ([]byte, uint64, error) {
	l, api := j.at(q.Host)
	m := &nats.Msg{Subject: api + "DIRECT.GET." + claimStream(q) + "." + bus.SubjectClaim(q.Host, q.Term, string(id))}
	r, err := l.request(ctx, m)
	if err == nil {
		switch status := r.Header.Get(hdrStatus); status {
		case "":
		case "404":
			err = sched.ErrNotFound
		default:
			err = errors.New("status " + status + " " + r.Header.Get("Description"))
		}
	}
	if err != nil {
		return nil, 0, fmt.Errorf("read claim of %s: %w", id, err)
	}
	rev, err := strconv.ParseUint(r.Header.Get(jetstream.SequenceHeader), 10, 64)
	if err != nil {
		return nil, 0, fmt.Errorf("read claim of %s: parse revision: %w", id, err)
	}
	return r.Data, rev, nil
}

func claimHeader(c sched.Claim) nats.Header {
	return nats.Header{
		hdrState: {string(c.State)}, hdrWorker: {string(c.Worker)}, hdrAttempt: {strconv.Itoa(c.Attempt)},
		hdrAck: {c.Ack}, hdrKey: {c.Key.String()}, hdrSeq: {strconv.FormatUint(c.Seq, 10)},
	}
}

// parseClaim is the inverse of claimHeader; the task is in the subject.
func parseClaim(h nats.Header) (sched.Claim, error) {
	key, err1 := bus.ParseKey(h.Get(hdrKey))
	attempt, err2 := strconv.Atoi(h.Get(hdrAttempt))
	seq, err3 := strconv.ParseUint(h.Get(hdrSeq), 10, 64)
	if err := errors.Join(err1, err2, err3); err != nil {
		return sched.Claim{}, fmt.Errorf("parse claim: %w", err)
	}
	return sched.Claim{
		State: bus.TaskState(h.Get(hdrState)), Worker: bus.NodeID(h.Get(hdrWorker)), Attempt: attempt,
		Ack: h.Get(hdrAck), Key: key, Seq: seq,
	}, nil
}
