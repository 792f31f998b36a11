package bus_test

import (
	"context"
	"encoding/json"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/mycoswarm/mycoswarm/bus"
)

// worker is a Handler made of a function.
type worker struct {
	offer  bus.Capability
	err    error
	handle func(ctx context.Context, t *bus.Task, emit bus.Emit) (any, error)
}

func (w worker) Capability(context.Context) (bus.Capability, error) { return w.offer, w.err }

func (w worker) Handle(ctx context.Context, t *bus.Task, emit bus.Emit) (any, error) {
	return w.handle(ctx, t, emit)
}

const (
	jobs = "payload.serve." + string(self) + ".echo"
	stop = jobs + ".cancel"
)

// service is a program that serves type "echo", as the daemon sees it.
type service struct {
	*daemon
	offers chan bus.ServeRequest
	ended  chan error
	cancel context.CancelFunc
}

// serve runs a Conn.Serve until the test ends.
func serve(t *testing.T, handle func(ctx context.Context, t *bus.Task, emit bus.Emit) (any, error)) *service {
	t.Helper()
	d, c := setup(t)
	return serveOn(t, d, c, handle)
}

// serveOn is serve for a daemon and a connection that there are.
func serveOn(t *testing.T, d *daemon, c *bus.Conn, handle func(ctx context.Context, t *bus.Task, emit bus.Emit) (any, error)) *service {
	t.Helper()
	s := &service{daemon: d, offers: make(chan bus.ServeRequest, 100), ended: make(chan error, 1)}
	on(d, payload(bus.VerbServe), func(r bus.ServeRequest) any {
		s.offers <- r
		return bus.ServeReply{Jobs: jobs, Cancels: stop}
	})
	ctx, cancel := context.WithCancel(t.Context())
	s.cancel = cancel
	go func() {
		s.ended <- c.Serve(ctx, worker{offer: bus.Capability{Type: "echo", Slots: 2}, handle: handle})
		close(s.ended)
	}()
	t.Cleanup(func() {
		cancel()
		for range s.ended {
		}
	})
	s.offered(2)
	return s
}

// offered waits for two offers in a row: from the second on there is a subscription.
func (s *service) offered(slots int) {
	s.t.Helper()
	for n := 0; n < 2; {
		if r := receive(s.t, s.offers, "an offer"); r.Capability.Type == "echo" && r.Capability.Slots == slots {
			n++
		}
	}
}

// run sends a task and returns what the program sends back.
func (s *service) run(id bus.TaskID) <-chan bus.ServeOutput {
	s.t.Helper()
	outs := make(chan bus.ServeOutput, 100)
	reply := jobs + ".out." + string(id)
	_, err := s.nc.Subscribe(reply, func(m *nats.Msg) {
		var o bus.ServeOutput
		if err := json.Unmarshal(m.Data, &o); err != nil {
			s.t.Error(err)
		}
		outs <- o
	})
	must(s.t, err)
	b, err := json.Marshal(bus.ServeJob{Task: bus.Task{ID: id, Type: "echo"}, Attempt: 1})
	must(s.t, err)
	must(s.t, s.nc.PublishRequest(jobs, reply, b))
	return outs
}

func TestServeRunsTasks(t *testing.T) {
	t.Parallel()
	s := serve(t, func(ctx context.Context, task *bus.Task, emit bus.Emit) (any, error) {
		bus.SetPhase(ctx, "load", time.Minute)
		if err := emit("one"); err != nil {
			return nil, err
		}
		return string(task.ID), emit("two")
	})
	outs := s.run("t1")
	want := []bus.ServeOutput{
		{Phase: "load", PhaseLimit: time.Minute},
		{Data: json.RawMessage(`"one"`)},
		{Data: json.RawMessage(`"two"`)},
		{End: true, Result: json.RawMessage(`"t1"`)},
	}
	for _, w := range want {
		if d := cmp.Diff(w, receive(t, outs, "output")); d != "" {
			t.Error(d)
		}
	}
}

// What a handler says is shown to people as it is: a program's text holds more of "<" than a web page may.
func TestServeSaysTextAsItIs(t *testing.T) {
	t.Parallel()
	const text = "if a<b && c>d\u2028"
	s := serve(t, func(_ context.Context, _ *bus.Task, emit bus.Emit) (any, error) {
		return json.RawMessage(`"` + text + `"`), emit(map[string]string{"piece": text})
	})
	outs := s.run("t1")
	if o := receive(t, outs, "output"); string(o.Data) != `{"piece":"`+text+`"}` {
		t.Errorf("the piece is %s", o.Data)
	}
	if o := receive(t, outs, "the end"); string(o.Result) != `"`+text+`"` {
		t.Errorf("the result is %s", o.Result)
	}
}

