package identity_test

import (
	"crypto/tls"
	"errors"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/internal/identity"
)

// Whoever dials a route may learn which process of a node answers.
func TestAskTellsWhichProcessAnswers(t *testing.T) {
	t.Parallel()
	h, foreign := newHost(t, "host"), newHost(t, "foreign")
	guest := h.joined(t, "guest")
	again := open(t, h.dir, "host", h.clock) // another process with the host's key
	addr, copied := route(t, h.Store), route(t, again)
	ask := func(s *identity.Store, addr string) (m identity.Met, err error) {
		err = greeted(t, addr, s.AskTLS(func(met identity.Met) { m = met }))
		return m, err
	}

	m, err := ask(guest, addr)
	if err != nil || !m.Member || m.Node != h.NodeID() || m.Start.ID != h.Start().ID || m.Start.Age > h.Start().Age {
		t.Errorf("a member asks: %+v, %v", m, err)
	}
	m, err = ask(guest, copied)
	if err != nil || m.Node != h.NodeID() || m.Start.ID != again.Start().ID || m.Start.ID == h.Start().ID {
		t.Errorf("a member asks a copy: %+v, %v", m, err)
	}
	m, err = ask(h.Store, copied)
	if err != nil || m.Fingerprint != h.Fingerprint() || m.Start.ID == h.Start().ID {
		t.Errorf("the node asks its copy: %+v, %v", m, err)
	}
	m, err = ask(foreign.Store, addr)
	if !errors.Is(err, identity.ErrNotMember) || m.Member || m.Node != h.NodeID() || !errors.Is(m.Refused, identity.ErrNotMember) {
		t.Errorf("a foreign node asks: %+v, %v", m, err)
	}
	// Who does not ask is told nothing.
	var cs tls.ConnectionState
	cfg := guest.RouteTLS()
	verify := cfg.VerifyConnection
	cfg.VerifyConnection = func(c tls.ConnectionState) error { cs = c; return verify(c) }
	if err := greeted(t, addr, cfg); err != nil {
		t.Fatal(err)
	}
	if s := cs.PeerCertificates[0].Subject; s.SerialNumber != "" || len(s.OrganizationalUnit) != 0 {
		t.Errorf("subject %v, want the node id alone", s)
	}
}

func TestWhoWasThereFirst(t *testing.T) {
	t.Parallel()
	me := identity.Start{ID: "me", Age: 10 * time.Second}
	for age, before := range map[time.Duration]bool{
		0: false, 9 * time.Second: false, 10 * time.Second: true, 11 * time.Second: true, 9990 * time.Millisecond: true,
	} {
		if got := (identity.Start{ID: "other", Age: age}).Before(me); got != before {
			t.Errorf("age %v goes before 10 s: %t, want %t", age, got, before)
		}
	}
}
