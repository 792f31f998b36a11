//go:build linux

package lab

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// Tidy wants that nothing is left over: no queue of an old term; and, once every daemon has
// stopped in good order, no process and no temporary file. It ends the crew.
func (c *Crew) Tidy() {
	c.t.Helper()
	for _, m := range c.Members {
		harness.Poll(c.t, harness.Patience, "only the present host, "+m.Name+" or not, has a queue", func() string { return c.queues(m) })
	}
	for _, m := range c.Members {
		m.Stop(c.t)
		c.gone = append(c.gone, m.Process)
	}
	for _, p := range c.gone {
		harness.Poll(c.t, harness.Patience, fmt.Sprintf("process %d and its children are gone", p.PID()), func() string {
			if !p.Gone() {
				return "it is there"
			}
			return ""
		})
	}
	for _, m := range c.Members {
		for _, dir := range []string{m.Dir, m.Temp()} {
			left, err := leftovers(dir, dir == m.Temp())
			if err != nil || len(left) > 0 {
				c.t.Errorf("%s left %v, error %v", m.Name, left, err)
			}
		}
	}
}

// queues tells which queues in m's store should not be there.
func (c *Crew) queues(m *Member) string {
	ctx, cancel := context.WithTimeout(c.ctx, 5*time.Second)
	defer cancel()
	st, err := m.Conn.Status(ctx)
	if err != nil {
		return err.Error()
	}
	var want []string
	if st.Swarm.QueueHost == m.Info.NodeID {
		want = append(want, fmt.Sprintf("WORK_%s_%d", st.Swarm.QueueHost, st.Swarm.Term))
	}
	names, err := Streams(ctx, m.Node)
	if err != nil {
		return err.Error()
	}
	have := slices.DeleteFunc(names, func(n string) bool { return !strings.HasPrefix(n, "WORK_") })
	if !slices.Equal(have, want) {
		return fmt.Sprintf("queues %v, want %v", have, want)
	}
	return ""
}

// Streams lists the streams in n's store.
func Streams(ctx context.Context, n *harness.Node) ([]string, error) {
	info, err := bus.ReadDaemonInfo(n.Dir)
	if err != nil {
		return nil, err
	}
	key, err := nats.NkeyOptionFromSeed(filepath.Join(n.Dir, bus.UserCreds))
	if err != nil {
		return nil, fmt.Errorf("read credentials: %w", err)
	}
	nc, err := nats.Connect(info.BusURL, key, nats.CustomInboxPrefix(bus.UserInbox(info.NodeID)), nats.NoReconnect())
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", n.Name, err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("use the store of %s: %w", n.Name, err)
	}
	var names []string
	list := js.StreamNames(ctx)
	for name := range list.Name() {
		names = append(names, name)
	}
	if err := list.Err(); err != nil {
		return nil, fmt.Errorf("list the streams of %s: %w", n.Name, err)
	}
	slices.Sort(names)
	return names, nil
}

// leftovers lists temporary files below dir: every file where all is set.
func leftovers(dir string, all bool) ([]string, error) {
	var left []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == "jetstream" {
			return fs.SkipDir // what a kill leaves of a write there has one name, and is written over
		}
		if err != nil || d.IsDir() {
			return err
		}
		name := d.Name()
		if all || strings.HasSuffix(name, ".new") || strings.HasSuffix(name, ".tmp") || strings.HasPrefix(name, ".term.") || strings.HasPrefix(name, ".store.version.") {
			left = append(left, path)
		}
		return nil
	})
	return left, err
}