func TestServeTellsWhyATaskFailed(t *testing.T) {
	t.Parallel()
	s := serve(t, func(_ context.Context, task *bus.Task, _ bus.Emit) (any, error) {
		switch task.ID {
		case "retry":
			return nil, bus.Retry(bus.Errorf(bus.CodeBusy, "later"))
		case "few":
			return nil, bus.RetryFew(bus.Errorf(bus.CodeUnavailable, "broken"))
		case "panic":
			panic("oh")
		case "big":
			return json.RawMessage(make([]byte, bus.MaxPayload+1)), nil
		case "odd":
			return func() {}, nil
		case "long":
			return nil, errors.New(strings.Repeat("é", 1<<20))
		case "gone":
			runtime.Goexit()
		}
		return nil, errors.New("plain")
	})
	for id, want := range map[bus.TaskID]struct {
		code       bus.Code
		retry, few bool
	}{
		"retry": {bus.CodeBusy, true, false}, "few": {bus.CodeUnavailable, true, true}, "panic": {bus.CodeInternal, false, false},
		"big": {bus.CodeTooLarge, false, false}, "odd": {bus.CodeInternal, false, false}, "plain": {bus.CodeInternal, false, false},
		"long": {bus.CodeInternal, false, false}, "gone": {bus.CodeInternal, false, false},
	} {
		o := receive(t, s.run(id), "the end")
		if !o.End || o.Error == nil || o.Error.Code != want.code || o.Retry != want.retry || o.Few != want.few {
			t.Errorf("%s: %+v, want an end with %s, retry %v, few %v", id, o, want.code, want.retry, want.few)
		} else if m := o.Error.Message; m == "" || len(m) > bus.MaxErrorText || strings.ContainsRune(m, utf8.RuneError) {
			t.Errorf("%s: a message of %d bytes, want some whole characters, and no more than %d bytes", id, len(m), bus.MaxErrorText)
		}
	}
}

func TestServeCancels(t *testing.T) {
	t.Parallel()
	started := make(chan struct{}, 1)
	s := serve(t, func(ctx context.Context, _ *bus.Task, emit bus.Emit) (any, error) {
		started <- struct{}{}
		<-ctx.Done()
		if err := emit("late"); err == nil {
			t.Error("a cancelled task may still emit")
		}
		return nil, ctx.Err()
	})
	outs := s.run("t1")
	receive(t, started, "the start")
	s.send(stop, bus.TaskRequest{ID: "other"})
	s.send(stop, bus.TaskRequest{ID: "t1"})
	if o := receive(t, outs, "the end"); !o.End || o.Error == nil || o.Error.Code != bus.CodeCancelled {
		t.Errorf("%+v, want an end with %s", o, bus.CodeCancelled)
	}
}

func TestServeDrains(t *testing.T) {
	t.Parallel()
	started, release := make(chan struct{}, 1), make(chan struct{})
	s := serve(t, func(context.Context, *bus.Task, bus.Emit) (any, error) {
		started <- struct{}{}
		<-release
		return "whole", nil
	})
	outs := s.run("t1")
	receive(t, started, "the start")
	s.cancel()
	for receive(t, s.offers, "the withdrawal").Capability.Slots != 0 {
	}
	if o := receive(t, s.run("t2"), "the refusal"); !o.End || !o.Retry {
		t.Errorf("%+v, want that a stopping program gives a task to another", o)
	}
	close(release)
	if o := receive(t, outs, "the end"); string(o.Result) != `"whole"` {
		t.Errorf("%+v, want the whole result", o)
	}
	must(t, receive(t, s.ended, "the end of Serve"))
}

// A daemon takes requests side by side: what a program withdraws must not be overtaken by what it has offered before.
func TestServeWithdrawsOnceItsOfferIsAnswered(t *testing.T) {
	t.Parallel()
	d, c := setup(t)
	ctx, cancel := context.WithCancel(t.Context())
	reply, err := json.Marshal(bus.ServeReply{Jobs: jobs, Cancels: stop})
	must(t, err)
	answered, withdrawn, early := make(chan struct{}), make(chan struct{}), make(chan bool, 1)
	offers := 0
	_, err = d.nc.Subscribe(payload(bus.VerbServe), func(m *nats.Msg) {
		offers++
		switch offers {
		case 2: // its answer takes a while
			cancel()
			go func() {
				select {
				case <-withdrawn:
				case <-time.After(500 * time.Millisecond):
				}
				close(answered)
				_ = m.Respond(reply) // nobody may listen any more
			}()
			return
		case 3:
			select {
			case <-answered:
				early <- false
			default:
				early <- true
			}
			close(withdrawn)
		}
		if err := m.Respond(reply); err != nil {
			t.Error(err)
		}
	})
	must(t, err)
	must(t, d.nc.Flush())
	must(t, c.Serve(ctx, worker{offer: bus.Capability{Type: "echo", Slots: 1}}))
	if receive(t, early, "the withdrawal") {
		t.Error("it was withdrawn before the last offer was answered")
	}
}

