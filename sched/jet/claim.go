package jet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/sched"
)

// Headers of a claim record: what the host reads of it.
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
	rev, err := j.putClaim(ctx, q, c, rec, 0, nil)
	if err != nil {
		return 0, fmt.Errorf("claim %s: %w", c.Task, err)
	}
	return rev, nil
}

// UpdateClaim replaces revision rev of a record: sched.ErrConflict where it is another. After
// any other error it may have been replaced or not. Once it is written its host publishes then.
func (j *Jet) UpdateClaim(ctx context.Context, q sched.QueueID, c sched.Claim, rec []byte, rev uint64, then *sched.Msg) (uint64, error) {
	rev, err := j.putClaim(ctx, q, c, rec, rev, then)
	if err != nil {
		return 0, fmt.Errorf("update claim of %s: %w", c.Task, err)
	}
	return rev, nil
}

func (j *Jet) putClaim(ctx context.Context, q sched.QueueID, c sched.Claim, rec []byte, rev uint64, then *sched.Msg) (uint64, error) {
	if q.Host == j.cfg.Node {
		own, err := j.ownClaims(q)
		if err != nil {
			return 0, err
		}
		return own.put(c, slices.Clone(rec), rev, then, time.Now())
	}
	_, rev, err := j.askClaim(ctx, claimMsg(q, c, rec, rev, then))
	return rev, err
}

// claimMsg asks q's host to replace revision rev of a record, and then to publish then.
func claimMsg(q sched.QueueID, c sched.Claim, rec []byte, rev uint64, then *sched.Msg) *nats.Msg {
	m := &nats.Msg{Subject: bus.SubjectClaim(q.Host, q.Term, string(c.Task)), Data: rec, Header: claimHeader(c)}
	m.Header[hdrExpect] = []string{strconv.FormatUint(rev, 10)}
	if then != nil {
		m.Header[hdrThen], m.Header[hdrThenAt] = []string{then.Subject}, []string{strconv.Itoa(len(rec))}
		m.Data = slices.Concat(rec, then.Data)
	}
	return m
}

// GetClaim reads a record as it is at this moment: sched.ErrNotFound.
func (j *Jet) GetClaim(ctx context.Context, q sched.QueueID, id bus.TaskID) (rec []byte, rev uint64, err error) {
	if q.Host == j.cfg.Node {
		var own *claims
		if own, err = j.ownClaims(q); err == nil {
			rec, rev, err = own.get(id)
		}
	} else {
		rec, rev, err = j.askClaim(ctx, &nats.Msg{Subject: bus.SubjectClaim(q.Host, q.Term, string(id))})
	}
	if err != nil {
		return nil, 0, fmt.Errorf("read claim of %s: %w", id, err)
	}
	return rec, rev, nil
}

// askClaim sends a request for a record to its host.
func (j *Jet) askClaim(ctx context.Context, m *nats.Msg) (rec []byte, rev uint64, err error) {
	r, err := j.fabric.request(ctx, m)
	if err != nil {
		return nil, 0, err
	}
	switch not := r.Header.Get(hdrWhyNot); not {
	case "":
	case notWanted:
		return nil, 0, sched.ErrConflict
	case notThere:
		return nil, 0, sched.ErrNotFound
	default:
		return nil, 0, errors.New(not)
	}
	if rev, err = strconv.ParseUint(r.Header.Get(hdrRev), 10, 64); err != nil {
		return nil, 0, fmt.Errorf("parse revision: %w", err)
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
