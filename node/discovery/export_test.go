package discovery

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/mycoswarm/mycoswarm/node/internal/iface"
)

// Table gives tests the table of nodes.
type Table struct{ t *table }

// NewTable makes an empty table, whose owner knows the nodes with these keys.
func NewTable(known ...string) Table {
	return Table{newTable(func(fp string) bool { return slices.Contains(known, fp) })}
}

// See takes in one record.
func (t Table) See(r Record, port int, now time.Time, addrs ...netip.Addr) (Found, bool) {
	return t.t.see(sighting{record: r, port: port, addrs: addrs}, now)
}

// List returns what the table holds.
func (t Table) List(now time.Time) []Found { return t.t.list(now) }

// The limits of the table.
const (
	Expiry   = expiry
	Again    = again
	MaxNodes = maxNodes
	MaxAddrs = maxAddrs
)

// See hands m a record as if it had been heard.
func (m *MDNS) See(txt []string, port int, addrs ...netip.Addr) { m.see(txt, port, addrs) }

// Browse is one round on loopback, which calls seen for each record.
func Browse(ctx context.Context, length time.Duration, seen func()) error {
	all, err := iface.List()
	if err != nil {
		return err
	}
	return browse(ctx, iface.Choose(all, []string{Loopback}), length, func([]string, int, []netip.Addr) { seen() })
}

// ErrFlood is the error of a round that hears too much.
var ErrFlood = errFlood

// Interfaces returns the names of interfaces that a Config without any is given by EnvInterfaces.
func Interfaces(cfg Config) ([]string, error) { err := cfg.prepare(); return cfg.Interfaces, err }
