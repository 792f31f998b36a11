package daemon

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/gateway"
	"github.com/mycoswarm/mycoswarm/internal/atomicfile"
)

const (
	// keysFile has the created keys of HTTP, mode 0600: what they may do, and the hash of each.
	keysFile = "keys.json"
	// keysVersion is that of its format. A file of a later one may limit keys in ways that this
	// program does not know.
	keysVersion = 1
	// maxKeys is how many there may be.
	maxKeys = 1000
	// keyIDLength is that of a key's id, in characters of 5 bits.
	keyIDLength = 8
)

// keyring is the created keys of this node's HTTP port.
type keyring struct {
	path string

	mu   sync.Mutex
	keys []gateway.Key // oldest first; replaced, never changed
}

// storedKeys is the content of keysFile.
type storedKeys struct {
	Version int         `json:"version"`
	Keys    []storedKey `json:"keys"`
}

type storedKey struct {
	bus.KeyInfo
	SHA256 string `json:"sha256"` // of what is presented, in hex
}

// loadKeys reads the keys of a data directory.
func loadKeys(dir string) (*keyring, error) {
	k := &keyring{path: filepath.Join(dir, keysFile)}
	b, err := atomicfile.Read(k.path)
	if errors.Is(err, fs.ErrNotExist) {
		return k, nil
	}
	if err != nil {
		return nil, fileError(k.path, err)
	}
	damaged := func(err error) error {
		return bus.Errorf(bus.CodeForbidden, "%s is damaged: %w", k.path, err).
			WithHint("remove the file: every key in it ends; then make new ones with myco key create")
	}
	var stored storedKeys
	if err := json.Unmarshal(b, &stored); err != nil {
		return nil, damaged(err)
	}
	if stored.Version != keysVersion {
		return nil, bus.Errorf(bus.CodeConflict, "%s has version %d, this mycod knows %d", k.path, stored.Version, keysVersion).
			WithHint("upgrade mycod, or remove the file: every key in it ends")
	}
	for _, s := range stored.Keys {
		hash, err := hex.DecodeString(s.SHA256)
		if err == nil && len(hash) != sha256.Size {
			err = errors.New("a hash is of another length")
		}
		if err == nil {
			err = s.Validate()
		}
		if err == nil {
			err = bus.Task{Type: "key", User: s.User()}.Validate()
		}
		if err != nil {
			return nil, damaged(err)
		}
		k.keys = append(k.keys, gateway.Key{KeyInfo: s.KeyInfo, Hash: [sha256.Size]byte(hash)})
	}
	return k, nil
}

// all returns the keys, oldest first.
func (k *keyring) all() []gateway.Key {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.keys
}

// change replaces the keys by what do makes of them, on disk first.
func (k *keyring) change(g *gateway.Gateway, do func([]gateway.Key) ([]gateway.Key, error)) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	next, err := do(slices.Clone(k.keys))
	if err != nil {
		return err
	}
	stored := storedKeys{Version: keysVersion, Keys: []storedKey{}}
	for _, key := range next {
		stored.Keys = append(stored.Keys, storedKey{key.KeyInfo, hex.EncodeToString(key.Hash[:])})
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	if err := e.Encode(stored); err != nil {
		return bus.Errorf(bus.CodeInternal, "encode the keys: %w", err)
	}
	if err := writeFile(k.path, b.Bytes()); err != nil {
		return err
	}
	k.keys = next
	g.SetKeys(next)
	return nil
}

// createKey makes a key to this node's HTTP port. What is presented is told this once.
func (d *Daemon) createKey(_ context.Context, req bus.KeyRequest) (any, error) {
	if err := req.Validate(); err != nil {
		return nil, err
	}
	out := bus.NewKey{
		KeyInfo: bus.KeyInfo{ID: strings.ToLower(rand.Text()[:keyIDLength]), Created: time.Now().UTC().Truncate(time.Second), KeyRequest: req},
		Key:     bus.KeyPrefix + strings.ToLower(rand.Text()), // at least 128 random bits
	}
	err := d.httpKeys.change(d.gateway, func(keys []gateway.Key) ([]gateway.Key, error) {
		if len(keys) >= maxKeys {
			return nil, bus.Errorf(bus.CodeBusy, "there are %d keys, as many as there may be", maxKeys).WithHint("myco key revoke ID")
		}
		return append(keys, gateway.Key{KeyInfo: out.KeyInfo, Hash: sha256.Sum256([]byte(out.Key))}), nil
	})
	if err != nil {
		return nil, err
	}
	d.log.Info("made a key for HTTP", "id", out.ID, "name", out.Name, "admin", out.Admin)
	return out, nil
}

// listKeys lists the keys, without what is presented.
func (d *Daemon) listKeys(context.Context, none) (any, error) {
	out := []bus.KeyInfo{}
	for _, k := range d.httpKeys.all() {
		out = append(out, k.KeyInfo)
	}
	return out, nil
}

// revokeKey ends a key, and what is under way with it.
func (d *Daemon) revokeKey(_ context.Context, req bus.KeyInfo) (any, error) {
	var out bus.KeyInfo
	err := d.httpKeys.change(d.gateway, func(keys []gateway.Key) ([]gateway.Key, error) {
		i := slices.IndexFunc(keys, func(k gateway.Key) bool { return k.ID == req.ID })
		if i < 0 {
			return nil, bus.Errorf(bus.CodeNotFound, "this node has no key with the id %q", req.ID).WithHint("myco key ls")
		}
		out = keys[i].KeyInfo
		return slices.Delete(keys, i, i+1), nil
	})
	if err != nil {
		return nil, err
	}
	d.log.Info("revoked a key for HTTP", "id", out.ID, "name", out.Name)
	return out, nil
}
