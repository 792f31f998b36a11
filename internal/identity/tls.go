package identity

import (
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"time"

	"github.com/mycoswarm/mycoswarm/internal/protect"
)

// selfSigned makes the certificate that carries the node's key. It says nothing
// else that anybody relies on: trust is the roster, so it never expires (RFC 5280,
// section 4.1.2.5, gives the date for that). start and age, milliseconds, tell which process
// of the node it is; both may be left out.
func selfSigned(k nodeKey, startAndAge ...string) (tls.Certificate, error) {
	subject := pkix.Name{CommonName: string(k.fp.NodeID())}
	if len(startAndAge) == 2 {
		subject.SerialNumber, subject.OrganizationalUnit = startAndAge[0], startAndAge[1:]
	}
	tmpl := &x509.Certificate{
		SerialNumber:          new(big.Int).SetBytes(append([]byte{1}, k.pub[:15]...)),
		Subject:               subject,
		NotBefore:             time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:              time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(nil, tmpl, tmpl, k.pub, k.priv)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("read own certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: k.priv, Leaf: leaf}, nil
}

// baseTLS is what every connection between nodes has in common: TLS 1.3 only, a
// certificate on both sides, no certificate authority, and verify as the only judge.
func (s *Store) baseTLS(verify func(tls.ConnectionState) error) *tls.Config {
	cert := s.cert
	oldest := uint16(tls.VersionTLS13)
	if protect.Modern.Off() {
		oldest = tls.VersionTLS12
	}
	return &tls.Config{
		MinVersion: oldest,
		ClientAuth: tls.RequireAnyClientCert,
		// Names and authorities mean nothing here; VerifyConnection, which also runs
		// on resumed sessions, checks the key itself.
		InsecureSkipVerify:     true, //nolint:gosec // keys are pinned in VerifyConnection
		SessionTicketsDisabled: true,
		GetCertificate:         s.serverCert,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &cert, nil
		},
		VerifyConnection: verify,
	}
}

// RouteTLS is the TLS configuration of routes, for both the accepting and the
// dialling side: only nodes that are members at that moment get through. It follows
// the roster by itself; cutting the live route of a node that was revoked needs
// Pinned as well.
func (s *Store) RouteTLS() *tls.Config {
	return s.baseTLS(func(cs tls.ConnectionState) error {
		fp, err := peerFingerprint(cs)
		if err != nil {
			return err
		}
		return s.cur.Load().admit(fp)
	})
}

// Pinned is the set of fingerprints that may hold a route now, in the form of
// nats-server's TLSPinnedCerts. It always has this node in it, so it is never empty.
func (s *Store) Pinned() map[string]struct{} {
	st := s.cur.Load()
	set := make(map[string]struct{}, len(st.members)+1)
	set[string(s.key.fp)] = struct{}{}
	for fp := range st.members {
		set[string(fp)] = struct{}{}
	}
	return set
}

// peerFingerprint names the key that the peer has proven to hold.
func peerFingerprint(cs tls.ConnectionState) (Fingerprint, error) {
	if len(cs.PeerCertificates) == 0 {
		return "", &Error{Kind: ErrNotMember, Cause: "the peer showed no certificate"}
	}
	leaf := cs.PeerCertificates[0]
	if _, ok := leaf.PublicKey.(ed25519.PublicKey); !ok {
		return "", &Error{Kind: ErrNotMember, Cause: "the peer's key is not Ed25519"}
	}
	return fingerprintOfSPKI(leaf.RawSubjectPublicKeyInfo), nil
}
