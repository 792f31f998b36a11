package bus_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/mycoswarm/mycoswarm/bus"
)

func TestCallsOfTheDaemon(t *testing.T) {
	t.Parallel()
	d, c := setup(t)
	status := bus.Status{Node: bus.NodeInfo{ID: self}, Swarm: bus.SwarmInfo{ID: "s", Term: 3}}
	on(d, bus.SubjectRPC(self, bus.VerbStatus), func(struct{}) any { return status })
	on(d, bus.SubjectRPC(self, bus.VerbPing), func(struct{}) any { return bus.PingReply{NodeID: self, Name: "a"} })
	on(d, payload(bus.VerbProbe), func(r bus.ProbeRequest) any { return []bus.ProbeReply{{Name: r.Node, RTTMS: 0.5}} })
	on(d, payload(bus.VerbInvite), func(r bus.InviteRequest) any {
		return bus.Invitation{Token: "mycoT", ExpiresAt: time.Unix(0, 0).Add(r.TTL).UTC()}
	})
	on(d, payload(bus.VerbJoin), func(r bus.JoinRequest) any {
		return bus.JoinReply{Swarm: bus.SwarmInfo{ID: r.Token}, Changed: true}
	})
	on(d, payload(bus.VerbLeave), func(struct{}) any { return bus.JoinReply{Swarm: bus.SwarmInfo{ID: "alone"}} })
	ctx := t.Context()
	check(t, status)(c.Status(ctx))
	check(t, bus.PingReply{NodeID: self, Name: "a"})(c.Ping(ctx))
	check(t, []bus.ProbeReply{{Name: "b", RTTMS: 0.5}})(c.Probe(ctx, "b"))
	check(t, bus.Invitation{Token: "mycoT", ExpiresAt: time.Unix(1, 0).UTC()})(c.Invite(ctx, time.Second))
	check(t, bus.JoinReply{Swarm: bus.SwarmInfo{ID: "mycoX"}, Changed: true})(c.Join(ctx, "mycoX"))
	check(t, bus.JoinReply{Swarm: bus.SwarmInfo{ID: "alone"}})(c.Leave(ctx))
}

// check returns a function that takes what a call returned.
func check[T any](t *testing.T, want T) func(T, error) {
	return func(got T, err error) {
		t.Helper()
		must(t, err)
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	}
}

func TestCallErrors(t *testing.T) {
	t.Parallel()
	d, c := setup(t)
	_, err := c.Status(t.Context())
	wantCode(t, err, bus.CodeUnavailable) // nobody answers

	on(d, bus.SubjectRPC(self, bus.VerbPing), func(struct{}) any { return nil })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = c.Ping(ctx)
	wantCode(t, err, bus.CodeTimeout)

	on(d, bus.SubjectRPC(self, bus.VerbStatus), func(struct{}) any { return "not a status" })
	_, err = c.Status(t.Context())
	wantCode(t, err, bus.CodeInternal)

	c.Close()
	_, err = c.Status(t.Context())
	wantCode(t, err, bus.CodeUnavailable)
	c.Close() // again does nothing
}

// A daemon that starts listens to clients before it listens to their requests.
func TestACallWaitsForADaemonThatStarts(t *testing.T) {
	t.Parallel()
	d, c := setup(t)
	tries := 0
	_, err := d.nc.Subscribe(bus.SubjectRPC(self, bus.VerbPing), func(m *nats.Msg) {
		out := &nats.Msg{Subject: m.Reply, Header: nats.Header{"Status": {"503"}}} // as the server says that nobody listens
		if tries++; tries > 2 {
			out = &nats.Msg{Subject: m.Reply, Data: []byte(`{"name":"a"}`)}
		}
		if err := d.nc.PublishMsg(out); err != nil {
			t.Error(err)
		}
	})
	must(t, err)
	must(t, d.nc.Flush())
	check(t, bus.PingReply{Name: "a"})(c.Ping(t.Context()))
}

