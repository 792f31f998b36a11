package identity_test

import (
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"

	"github.com/mycoswarm/mycoswarm/internal/identity"
)

// over6 makes connections seem to come in over IPv6, at local and from the address in from.
type over6 struct {
	net.Listener
	local string
	from  *atomic.Value
}

type between struct {
	net.Conn
	local, remote net.Addr
}

func (c between) LocalAddr() net.Addr  { return c.local }
func (c between) RemoteAddr() net.Addr { return c.remote }

func (l over6) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	at := func(ip string) net.Addr {
		return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(ip), 7423))
	}
	return between{c, at(l.local), at(l.from.Load().(string))}, nil
}

// All machines of a household are in one /64. Who guesses at tokens there is refused, and nobody else; elsewhere one machine
// may have a whole /64 to guess from.
func TestGuessesOverIPv6CountAgainstWhoGuesses(t *testing.T) {
	t.Parallel()
	const guesser = "fd77::6"
	for what, c := range map[string]struct {
		local, other string
		refused      bool
	}{
		"another machine of the household": {"fd77::1", "fd77::7", false},
		"the one that guesses":             {"fd77::1", guesser, true},
		"an address of its choice":         {"fd88::1", "fd77::7", true},
		"another site":                     {"fd88::1", "fd99::6", false},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			var from atomic.Value
			from.Store(guesser)
			h := &host{dir: t.TempDir(), clock: newClock()}
			h.Store = open(t, h.dir, "host", h.clock)
			h.addr = serveOn(t, h.Store, over6{loopback(t), c.local, &from})
			token := h.invite(t)
			guess, err := identity.GuessToken(token)
			if err != nil {
				t.Fatal(err)
			}
			s := open(t, t.TempDir(), "guest", h.clock)
			for range 10 {
				if _, err := s.Join(within(t), guess, ""); !errors.Is(err, identity.ErrBadToken) {
					t.Fatalf("a guess: %v", err)
				}
			}
			from.Store(c.other)
			if _, err := s.Join(within(t), token, ""); errors.Is(err, identity.ErrTooMany) != c.refused || err != nil && !c.refused {
				t.Errorf("with the right token from %s: %v; want it refused: %t", c.other, err, c.refused)
			}
		})
	}
}
