package daemon

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/nats-io/nkeys"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/bus/store"
	"github.com/mycoswarm/mycoswarm/internal/atomicfile"
	"github.com/mycoswarm/mycoswarm/internal/engine"
)

// credentials are what clients of this daemon prove themselves with.
type credentials struct {
	user, observer string // public nkeys
	http           string // the bearer key
}

// makeDataDir makes the data directory, for its owner alone. One that is there is left as it is.
func makeDataDir(dir string) error {
	if err := mkdirPrivate(dir); err != nil {
		return bus.Errorf(bus.CodeForbidden, "the data directory %s cannot be used: %w", dir, err).
			WithHint("give this user the right to write there, or use another: mycod --data-dir DIR")
	}
	return nil
}

// loadCredentials reads the credentials of clients, and makes those that are missing.
func loadCredentials(dir string) (c credentials, err error) {
	if c.user, err = loadNkey(filepath.Join(dir, bus.UserCreds)); err != nil {
		return c, err
	}
	if c.observer, err = loadNkey(filepath.Join(dir, bus.ObserverCred)); err != nil {
		return c, err
	}
	c.http, err = loadSecret(filepath.Join(dir, bus.HTTPKeyFile), func() (string, error) { return newHTTPKey(), nil })
	return c, err
}

func newHTTPKey() string {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return hex.EncodeToString(key)
}

// loadNkey returns the public key of the seed in a file.
func loadNkey(path string) (string, error) {
	seed, err := loadSecret(path, func() (string, error) {
		kp, err := nkeys.CreateUser()
		if err != nil {
			return "", fmt.Errorf("make a credential: %w", err)
		}
		seed, err := kp.Seed()
		return string(seed), err
	})
	if err != nil {
		return "", err
	}
	kp, err := nkeys.FromSeed([]byte(seed))
	if err != nil {
		return "", bus.Errorf(bus.CodeForbidden, "%s is damaged: %w", path, err).WithHint("delete the file: mycod makes a new one")
	}
	return kp.PublicKey()
}

// loadSecret reads a file of mode 0600, or makes it.
func loadSecret(path string, create func() (string, error)) (string, error) {
	b, err := atomicfile.Read(path)
	if err == nil && len(strings.TrimSpace(string(b))) > 0 {
		return strings.TrimSpace(string(b)), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fileError(path, err)
	}
	s, err := create()
	if err != nil {
		return "", err
	}
	return s, writeFile(path, []byte(s+"\n"))
}

// writeFile replaces a file, mode 0600; see atomicfile.Write.
func writeFile(path string, data []byte) error {
	if err := atomicfile.Write(path, data); err != nil {
		return fileError(path, err)
	}
	return nil
}

func fileError(path string, err error) error {
	e := bus.Errorf(bus.CodeForbidden, "cannot use %s: %w", path, err)
	switch {
	case atomicfile.NoRoom(err):
		return e.WithHint("make room on that disk, or move the directory to another one: mycod --data-dir DIR")
	case errors.Is(err, atomicfile.ErrNoFile):
		return e.WithHint("move it away: mycod makes a new one")
	}
	return e.WithHint("give the directory to the user that runs mycod, or use another: mycod --data-dir DIR")
}

// lastFile is where the daemon's file of the last time is kept. Where the disk is full at the next start, its room is taken
// for the new one: a node that starts all the same goes on with what was accepted, and can be asked what is wrong.
const lastFile = "daemon.last"

// forgetLast puts the address of a daemon that was killed aside, for clients would go there, and removes what it had begun
// to write: copies of secrets.
func (d *Daemon) forgetLast() error {
	if err := d.putAside(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fileError(filepath.Join(d.cfg.DataDir, bus.DaemonFile), err)
	}
	for _, name := range []string{bus.DaemonFile, bus.UserCreds, bus.ObserverCred, bus.HTTPKeyFile, keysFile, peersFile, goodbyesFile, phraseFile, engine.SpeedsFile} {
		path := filepath.Join(d.cfg.DataDir, name)
		if err := atomicfile.Clean(path); err != nil {
			return fileError(path, err)
		}
	}
	return nil
}

// putAside gives the daemon's file the name lastFile, for its owner alone. One that is another user's is removed.
func (d *Daemon) putAside() error {
	path := filepath.Join(d.cfg.DataDir, bus.DaemonFile)
	if err := os.Chmod(path, 0o600); errors.Is(err, fs.ErrPermission) {
		return atomicfile.Remove(path)
	} else if err != nil {
		return err
	}
	return atomicfile.Replace(path, filepath.Join(d.cfg.DataDir, lastFile))
}