func TestARefusedPublishIsForbidden(t *testing.T) {
	t.Parallel()
	d := startDaemon(t)
	d.stop()
	d.opts.Nkeys[0].Permissions.Publish = &server.SubjectPermission{Deny: []string{"payload.>"}}
	d.run()
	c, err := bus.Dial(t.Context(), bus.WithDataDir(d.dir))
	must(t, err)
	defer c.Close()
	_, err = c.Invite(t.Context(), 0)
	wantCode(t, err, bus.CodeForbidden)
}

func TestALostDaemonEndsACall(t *testing.T) {
	t.Parallel()
	d, c := setup(t)
	asked := make(chan struct{}, 1)
	on(d, bus.SubjectRPC(self, bus.VerbPing), func(struct{}) any { asked <- struct{}{}; return nil })
	done := make(chan error, 1)
	go func() {
		_, err := c.Ping(t.Context())
		done <- err
	}()
	receive(t, asked, "the request")
	d.stop()
	err := receive(t, done, "the end of the call")
	wantCode(t, err, bus.CodeUnavailable)
	if want, hint := "mycod --data-dir "+bus.ShellWord(d.dir), bus.AsError(err).Hint; hint != want {
		t.Errorf("the hint is %q, want what starts that daemon, %q", hint, want)
	}
}

func TestNodes(t *testing.T) {
	t.Parallel()
	d, c := setup(t)
	_, err := c.Nodes(t.Context())
	wantCode(t, err, bus.CodeUnavailable) // no table yet

	kv := d.peers(t.Context())
	put := func(n bus.NodeInfo) {
		b, err := json.Marshal(n)
		must(t, err)
		_, err = kv.Put(t.Context(), string(n.ID), b)
		must(t, err)
	}
	got, err := c.Nodes(t.Context())
	must(t, err)
	if len(got) != 0 {
		t.Errorf("nodes %v, want none", got)
	}
	put(bus.NodeInfo{ID: "myco-000000000002", Name: "b"})
	put(bus.NodeInfo{ID: self, Name: "a", State: bus.NodeReady})
	want := []bus.NodeInfo{{ID: self, Name: "a", State: bus.NodeReady}, {ID: "myco-000000000002", Name: "b"}}
	check(t, want)(c.Nodes(t.Context()))

	step := 0
	for nodes, err := range c.WatchNodes(t.Context()) {
		must(t, err)
		switch step++; step {
		case 1:
			check(t, want)(nodes, nil)
			must(t, kv.Delete(t.Context(), "myco-000000000002"))
		case 2:
			check(t, want[:1])(nodes, nil)
		}
		if step == 2 {
			break
		}
	}
}

func TestWatch(t *testing.T) {
	t.Parallel()
	d, c := setup(t)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	events := make(chan bus.Event, 100)
	ended := make(chan error, 1)
	go func() {
		for e, err := range c.Watch(ctx, bus.EventFilter{Task: "t1"}) {
			if err != nil {
				ended <- err
				return
			}
			events <- e
		}
	}()
	// The first events may come before the subscription is there.
	first := bus.Event{Kind: bus.EventQueued, Task: "t1"}
	for len(events) == 0 && ctx.Err() == nil {
		d.send(bus.SubjectEvent(self, "t1", bus.EventQueued), first)
		must(t, d.nc.Flush())
	}
	d.send(bus.SubjectEvent(self, "t2", bus.EventDone), bus.Event{Kind: bus.EventDone, Task: "t2"})
	d.send(bus.SubjectCancel(self, "t1"), bus.TaskRequest{ID: "t1"})
	d.send(bus.SubjectEvent(self, "t1", bus.EventDone), bus.Event{Kind: bus.EventDone, Task: "t1", Node: self})
	for {
		e := receive(t, events, "an event")
		if e == first {
			continue
		}
		if want := (bus.Event{Kind: bus.EventDone, Task: "t1", Node: self}); e != want {
			t.Errorf("event %+v, want %+v", e, want)
		}
		break
	}
	d.stop()
	wantCode(t, receive(t, ended, "the end"), bus.CodeUnavailable)
}

