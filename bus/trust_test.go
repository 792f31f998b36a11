package bus_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/mycoswarm/mycoswarm/bus"
)

func TestCallsAboutTrust(t *testing.T) {
	t.Parallel()
	d, c := setup(t)
	roster := bus.Roster{Here: self, Members: []bus.Member{{ID: self, Name: "a", State: bus.NodeReady, Since: time.Unix(0, 0).UTC(), Holder: true}}}
	reply := func(id bus.NodeID) bus.TrustReply {
		return bus.TrustReply{Member: bus.Member{ID: id, Since: time.Unix(0, 0).UTC()}, Changed: true}
	}
	on(d, bus.SubjectRPC(self, bus.VerbNodes), func(struct{}) any { return roster })
	on(d, payload(bus.VerbPromote), func(r bus.NodeRequest) any { return reply(r.Node) })
	on(d, payload(bus.VerbRevoke), func(r bus.NodeRequest) any { return reply("not " + r.Node) })
	on(d, payload(bus.VerbRecover), func(r bus.RecoverRequest) any { return reply(bus.NodeID(r.Phrase)) })
	on(d, payload(bus.VerbRotateSwarm), func(struct{}) any { return bus.SwarmRotation{Phrase: "p"} })
	ctx := t.Context()
	check(t, bus.SwarmRotation{Phrase: "p"})(c.RotateSwarm(ctx))
	check(t, roster)(c.Roster(ctx))
	check(t, reply("x"))(c.Promote(ctx, "x"))
	check(t, reply("not x"))(c.Revoke(ctx, "x"))
	check(t, reply("a phrase"))(c.Recover(ctx, "a phrase"))

	_, err := c.Rotate(ctx)
	wantCode(t, err, bus.CodeUnavailable) // nobody answers
	on(d, payload(bus.VerbRotate), func(struct{}) any { return bus.Errorf(bus.CodeForbidden, "no") })
	_, err = c.Rotate(ctx)
	wantCode(t, err, bus.CodeForbidden)
}

// A daemon that was not replaced with this program has the recovery phrase by its former name.
func TestRecoveryPhraseOfAnOlderDaemon(t *testing.T) {
	t.Parallel()
	type older struct {
		Phrase string `json:"phrase"`
	}
	d, c := setup(t)
	on(d, payload(bus.VerbRecover), func(r older) any { return bus.TrustReply{Member: bus.Member{ID: bus.NodeID(r.Phrase)}} })
	on(d, payload(bus.VerbLeave), func(struct{}) any { return older{"p"} })
	check(t, bus.TrustReply{Member: bus.Member{ID: "a phrase"}})(c.Recover(t.Context(), "a phrase"))
	check(t, bus.JoinReply{Phrase: "p"})(c.Leave(t.Context()))
}

// The daemon cuts whoever asked for new credentials as soon as it has answered: the answer counts.
func TestReplyBeforeTheCut(t *testing.T) {
	t.Parallel()
	d, c := setup(t)
	cut := make(chan struct{}, 1)
	_, err := d.nc.Subscribe(payload(bus.VerbRotate), func(m *nats.Msg) {
		defer func() { cut <- struct{}{} }()
		if err := m.Respond([]byte(`{"dir":"d"}`)); err != nil {
			t.Error(err)
		}
		if err := d.nc.Flush(); err != nil {
			t.Error(err)
		}
		list, err := d.srv.Connz(&server.ConnzOptions{})
		if err != nil {
			t.Error(err)
			return
		}
		for _, i := range list.Conns {
			if i.Kind == "Client" && i.Name != "" {
				_ = d.srv.DisconnectClientByID(i.Cid) // it may be gone
			}
		}
	})
	must(t, err)
	on(d, bus.SubjectRPC(self, bus.VerbPing), func(struct{}) any { return bus.PingReply{NodeID: self} })
	for range 20 {
		check(t, bus.Rotation{Dir: "d"})(c.Rotate(t.Context()))
		receive(t, cut, "the cut")
		for end := time.Now().Add(time.Minute); ; { // until it has found back
			_, err := c.Ping(t.Context())
			if err == nil {
				break
			}
			if time.Now().After(end) {
				t.Fatal(err)
			}
			<-time.After(time.Millisecond)
		}
	}
}