// A daemon that hangs does not keep a program that is told to stop.
func TestServeLeavesADaemonThatHangs(t *testing.T) {
	t.Parallel()
	d, c := setup(t)
	offered := make(chan struct{}, 100)
	offers := 0
	on(d, payload(bus.VerbServe), func(bus.ServeRequest) any {
		offered <- struct{}{}
		if offers++; offers > 2 {
			return nil
		}
		return bus.ServeReply{Jobs: jobs, Cancels: stop}
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Serve(ctx, worker{offer: bus.Capability{Type: "echo", Slots: 1}}) }()
	for range 3 {
		receive(t, offered, "an offer")
	}
	began := time.Now()
	cancel()
	must(t, receive(t, ended, "the end of Serve"))
	if took := time.Since(began); took > 20*time.Second { // a daemon may take 30 s to answer
		t.Errorf("it took %v", took)
	}
}

func TestServeComesBackWithTheDaemon(t *testing.T) {
	t.Parallel()
	started := make(chan struct{}, 2)
	s := serve(t, func(ctx context.Context, task *bus.Task, _ bus.Emit) (any, error) {
		if task.ID == "second" {
			return "ok", nil
		}
		started <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	})
	s.run("first")
	receive(t, started, "the start")
	s.stop()
	for len(s.offers) > 0 {
		<-s.offers
	}
	s.daemon.run()
	s.offered(2)
	if o := receive(t, s.run("second"), "the end"); string(o.Result) != `"ok"` {
		t.Errorf("%+v, want a result after the daemon came back", o)
	}
}

func TestServeEndsWithTheConnection(t *testing.T) {
	t.Parallel()
	d, c := setup(t)
	offered := make(chan struct{}, 100)
	on(d, payload(bus.VerbServe), func(bus.ServeRequest) any {
		offered <- struct{}{}
		return bus.ServeReply{Jobs: jobs, Cancels: stop}
	})
	ended := make(chan error, 1)
	go func() { ended <- c.Serve(t.Context(), worker{offer: bus.Capability{Type: "echo", Slots: 1}}) }()
	receive(t, offered, "an offer")
	c.Close()
	wantCode(t, receive(t, ended, "the end of Serve"), bus.CodeUnavailable)
}

// What still runs when the program is told to stop, and does not listen, is no good end of Serve, whatever ended it.
func TestServeTellsOfAHandlerThatGoesOn(t *testing.T) {
	t.Parallel()
	d, c := setup(t)
	started, release := make(chan struct{}, 1), make(chan struct{})
	defer close(release)
	s := serveOn(t, d, c, func(context.Context, *bus.Task, bus.Emit) (any, error) {
		started <- struct{}{}
		<-release
		return nil, errors.New("late")
	})
	s.run("t1")
	receive(t, started, "the start")
	s.cancel()
	wantCode(t, receive(t, s.ended, "the end of Serve"), bus.CodeInternal)
}

// A daemon under a flood of requests answers some with CodeBusy: who serves goes on.
func TestServeOutlivesABusyDaemon(t *testing.T) {
	t.Parallel()
	d, c := setup(t)
	ctx, cancel := context.WithCancel(t.Context())
	asked := 0
	on(d, payload(bus.VerbServe), func(bus.ServeRequest) any {
		switch asked++; asked {
		case 1, 3: // the first offer of the program, and one that renews it
			return bus.Errorf(bus.CodeBusy, "the daemon works on 4096 requests already")
		case 4:
			cancel()
		}
		return bus.ServeReply{Jobs: jobs, Cancels: stop}
	})
	must(t, c.Serve(ctx, worker{offer: bus.Capability{Type: "echo", Slots: 1}}))
	if ctx.Err() == nil {
		t.Error("Serve ended before it was told to")
	}
}

// A context that ends for a cause is a good end.
func TestServeEndsForACause(t *testing.T) {
	t.Parallel()
	d, c := setup(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	on(d, payload(bus.VerbServe), func(bus.ServeRequest) any {
		cancel(bus.Errorf(bus.CodeBusy, "something else to do"))
		return bus.ServeReply{Jobs: jobs, Cancels: stop}
	})
	must(t, c.Serve(ctx, worker{offer: bus.Capability{Type: "echo", Slots: 1}}))
}

func TestServeErrors(t *testing.T) {
	t.Parallel()
	d, c := setup(t)
	wantCode(t, c.Serve(t.Context()), bus.CodeInvalid)
	wantCode(t, c.Serve(t.Context(), worker{offer: bus.Capability{Type: "Not a type"}}), bus.CodeInvalid)
	once := worker{offer: bus.Capability{Type: "echo", Slots: 1}}
	wantCode(t, c.Serve(t.Context(), once, once), bus.CodeInvalid) // each would run every task
	broken := errors.New("broken")
	if err := c.Serve(t.Context(), worker{err: broken}); !errors.Is(err, broken) {
		t.Errorf("error %v, want %v", err, broken)
	}
	on(d, payload(bus.VerbServe), func(bus.ServeRequest) any { return bus.Errorf(bus.CodeConflict, "taken") })
	wantCode(t, c.Serve(t.Context(), worker{offer: bus.Capability{Type: "echo", Slots: 1}}), bus.CodeConflict)
}
