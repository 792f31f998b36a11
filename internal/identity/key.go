package identity

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Fingerprint is a node's key as machines compare it: the SHA-256 of its
// SubjectPublicKeyInfo (DER) as 64 lower-case hex digits, which is also the form
// of nats-server's TLSPinnedCerts.
type Fingerprint string

// NodeID is the name that people see: "myco-" and the first 12 hex digits. It is
// empty when f is no fingerprint.
func (f Fingerprint) NodeID() bus.NodeID {
	id, err := bus.NodeIDOf(string(f))
	if err != nil {
		return ""
	}
	return id
}

// valid reports whether f has the form of a fingerprint.
func (f Fingerprint) valid() bool {
	return isLowerHex(string(f), 2*sha256.Size)
}

func isLowerHex(s string, n int) bool {
	if len(s) != n {
		return false
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func fingerprintOfSPKI(spki []byte) Fingerprint {
	sum := sha256.Sum256(spki)
	return Fingerprint(hex.EncodeToString(sum[:]))
}

// fingerprintOf gives the fingerprint of a key of ed25519.PublicKeySize bytes.
func fingerprintOf(pub ed25519.PublicKey) Fingerprint {
	spki, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil { // only for key types that x509 does not know
		return ""
	}
	return fingerprintOfSPKI(spki)
}

// nodeKey is the key that a node is.
type nodeKey struct {
	priv ed25519.PrivateKey
	pub  ed25519.PublicKey
	fp   Fingerprint
}

func newNodeKey(priv ed25519.PrivateKey) nodeKey {
	pub := priv.Public().(ed25519.PublicKey)
	return nodeKey{priv: priv, pub: pub, fp: fingerprintOf(pub)}
}

// loadKey reads the node key in dir. It reports fs.ErrNotExist when there is none.
func loadKey(dir string) (nodeKey, error) {
	path := filepath.Join(dir, keyFile)
	b, err := readPrivate(path)
	if err != nil {
		return nodeKey{}, err
	}
	block, _ := pem.Decode(b)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nodeKey{}, damaged(path, errors.New("no PEM block of type PRIVATE KEY"))
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nodeKey{}, damaged(path, err)
	}
	priv, ok := k.(ed25519.PrivateKey)
	if !ok {
		return nodeKey{}, damaged(path, fmt.Errorf("the key is a %T, not Ed25519", k))
	}
	return newNodeKey(priv), nil
}

// createKey makes a node key and puts it in dir.
func createKey(dir string) (nodeKey, error) {
	_, priv, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nodeKey{}, fmt.Errorf("make node key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(priv)
	if err != nil {
		return nodeKey{}, fmt.Errorf("encode node key: %w", err)
	}
	b := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if err := writePrivate(filepath.Join(dir, keyFile), b); err != nil {
		return nodeKey{}, err
	}
	return newNodeKey(priv), nil
}

// openKey loads the node key in dir or makes one. With a swarm state but no key
// it refuses: a silently made key would lose the node's place in its swarm.
func openKey(dir string) (nodeKey, error) {
	k, err := loadKey(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	state := filepath.Join(dir, stateName)
	if _, err := readPrivate(state); !errors.Is(err, fs.ErrNotExist) {
		return nodeKey{}, &Error{
			Kind:  ErrUnreadable,
			Cause: fmt.Sprintf("%s is there, but the node key %s beside it is missing", state, keyFile),
			Next:  "restore the key from a backup, or move the identity directory away to start as a new node",
		}
	}
	return createKey(dir)
}

func damaged(path string, err error) error {
	return &Error{
		Kind: ErrUnreadable, Cause: path + " is damaged", Err: err,
		Next: "restore it from a backup, or move the identity directory away to start as a new node",
	}
}
