//go:build e2e && linux

package e2e_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// nodeCert is a certificate such as nodes show, for a key; change makes it an odd one.
func nodeCert(t *testing.T, key crypto.Signer, change ...func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "myco-000000000000"},
		NotBefore: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, c := range change {
		c(tmpl)
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// newKey is a key that nobody knows.
func newKey(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// fingerprint is a key as nodes compare it.
func fingerprint(t *testing.T, key crypto.PublicKey) string {
	t.Helper()
	spki, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(spki)
	return hex.EncodeToString(sum[:])
}

// token is a join token, taken apart as internal/identity documents it.
type token struct {
	raw             []byte
	inviter         string
	secret          []byte
	id              string
	head, sumLength int
}

var words = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

func parseToken(t *testing.T, text string) token {
	t.Helper()
	raw, err := words.DecodeString(text[len("myco1"):])
	if err != nil || len(raw) < 70 {
		t.Fatalf("token %q: %v", text, err)
	}
	k := token{raw: raw, inviter: hex.EncodeToString(raw[2:34]), secret: raw[50:66], head: 66, sumLength: 4}
	sum := sha256.Sum256(append([]byte("mycoswarm token id v1\x00"), k.secret...))
	k.id = hex.EncodeToString(sum[:8])
	return k
}

// at is the token with another address, in IPv4.
func (k token) at(addr *net.TCPAddr) string {
	b := bytes.Clone(k.raw[:k.head])
	b = append(append(b, 4), addr.IP.To4()...)
	b = binary.BigEndian.AppendUint16(b, uint16(addr.Port))
	binary.BigEndian.PutUint16(b, uint16(len(b)+k.sumLength))
	sum := sha256.Sum256(b)
	return "myco1" + words.EncodeToString(append(b, sum[:k.sumLength]...))
}

// proof shows on one connection that the joiner knows the secret.
func (k token) proof(t *testing.T, conn *tls.Conn, joiner, name string) []byte {
	t.Helper()
	const label = "EXPORTER-mycoswarm-join-v1"
	cs := conn.ConnectionState()
	bound, err := cs.ExportKeyingMaterial(label, nil, sha256.Size)
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, k.secret)
	for _, part := range [][]byte{[]byte(label), bound, []byte(k.inviter), []byte(joiner), []byte(name)} {
		mac.Write(binary.BigEndian.AppendUint32(nil, uint32(len(part))))
		mac.Write(part)
	}
	return mac.Sum(nil)
}

// learnt is what a rogue got out of one connection.
type learnt struct {
	raw   []byte // on the wire
	certs int    // of the other side
	data  []byte // within TLS
	err   error  // of the handshake
}

// recorder keeps what is read.
type recorder struct {
	net.Conn
	raw []byte
}

func (r *recorder) Read(b []byte) (int, error) {
	n, err := r.Conn.Read(b)
	r.raw = append(r.raw, b[:n]...)
	return n, err
}

// rogue listens where a node is expected, and records what it is told.
type rogue struct {
	addr *net.TCPAddr

	mu  sync.Mutex
	got []learnt
}

// startRogue listens at HOST:PORT. Without cfg it speaks no TLS: it listens in silence.
func startRogue(t *testing.T, at string, cfg *tls.Config) *rogue {
	t.Helper()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	r := &rogue{addr: ln.Addr().(*net.TCPAddr)}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				stop := context.AfterFunc(ctx, func() { conn.Close() })
				defer stop()
				defer conn.Close()
				r.hear(ctx, conn, cfg)
			})
		}
	})
	t.Cleanup(func() {
		cancel()
		ln.Close()
		wg.Wait()
	})
	return r
}

// patient is how long a rogue waits for more: who is silent for so long tells nothing.
const patient = 2 * time.Second

func (r *rogue) hear(ctx context.Context, conn net.Conn, cfg *tls.Config) {
	rec := &recorder{Conn: conn}
	var l learnt
	_ = conn.SetDeadline(time.Now().Add(patient)) // of an open connection
	if cfg == nil {
		_, l.err = io.Copy(io.Discard, rec)
	} else {
		c := tls.Server(rec, cfg)
		if l.err = c.HandshakeContext(ctx); l.err == nil {
			l.data, _ = io.ReadAll(c) // until it is silent
		}
		l.certs = len(c.ConnectionState().PeerCertificates)
	}
	l.raw = rec.raw
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, l)
}

// heard is all there was.
func (r *rogue) heard() []learnt {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]learnt(nil), r.got...)
}

// await waits for at least n connections to end.
func (r *rogue) await(t *testing.T, what string, n int) {
	t.Helper()
	harness.Poll(t, harness.Patience, what+" is dialled", func() string {
		if k := len(r.heard()); k < n {
			return fmt.Sprintf("%d times so far", k)
		}
		return ""
	})
}

// learntNothing fails the test for whatever the rogue was told: a certificate, data, or one of the
// secrets in the clear.
func (r *rogue) learntNothing(t *testing.T, what string, secrets ...string) {
	t.Helper()
	for _, l := range r.heard() {
		if l.certs > 0 || len(l.data) > 0 {
			t.Errorf("%s: the rogue was shown %d certificates and told %q", what, l.certs, l.data)
		}
		for _, s := range secrets {
			if len(s) < 6 {
				t.Fatalf("%q is no secret", s)
			}
			if bytes.Contains(l.raw, []byte(s)) {
				t.Errorf("%s: %q is on the wire", what, s)
			}
		}
	}
}
