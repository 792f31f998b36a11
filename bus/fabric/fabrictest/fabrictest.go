// Package fabrictest runs fabrics and stores inside tests: real servers on loopback, with keys
// of their own and mutual TLS. It is for tests only.
package fabrictest

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"log/slog"
	"math/big"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/bus/fabric"
	"github.com/mycoswarm/mycoswarm/bus/store"
)

// Limit is how long anything may take that a test waits for.
const Limit = 30 * time.Second

// Key is a node's identity.
type Key struct {
	ID          bus.NodeID
	Fingerprint string // hex SHA-256 of the public key
	Cert        tls.Certificate
}

// NewKey makes an identity with a self-signed certificate.
func NewKey(tb testing.TB) *Key {
	tb.Helper()
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	Check(tb, err)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, pub, priv)
	Check(tb, err)
	leaf, err := x509.ParseCertificate(der)
	Check(tb, err)
	k := &Key{Fingerprint: fingerprint(leaf), Cert: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: priv, Leaf: leaf}}
	k.ID, err = bus.NodeIDOf(k.Fingerprint)
	Check(tb, err)
	return k
}

func fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}

// Roster is a set of trusted keys that may change.
type Roster struct {
	mu      sync.Mutex
	keys    map[string]struct{}
	refused map[string]int
}

// NewRoster returns a Roster that trusts keys.
func NewRoster(keys ...*Key) *Roster {
	r := &Roster{keys: map[string]struct{}{}, refused: map[string]int{}}
	for _, k := range keys {
		r.Add(k)
	}
	return r
}

// Add trusts k from now on.
func (r *Roster) Add(k *Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys[k.Fingerprint] = struct{}{}
}

// Remove trusts k no longer.
func (r *Roster) Remove(k *Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.keys, k.Fingerprint)
}

// Refused tells how many handshakes with k were refused so far.
func (r *Roster) Refused(k *Key) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.refused[k.Fingerprint]
}

// Pinned returns a copy of the set.
func (r *Roster) Pinned() map[string]struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[string]struct{}{}
	for k := range r.keys {
		out[k] = struct{}{}
	}
	return out
}

var errUntrusted = errors.New("key is not in the roster")

// TLS returns what a node with key k uses for its routes.
func (r *Roster) TLS(k *Key) *tls.Config {
	return &tls.Config{
		MinVersion:           tls.VersionTLS13,
		ClientAuth:           tls.RequireAnyClientCert,
		InsecureSkipVerify:   true, //nolint:gosec // VerifyConnection checks the key
		GetCertificate:       func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &k.Cert, nil },
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &k.Cert, nil },
		VerifyConnection: func(cs tls.ConnectionState) error {
			if len(cs.PeerCertificates) == 0 {
				return errUntrusted
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			fp := fingerprint(cs.PeerCertificates[0])
			if _, ok := r.keys[fp]; !ok {
				r.refused[fp]++
				return errUntrusted
			}
			return nil
		},
	}
}

// Node is a running fabric, and its store if it has one.
type Node struct {
	*Key
	Roster         *Roster
	Fabric         *fabric.Fabric
	Store          *store.Store // nil from StartFabric
	Dir            string       // the store's
	User, Observer nkeys.KeyPair
}

// Logger returns a logger that is silent, unless the environment says FABRIC_LOG.
func Logger(tb testing.TB, k *Key) *slog.Logger {
	if os.Getenv("FABRIC_LOG") == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(tb.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})).With("node", k.ID)
}

// FabricConfig returns what StartFabric starts k with.
func FabricConfig(tb testing.TB, k *Key, r *Roster) (c fabric.Config, user, observer nkeys.KeyPair) {
	tb.Helper()
	user, userPub := nkey(tb)
	observer, observerPub := nkey(tb)
	return fabric.Config{
		ID:           k.ID,
		SwarmID:      "test-swarm",
		ClientListen: "127.0.0.1:0",
		FabricListen: "127.0.0.1:0",
		TLS:          r.TLS(k),
		Pinned:       r.Pinned(),
		UserKey:      userPub,
		ObserverKey:  observerPub,
		Logger:       Logger(tb, k),
	}, user, observer
}

