package jet

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/mycoswarm/mycoswarm/sched"
)

// ackInfo is what a delivery's acknowledgement subject tells.
type ackInfo struct {
	stream    string
	seq       uint64
	delivered int
	at        time.Time // when it was stored
}

// parseAck reads both forms of the subject, and ignores tokens that a later one adds:
//
//	$JS.ACK.<stream>.<consumer>.<delivered>.<seq>.<consumer seq>.<time>.<pending>
//	$JS.ACK.<domain>.<account>.<stream>.<consumer>.<delivered>.<seq>.<consumer seq>.<time>.<pending>
func parseAck(subject string) (ackInfo, error) {
	p := strings.Split(subject, ".")
	at := 2
	if len(p) >= 11 {
		at = 4
	} else if len(p) != 9 {
		return ackInfo{}, fmt.Errorf("acknowledgement subject %q has %d tokens", subject, len(p))
	}
	delivered, err1 := strconv.Atoi(p[at+2])
	seq, err2 := strconv.ParseUint(p[at+3], 10, 64)
	ns, err3 := strconv.ParseInt(p[at+5], 10, 64)
	if !strings.HasPrefix(subject, ackPrefix) || err1 != nil || err2 != nil || err3 != nil {
		return ackInfo{}, fmt.Errorf("acknowledgement subject %q: want %s and numbers", subject, ackPrefix)
	}
	return ackInfo{stream: p[at], seq: seq, delivered: delivered, at: time.Unix(0, ns)}, nil
}

// Ack takes a delivery's message out of its queue. It may get lost.
func (j *Jet) Ack(ack string) error { return j.settle(ack, "+ACK") }

// Nak gives a delivery back, to be delivered again after delay. It may get lost.
func (j *Jet) Nak(ack string, delay time.Duration) error {
	if delay <= 0 {
		return j.settle(ack, "-NAK")
	}
	return j.settle(ack, fmt.Sprintf(`-NAK {"delay":%d}`, delay))
}

// Progress starts a delivery's lease anew. It may get lost.
func (j *Jet) Progress(ack string) error { return j.settle(ack, "+WPI") }

// settle publishes to the store that made the delivery: ours is nearer without the fabric.
func (j *Jet) settle(ack, what string) error {
	a, err := parseAck(ack)
	if err != nil {
		return err
	}
	l := j.fabric
	if j.ours(a.stream) {
		l = j.store
	}
	if err := l.nc.Publish(ack, []byte(what)); err != nil {
		return fmt.Errorf("settle delivery: %w", err)
	}
	return nil
}

// Discard takes message seq out of this node's queue q. It may get lost.
func (j *Jet) Discard(q sched.QueueID, seq uint64) error {
	ask := fmt.Appendf(nil, `{"seq":%d,"no_erase":true}`, seq) // no answer is waited for
	if err := j.store.nc.Publish("$JS.API.STREAM.MSG.DELETE."+workStream(q), ask); err != nil {
		return fmt.Errorf("discard message %d: %w", seq, err)
	}
	return nil
}

// Free makes the message seq, delivered and never claimed, available again. The server looks
// at the sequence, and at the consumer's, which must be one that was delivered.
func (j *Jet) Free(q sched.QueueID, c sched.KeyCount, seq uint64) error {
	ack := fmt.Sprintf("%s%s.%s.1.%d.%d.0.0", ackPrefix, workStream(q), consumerName(q, c.Key), seq, c.ConsumerSeq)
	return j.settle(ack, "-NAK")
}
