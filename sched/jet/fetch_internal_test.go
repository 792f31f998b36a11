package jet

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/bus/fabric/fabrictest"
	"github.com/mycoswarm/mycoswarm/sched"
)

// What comes for a request that was never sent would be taken for the answer to the next one.
func TestFetchThatIsNotSentWaitsForNothing(t *testing.T) {
	t.Parallel()
	nc, err := fabrictest.Swarm(t, 1)[0].Store.Conn("jet")
	fabrictest.Check(t, err)
	l := &link{nc: nc}
	s := &slot{link: l, inbox: "inbox", got: make(chan arrival, 1)}
	j := &Jet{slots: map[slotID]*slot{{}: s}}
	nc.Close()
	if _, err := j.fetch(t.Context(), slotID{}, l, &nats.Msg{Subject: "ask"}, "work."); err == nil {
		t.Fatal("a request on a closed connection is sent")
	}
	if s.want != "" {
		t.Errorf("the slot waits for %q", s.want)
	}
}

// A slot that looks for itself may be handed a task in that moment, by a host that knows where it waited before.
func TestFetchTakesWhatIsHandedOver(t *testing.T) {
	t.Parallel()
	nc, err := fabrictest.Swarm(t, 1)[0].Store.Conn("jet")
	fabrictest.Check(t, err)
	defer nc.Close()
	key := bus.Key{Lane: bus.Interactive, Priority: 5, Class: "work"}
	work := bus.SubjectWork("myco-00000000000a", 1, key.String()+".")
	l, s := &link{nc: nc}, &slot{inbox: "inbox", got: make(chan arrival, 1)}
	id := slotID{own: true}
	j := &Jet{slots: map[slotID]*slot{id: s}}
	handed, over := &sched.Job{}, make(chan struct{})
	asked, err := nc.SubscribeSync("ask")
	fabrictest.Check(t, err)
	go func() {
		defer close(over)
		if _, err := asked.NextMsg(30 * time.Second); err != nil {
			t.Error(err)
		}
		j.toSlot(arrival{job: handed, Msg: &nats.Msg{Subject: "inbox.before", Header: nats.Header{hdrWork: {work + "t1"}, hdrRev: {"7"}, hdrDirect: {"1"}}}})
	}()
	d, err := j.fetch(t.Context(), id, l, &nats.Msg{Subject: "ask"}, work)
	<-over
	if err != nil || d.Job != handed || d.Nonce != "inbox.before" || d.Rev != 7 {
		t.Errorf("%+v, %v: want the task that was handed over", d, err)
	}
}
