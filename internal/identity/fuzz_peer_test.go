package identity_test

import (
	"crypto/x509"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/internal/identity"
)

// Whoever dials shows a certificate of his own making: reading it names a key or fails.
func FuzzPeerCertificate(f *testing.F) {
	s, err := identity.Open(f.TempDir(), identity.Options{Name: "host"})
	if err != nil {
		f.Fatal(err)
	}
	cert, err := s.RouteTLS().GetClientCertificate(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(cert.Certificate[0])
	f.Add([]byte{0x30, 0x82})
	f.Fuzz(func(t *testing.T, der []byte) {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return // TLS ends there
		}
		fp, start, err := identity.PeerOf(c)
		if err == nil && fp.NodeID() == "" {
			t.Errorf("fingerprint %q", fp)
		}
		if start.Age < 0 || start.Age > 1<<62*time.Nanosecond {
			t.Errorf("age %v", start.Age)
		}
	})
}

// What another node sends to hand the swarm's key over: nothing that was not asked for and signed
// gives the key away, or makes a holder.
func FuzzHandover(f *testing.F) {
	h, err := identity.Open(f.TempDir(), identity.Options{Name: "host"})
	if err != nil {
		f.Fatal(err)
	}
	other, err := identity.Open(f.TempDir(), identity.Options{Name: "other"})
	if err != nil {
		f.Fatal(err)
	}
	offer, err := other.OfferKey()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(offer)
	f.Add([]byte(`{"v":1,"swarm":"` + string(h.Swarm().ID) + `","public":"AAAA","node":"AAAA","sig":""}`))
	f.Add([]byte(`{"v":1,"public":"","by":"","sealed":"AAAA"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if sealed, err := h.SealKey(h.NodeID(), b); err == nil {
			t.Errorf("the key is sealed to %q: %s", b, sealed)
		}
		if err := other.TakeKey(b); err == nil {
			t.Errorf("%q is taken for a key", b)
		}
	})
}