// StartFabric runs a fabric for k until the test ends.
func StartFabric(tb testing.TB, k *Key, r *Roster) *Node {
	tb.Helper()
	c, user, observer := FabricConfig(tb, k, r)
	f, err := fabric.New(c)
	Check(tb, err)
	Check(tb, f.Start())
	tb.Cleanup(f.Shutdown)
	return &Node{Key: k, Roster: r, Fabric: f, User: user, Observer: observer}
}

// Start runs a fabric and a store for k until the test ends.
func Start(tb testing.TB, k *Key, r *Roster) *Node {
	tb.Helper()
	n := StartFabric(tb, k, r)
	n.Dir = tb.TempDir()
	s, err := store.New(store.Config{
		ID: k.ID, Dir: n.Dir, LeafURL: n.Fabric.LeafURL(), LeafSeed: n.Fabric.LeafSeed(), Logger: Logger(tb, k),
		Reached: func() bool { return n.Fabric.Reaches(k.ID) },
	})
	Check(tb, err)
	ctx, cancel := context.WithTimeout(tb.Context(), Limit)
	defer cancel()
	Check(tb, s.Start(ctx))
	tb.Cleanup(s.Shutdown)
	n.Store = s
	return n
}

// Swarm runs n nodes that are routed to one another, and whose stores are reached from each.
func Swarm(tb testing.TB, n int) []*Node {
	tb.Helper()
	keys := make([]*Key, n)
	for i := range keys {
		keys[i] = NewKey(tb)
	}
	r := NewRoster(keys...)
	nodes := make([]*Node, n)
	for i, k := range keys {
		nodes[i] = Start(tb, k, r)
		if i > 0 {
			Check(tb, nodes[i].Fabric.SetPeers([]fabric.Peer{nodes[0].Peer()}))
		}
	}
	AwaitMesh(tb, nodes...)
	return nodes
}

// AwaitMesh waits until every node has a route to every other, and reaches its store.
func AwaitMesh(tb testing.TB, nodes ...*Node) {
	tb.Helper()
	for _, a := range nodes {
		for _, b := range nodes {
			Eventually(tb, func() bool {
				_, ok := a.Fabric.Routed()[b.ID]
				return (ok || a == b) && (b.Store == nil || a.Fabric.Reaches(b.ID))
			}, "%s reaches %s", a.ID, b.ID)
		}
	}
}

// Peer is how others reach n.
func (n *Node) Peer() fabric.Peer { return fabric.Peer{ID: n.ID, Addr: n.Fabric.FabricAddr()} }

// Conn returns a connection with full rights, closed when the test ends.
func (n *Node) Conn(tb testing.TB, opts ...nats.Option) *nats.Conn {
	tb.Helper()
	nc, err := n.Fabric.Conn("test", opts...)
	Check(tb, err)
	tb.Cleanup(nc.Close)
	return nc
}

// Client returns a client connection with key kp and the inbox prefix, closed when the test ends.
func (n *Node) Client(tb testing.TB, kp nkeys.KeyPair, inbox string, opts ...nats.Option) *nats.Conn {
	tb.Helper()
	pub, err := kp.PublicKey()
	Check(tb, err)
	opts = append([]nats.Option{nats.Nkey(pub, kp.Sign), nats.CustomInboxPrefix(inbox), nats.Timeout(Limit)}, opts...)
	nc, err := nats.Connect(n.Fabric.ClientURL(), opts...)
	Check(tb, err)
	tb.Cleanup(nc.Close)
	return nc
}

// Eventually waits until cond holds. It is for what has no signal; it looks every millisecond.
func Eventually(tb testing.TB, cond func() bool, format string, args ...any) {
	tb.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	limit := time.NewTimer(Limit)
	defer limit.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-limit.C:
			tb.Fatalf("not within %v: "+format, append([]any{Limit}, args...)...)
		}
	}
}

func nkey(tb testing.TB) (nkeys.KeyPair, string) {
	tb.Helper()
	kp, err := nkeys.CreateUser()
	Check(tb, err)
	pub, err := kp.PublicKey()
	Check(tb, err)
	return kp, pub
}

// Within is the test's context, with Limit.
func Within(tb testing.TB) context.Context {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), Limit)
	tb.Cleanup(cancel)
	return ctx
}

// Check ends the test where err is one.
func Check(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
