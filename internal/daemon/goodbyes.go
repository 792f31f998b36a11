package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/atomicfile"
	"github.com/mycoswarm/mycoswarm/internal/identity"
)

const (
	// goodbyesFile holds which members said goodbye and were not heard since, so that a restart does not take a machine
	// that is switched off for one that is lost.
	goodbyesFile = "left.json"
	// maxGoodbyes is more than any swarm's file has, in bytes.
	maxGoodbyes = 1 << 20
)

// goodbyes keeps who stopped in good order.
type goodbyes struct {
	path    string
	members func() []identity.Member

	mu   sync.Mutex
	left []bus.NodeID // sorted; as the file has it
	bad  bool         // the file cannot be read
}

// read takes what the file has of members. With an error nobody is known to have stopped, and keep replaces the file.
func (g *goodbyes) read() error {
	left, err := g.stored()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.left, g.bad = g.only(left), err != nil
	return err
}

// stored is what the file has.
func (g *goodbyes) stored() (left []bus.NodeID, err error) {
	info, err := os.Stat(g.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if info.Size() > maxGoodbyes {
		return nil, fmt.Errorf("%s has %d bytes", g.path, info.Size())
	}
	b, err := atomicfile.Read(g.path)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, &left); err != nil {
		return nil, fmt.Errorf("decode %s: %w", g.path, err)
	}
	return left, nil
}

// only returns those of the nodes that are members, each once and sorted.
func (g *goodbyes) only(nodes []bus.NodeID) []bus.NodeID {
	members := g.members()
	out := slices.DeleteFunc(slices.Clone(nodes), func(id bus.NodeID) bool {
		return !slices.ContainsFunc(members, func(m identity.Member) bool { return m.Node == id })
	})
	slices.Sort(out)
	return slices.Compact(out)
}

// get returns who is kept, and a member still.
func (g *goodbyes) get() []bus.NodeID {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.only(g.left)
}

// keep writes those of the nodes that are members, where they changed. A write that fails is tried once for each change.
func (g *goodbyes) keep(nodes []bus.NodeID) error {
	left := g.only(nodes)
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.bad && slices.Equal(left, g.left) {
		return nil
	}
	g.left, g.bad = left, false
	if left == nil {
		left = []bus.NodeID{}
	}
	b, err := json.Marshal(left)
	if err != nil {
		return fmt.Errorf("encode who left: %w", err)
	}
	return writeFile(g.path, append(b, '\n'))
}

// startGoodbyes reads who stopped in good order before this start.
func (d *Daemon) startGoodbyes() {
	d.goodbyes = &goodbyes{path: filepath.Join(d.cfg.DataDir, goodbyesFile), members: d.id.Members}
	if err := d.goodbyes.read(); err != nil {
		d.log.Warn("read who stopped in good order; myco doctor takes them for lost until they are heard again", "err", err)
	}
}

// keepGoodbyes keeps who has stopped in good order by now.
func (d *Daemon) keepGoodbyes() {
	n, err := d.current()
	if err != nil {
		return // it starts, ends or is between two swarms: what is kept stays
	}
	if err := d.goodbyes.keep(n.Left()); err != nil {
		d.log.Warn("keep who stopped in good order", "err", err)
	}
}