// Who has closed a connection is not told to start the daemon.
func TestClosedConnection(t *testing.T) {
	t.Parallel()
	_, c := setup(t)
	c.Close()
	want := func(err error) {
		t.Helper()
		wantCode(t, err, bus.CodeUnavailable)
		if e := bus.AsError(err); !strings.HasSuffix(e.Message, "is closed") || e.Hint != "" {
			t.Errorf("error %q with the hint %q, want that the connection is closed, and no hint", e.Message, e.Hint)
		}
	}
	for _, err := range c.Submit(t.Context(), bus.Task{Type: "ping"}) {
		want(err)
	}
	for _, err := range c.Attach(t.Context(), "t1", 0) {
		want(err)
	}
	for _, err := range c.Watch(t.Context(), bus.EventFilter{}) {
		want(err)
	}
}

// A filter goes into a subject: one that is none has the server cut the connection, with all that goes by it.
func TestWatchRefusesWhatNoEventHas(t *testing.T) {
	t.Parallel()
	_, c := setup(t)
	for _, f := range []bus.EventFilter{{Submitter: ">"}, {Task: "a b"}, {Task: "a.b"}, {Kind: "Done"}} {
		for _, err := range c.Watch(t.Context(), f) {
			wantCode(t, err, bus.CodeInvalid)
		}
	}
}

// alarm is a log that tells of each line.
type alarm chan string

func (alarm) Enabled(context.Context, slog.Level) bool { return true }
func (a alarm) WithAttrs([]slog.Attr) slog.Handler     { return a }
func (a alarm) WithGroup(string) slog.Handler          { return a }

func (a alarm) Handle(_ context.Context, r slog.Record) error {
	select {
	case a <- r.Message:
	default:
	}
	return nil
}

// Who reads events slowly misses some, and goes on: the daemon is not gone.
func TestWatchOfASlowReader(t *testing.T) {
	t.Parallel()
	d := startDaemon(t)
	logged := make(alarm, 1)
	c, err := bus.Dial(t.Context(), bus.WithDataDir(d.dir), bus.WithLogger(slog.New(logged)))
	must(t, err)
	t.Cleanup(c.Close)
	first, release, next := make(chan struct{}), make(chan struct{}), make(chan struct{}, 1000)
	ended := make(chan error, 1)
	go func() {
		seen := 0
		for e, err := range c.Watch(t.Context(), bus.EventFilter{}) {
			if err != nil || e.Kind == bus.EventDead {
				ended <- err
				return
			}
			if seen++; seen == 1 {
				close(first)
				<-release
			}
			next <- struct{}{}
		}
	}()
	long := bus.Event{Kind: bus.EventDone, Task: "t1", Reason: strings.Repeat("x", 1<<20-1<<10)}
	for more := true; more; { // until it listens
		d.send(bus.SubjectEvent(self, "t1", bus.EventDone), long)
		must(t, d.nc.Flush())
		select {
		case <-first:
			more = false
		default:
		}
	}
	for range 80 { // it keeps 64 MiB
		d.send(bus.SubjectEvent(self, "t1", bus.EventDone), long)
		must(t, d.nc.Flush())
		must(t, c.Flush(t.Context())) // a server cuts a connection that is 64 MiB behind
	}
	receive(t, logged, "word of what was dropped")
	close(release)
	receive(t, next, "an event")
	receive(t, next, "an event after what was dropped")
	for more := true; more; {
		d.send(bus.SubjectEvent(self, "t1", bus.EventDead), bus.Event{Kind: bus.EventDead, Task: "t1"})
		must(t, d.nc.Flush())
		select {
		case err := <-ended:
			must(t, err)
			more = false
		default:
		}
	}
}

// A daemon of another node does not take the place of the one that went: this connection may not
// listen there.
func TestAnotherNodeIsNotTheDaemon(t *testing.T) {
	t.Parallel()
	d, c := setup(t)
	d.stop()
	d.opts.ServerName = "myco-ba9876543210"
	d.run()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	end := time.After(limit)
	for {
		_, err := c.Ping(t.Context())
		if err == nil {
			t.Fatal("another node answers")
		}
		if strings.Contains(err.Error(), "closed") {
			return
		}
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("still %v", err)
		}
	}
}
