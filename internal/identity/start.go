package identity

import (
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"slices"
	"strconv"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// startALPN is offered by who wants to know which process answers. It asks for a certificate
// that tells it, signed like every other by the node's key.
const startALPN = "myco-start/1"

// sameAge is a difference in age that may come from the way alone.
const sameAge = 50 * time.Millisecond

// Start is one process that holds a node's key: its random number, and since when it runs.
type Start struct {
	ID  string
	Age time.Duration
}

// Before reports whether s goes before o where both hold one key and o has met s: who has run
// for longer goes on. Of two that are of one age, who meets the other gives way, for the other
// may never meet it.
func (s Start) Before(o Start) bool { return s.Age > o.Age-sameAge }

// Met is who showed a key at the other end of a connection.
type Met struct {
	Fingerprint Fingerprint
	Node        bus.NodeID
	// Member says that the roster trusts it; Refused is why not.
	Member  bool
	Refused error
	// Start is which process of that node it is; zero where it did not tell.
	Start Start
}

// begun is a Store's own start.
type begun struct {
	id string
	at time.Time // monotonic
}

func newStart() begun {
	b := make([]byte, 8)
	_, _ = rand.Read(b) // never fails
	return begun{id: hex.EncodeToString(b), at: time.Now()}
}

// Start is this process, as others meet it.
func (s *Store) Start() Start { return Start{s.begun.id, time.Since(s.begun.at)} }

// AskTLS is the configuration of a dialler that wants to know who takes routes at an address.
// The handshake succeeds with members alone, and shows a certificate to nobody else; met is
// called before, with whoever it is, in the goroutine of the handshake.
func (s *Store) AskTLS(met func(Met)) *tls.Config {
	cfg := s.baseTLS(func(cs tls.ConnectionState) error {
		fp, err := peerFingerprint(cs)
		if err != nil {
			return err
		}
		m := Met{Fingerprint: fp, Node: fp.NodeID(), Start: startOf(cs), Refused: s.cur.Load().admit(fp)}
		m.Member = m.Refused == nil
		met(m)
		return m.Refused
	})
	cfg.NextProtos = []string{startALPN}
	return cfg
}

// startOf reads what certificate tells of its process.
func startOf(cs tls.ConnectionState) Start {
	subject := cs.PeerCertificates[0].Subject
	if len(subject.OrganizationalUnit) != 1 {
		return Start{}
	}
	ms, err := strconv.ParseInt(subject.OrganizationalUnit[0], 10, 64)
	if err != nil || ms < 0 || ms > int64(time.Duration(1<<62)/time.Millisecond) {
		return Start{}
	}
	return Start{subject.SerialNumber, time.Duration(ms) * time.Millisecond}
}

// serverCert is what this node shows to who dials: to who asks for it, a certificate that tells
// which process this is.
func (s *Store) serverCert(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if !slices.Contains(hello.SupportedProtos, startALPN) {
		cert := s.cert
		return &cert, nil
	}
	me := s.Start()
	cert, err := selfSigned(s.key, me.ID, strconv.FormatInt(me.Age.Milliseconds(), 10))
	if err != nil {
		return nil, err
	}
	return &cert, nil
}
