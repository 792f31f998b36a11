package fabric_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus/fabric"
	"github.com/mycoswarm/mycoswarm/bus/fabric/fabrictest"
)

func TestKnock(t *testing.T) {
	t.Parallel()
	a, b, evil := fabrictest.NewKey(t), fabrictest.NewKey(t), fabrictest.NewKey(t)
	r := fabrictest.NewRoster(a, b)
	n := fabrictest.StartFabric(t, a, r)
	all := fabrictest.NewRoster(a, b, evil)
	web := fakeListener(t, func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n") })
	mute := fakeListener(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	for name, c := range map[string]struct {
		addr string
		key  *fabrictest.Key
		with *fabrictest.Roster
		want error
	}{
		"a member":                  {n.Fabric.FabricAddr(), b, r, nil},
		"the node itself":           {n.Fabric.FabricAddr(), a, r, nil},
		"not in the other's roster": {n.Fabric.FabricAddr(), evil, all, fabric.ErrTurned},
		"a web server":              {web, b, r, fabric.ErrNoFabric},
		"a hung listener":           {mute, b, r, fabric.ErrMute},
		"nothing":                   {closedAddr(t), b, r, fabric.ErrRefused},
		"no such host":              {"nobody.invalid:7422", b, r, fabric.ErrNoRoute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := fabric.Knock(within(t), c.addr, c.with.TLS(c.key))
			if c.want == nil && err != nil || !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
	if got := len(n.Fabric.Routed()); got != 0 {
		t.Errorf("%d routes, want none", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := fabric.Knock(ctx, mute, r.TLS(b)); err == nil {
		t.Error("no error after the end of its context")
	}
}

// fakeListener serves connections until the test ends.
func fakeListener(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	check(t, err)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			serve(c)
			c.Close()
		}
	}()
	t.Cleanup(func() { ln.Close(); <-ended })
	return ln.Addr().String()
}

// closedAddr is where nothing listens until the test ends: a connection has its own end there.
func closedAddr(t *testing.T) string {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", fakeListener(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }))
	check(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn.LocalAddr().String()
}