// publishFiles writes where the daemon is, until it stops, and the context of the NATS CLI.
func (d *Daemon) publishFiles(up *lifeline) error {
	b, err := json.MarshalIndent(d.info, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", bus.DaemonFile, err)
	}
	path, last := filepath.Join(d.cfg.DataDir, bus.DaemonFile), filepath.Join(d.cfg.DataDir, lastFile)
	b = append(b, '\n')
	if err := atomicfile.Write(path, b); err != nil {
		if atomicfile.Over(last, path, b) != nil {
			return fileError(path, err)
		}
		d.log.Warn("the daemon's file is written over that of the last time", "err", err, "try", "make room on the disk of "+d.cfg.DataDir)
	}
	up.later(func() {
		if err := d.putAside(); err != nil {
			d.log.Warn("put the daemon's file aside", "err", err)
		}
	})
	if err := d.openToGroup(); err != nil {
		return err
	}
	if d.cfg.ContextDir == "" {
		return nil
	}
	if err := d.writeContext(up); err != nil {
		d.log.Warn("write the context for the NATS CLI", "err", err)
	}
	return nil
}

// openToGroup lets members of the daemon's group read what a client needs, where the owner wants that.
func (d *Daemon) openToGroup() error {
	mode := os.FileMode(0o600)
	if d.cfg.GroupAccess {
		mode = 0o640
		if err := os.Chmod(d.cfg.DataDir, 0o750); err != nil {
			return fileError(d.cfg.DataDir, err)
		}
	}
	for _, name := range []string{bus.DaemonFile, bus.UserCreds, bus.HTTPKeyFile} {
		path := filepath.Join(d.cfg.DataDir, name)
		if err := os.Chmod(path, mode); err != nil {
			return fileError(path, err)
		}
	}
	return nil
}

// contextName is the context of the NATS CLI of this user's daemon. One that runs beside it, from
// another data directory, has its node id as name.
const contextName = "myco"

// writeContext writes a context for the NATS CLI with the observer's credentials, and selects
// it if none is selected.
func (d *Daemon) writeContext(up *lifeline) error {
	dir := filepath.Join(d.cfg.ContextDir, "context")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the folder: %w", err)
	}
	name := contextName
	if other := d.contextOf(filepath.Join(dir, name+".json")); other != "" {
		name = string(d.id.NodeID())
		d.log.Info("another daemon of this user has the NATS context "+contextName, "its_data", other, "context", name)
		up.later(func() {
			if err := atomicfile.Remove(filepath.Join(dir, name+".json")); err != nil {
				d.log.Warn("remove the context for the NATS CLI", "err", err)
			}
		})
	}
	// Format: github.com/nats-io/jsm.go/natscontext.
	b, err := json.MarshalIndent(map[string]string{
		"description":  "mycoSwarm, as an observer: nats sub 'swarm.>'",
		"url":          d.info.BusURL,
		"nkey":         filepath.Join(d.cfg.DataDir, bus.ObserverCred),
		"inbox_prefix": bus.ObserverInbox(d.id.NodeID()),
	}, "", "  ")
	if err != nil {
		return fmt.Errorf("encode it: %w", err)
	}
	if err := writeFile(filepath.Join(dir, name+".json"), append(b, '\n')); err != nil {
		return err
	}
	selected := filepath.Join(d.cfg.ContextDir, "context.txt")
	if b, err := atomicfile.Read(selected); err == nil && len(strings.TrimSpace(string(b))) > 0 {
		return nil
	}
	return writeFile(selected, []byte(name))
}

// contextOf returns the data directory of another daemon that runs and that a context is of; ""
// where there is none.
func (d *Daemon) contextOf(path string) string {
	var of struct {
		Nkey string `json:"nkey"`
	}
	b, err := atomicfile.Read(path)
	if err != nil || json.Unmarshal(b, &of) != nil || of.Nkey == "" {
		return ""
	}
	dir := filepath.Dir(of.Nkey)
	if dir == d.cfg.DataDir {
		return ""
	}
	if _, err := os.Stat(filepath.Join(dir, bus.DaemonFile)); err != nil {
		return "" // it has stopped; one that was killed leaves the file, and no lock
	}
	unlock, err := store.Lock(dir)
	if err != nil {
		return dir
	}
	if err := unlock(); err != nil {
		d.log.Warn("unlock another data directory", "dir", dir, "err", err)
	}
	return ""
}
