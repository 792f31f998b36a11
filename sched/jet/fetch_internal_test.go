package jet

import (
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/mycoswarm/mycoswarm/bus/fabric/fabrictest"
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
