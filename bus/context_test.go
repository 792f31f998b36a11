package bus_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Contexts of signal.NotifyContext and of an errgroup end with a cause of their own. It is no fault of the swarm.
func TestAContextWithItsOwnCause(t *testing.T) {
	t.Parallel()
	d, c := setup(t)
	why := errors.New("interrupt signal received")
	submits(d, text(1, 0, "a"))
	for name, call := range map[string]func(context.Context) error{
		"dial": func(ctx context.Context) error {
			_, err := bus.Dial(ctx, bus.WithDataDir(d.dir))
			return err
		},
		"a call":     func(ctx context.Context) error { _, err := c.Ping(ctx); return err },
		"a stream":   func(ctx context.Context) error { _, err := c.Start(ctx, bus.Task{Type: "ping"}); return err },
		"the events": func(ctx context.Context) error { return firstOf(c.Watch(ctx, bus.EventFilter{})) },
		"the nodes":  func(ctx context.Context) error { return firstOf(c.WatchNodes(ctx)) },
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(why)
		err := call(ctx)
		if !errors.Is(err, &bus.Error{Code: bus.CodeCancelled}) || !errors.Is(err, context.Canceled) || !errors.Is(err, why) {
			t.Errorf("%s: %v with code %q, want one that is cancelled, and for its cause", name, err, codeOf(err))
		}
		ctx, over := context.WithTimeoutCause(t.Context(), 0, why)
		err = call(ctx)
		over()
		if !errors.Is(err, &bus.Error{Code: bus.CodeTimeout}) || !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, why) {
			t.Errorf("%s: %v with code %q, want a timeout, and for its cause", name, err, codeOf(err))
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	var last error
	for _, err := range c.Submit(ctx, bus.Task{ID: "t1", Type: "ping"}) {
		last = err
		cancel(bus.Errorf(bus.CodeExpired, "too late"))
	}
	wantCode(t, last, bus.CodeExpired) // an Error says its code itself
}

// What is dialled may take the connection and say nothing more, as a daemon that hangs.
func TestDialEndsWithItsContext(t *testing.T) {
	t.Parallel()
	addr, came := silent(t)
	seed := filepath.Join(t.TempDir(), bus.UserCreds)
	must(t, os.WriteFile(seed, []byte(newSeed(t)), 0o600))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := bus.Dial(ctx, bus.WithURL("nats://"+addr, seed), bus.WithLimit(time.Hour))
		ended <- err
	}()
	receive(t, came, "the credentials")
	cancel()
	wantCode(t, receive(t, ended, "the end of Dial"), bus.CodeCancelled)
}

func TestCloseEndsADialUnderWay(t *testing.T) {
	t.Parallel()
	d := startDaemon(t)
	c, log := dialLogged(t, d, bus.WithLimit(time.Hour))
	d.stop()
	d.opts.Nkeys[0].Nkey = newPublicKey(t)
	d.run()
	log.wait(t, "not back yet")
	addr, came := silent(t)
	d.write(bus.DaemonInfo{NodeID: self, BusURL: "nats://" + addr})
	receive(t, came, "the credentials")
	closed := make(chan struct{})
	go func() {
		c.Close()
		close(closed)
	}()
	receive(t, closed, "the end of Close")
}

// A daemon that takes the connection anew, and says nothing, keeps no call, and not Close either.
func TestNothingWaitsForADialUnderWay(t *testing.T) {
	t.Parallel()
	d := startDaemon(t)
	c, log := dialLogged(t, d, bus.WithLimit(2*limit))
	addr, came := silent(t)
	d.write(bus.DaemonInfo{NodeID: self, BusURL: "nats://" + addr})
	d.stop()
	log.wait(t, "daemon is gone")
	receive(t, came, "the credentials")
	ended := make(chan error, 1)
	for name, call := range map[string]func() error{
		"a call":     func() error { _, err := c.Ping(t.Context()); return err },
		"a rotation": func() error { _, err := c.Rotate(t.Context()); return err },
		"a stream":   func() error { return firstOf(c.Submit(t.Context(), bus.Task{Type: "ping"})) },
		"the events": func() error { return firstOf(c.Watch(t.Context(), bus.EventFilter{})) },
		"the nodes":  func() error { return firstOf(c.WatchNodes(t.Context())) },
	} {
		go func() { ended <- call() }()
		wantCode(t, receive(t, ended, "the end of "+name), bus.CodeUnavailable)
	}
	go func() {
		c.Close()
		ended <- nil
	}()
	must(t, receive(t, ended, "the end of Close"))
}

// Neither does what was under way when the link was lost, and is left while the daemon is dialled anew.
func TestLeavingDoesNotWaitForADialUnderWay(t *testing.T) {
	t.Parallel()
	addr, came := silent(t)
	d := startDaemon(t)
	d.peers(t.Context())
	submits(d, text(1, 0, "a"))
	c, _ := dialLogged(t, d, bus.WithLimit(2*limit))
	dialled, ended, begun := make(chan struct{}), make(chan error), make(chan struct{})
	for _, loop := range []func() error{
		func() error { return last(c.Submit(t.Context(), bus.Task{Type: "ping"}), begun, dialled) },
		func() error { return last(c.WatchNodes(t.Context()), begun, dialled) },
	} {
		go func() { ended <- loop() }()
		receive(t, begun, "the first of a loop")
	}
	d.write(bus.DaemonInfo{NodeID: self, BusURL: "nats://" + addr})
	d.stop()
	receive(t, came, "the credentials")
	close(dialled)
	for n := 0; n < 2; {
		select {
		case <-begun: // the error of a loop
		case err := <-ended:
			wantCode(t, err, bus.CodeUnavailable)
			n++
		case <-time.After(limit):
			t.Fatal("a loop does not end")
		}
	}
}

// last returns the last error of seq; it tells of each pair, and waits then.
func last[T any](seq func(func(T, error) bool), tell chan<- struct{}, wait <-chan struct{}) (last error) {
	for _, err := range seq {
		last = err
		tell <- struct{}{}
		<-wait
	}
	return last
}

// silent takes connections, greets, says nothing more, and tells of each client that has presented itself.
func silent(t *testing.T) (addr string, came <-chan struct{}) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	tell := make(chan struct{}, 1000)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				_, _ = io.WriteString(c, `INFO {"nonce":"x","max_payload":1048576}`+"\r\n")
				if _, err := c.Read(make([]byte, 1)); err == nil {
					tell <- struct{}{}
				}
				_, _ = io.Copy(io.Discard, c) // until the client is gone
			})
		}
	})
	t.Cleanup(func() {
		must(t, l.Close())
		wg.Wait()
	})
	return l.Addr().String(), tell
}

func firstOf[T any](seq func(func(T, error) bool)) error {
	for _, err := range seq {
		return err
	}
	return nil
}
