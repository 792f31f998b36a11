package discovery

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/node/internal/iface"
)

// Service is the DNS-SD service of a node.
const Service = "_mycoswarm._tcp"

// Loopback, as one of Config.Interfaces, stands for the loopback interface.
const Loopback = iface.Loopback

// EnvInterfaces is the environment variable with the interfaces to use, separated by commas,
// where Config names none.
const EnvInterfaces = "MYCO_MDNS_INTERFACES"

// Found is a node that announces itself. It is a hint: nothing in it is verified.
type Found struct {
	NodeID bus.NodeID
	// Fingerprint is the hex SHA-256 of the public key that the node claims to hold.
	Fingerprint string
	// SwarmID is the first 12 digits of the id of its swarm.
	SwarmID string
	Version string
	// FabricAddrs and JoinAddrs are HOST:PORT, 16 each at most, IPv4 first. JoinAddrs is empty
	// where the node takes nobody in.
	FabricAddrs []string
	JoinAddrs   []string
	At          time.Time
}

// Config sets up an MDNS.
type Config struct {
	NodeID bus.NodeID
	// Fingerprint is the hex SHA-256 of this node's public key; NodeID follows from it.
	Fingerprint string
	// SwarmID may be the whole id; its first 12 digits are announced.
	SwarmID string
	Version string
	// Start tells this process from another that announces the same node: what is announced
	// would else be taken for one. Hex digits, of which 4 are announced; empty for none.
	Start string
	// Host names the machine, for people who browse. Default: the host name.
	Host string
	// FabricPort is where this node accepts routes.
	FabricPort int
	// JoinPort is where it takes others in; 0 if it does not.
	JoinPort int
	// Interfaces are the names of the network interfaces to use, and no others. Default: the
	// environment variable MYCO_MDNS_INTERFACES; else those that face a LAN, leaving out those of
	// containers and virtual machines, such as docker* and virbr*; else veth*; else loopback. A
	// fabric that listens on loopback only has to be announced on Loopback only.
	Interfaces []string
	// OnFound is called for another node when it is new or changed, and then about once a
	// round (20 s) while it goes on announcing itself. One call at a time; it must not block.
	OnFound func(Found)
	// Known reports whether the node with that key is one that matters: where others fill the
	// bounded table, it takes the place of one that does not. It must not block. Default: none.
	Known  func(fingerprint string) bool
	Logger *slog.Logger // default: discards
}

const (
	shortSwarm = 12 // digits of a swarm id that are announced
	shortStart = 4  // digits of a start that are announced
	maxHost    = 40 // of the 63 bytes of a DNS label
)

// prepare checks cfg and fills in what is left out.
func (cfg *Config) prepare() error {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.OnFound == nil {
		cfg.OnFound = func(Found) {}
	}
	if cfg.Known == nil {
		cfg.Known = func(string) bool { return false }
	}
	if len(cfg.Interfaces) == 0 {
		cfg.Interfaces = split(os.Getenv(EnvInterfaces))
	}
	if cfg.Host == "" {
		cfg.Host, _ = os.Hostname() // without one, the id alone names the node
	}
	cfg.Host = label(cfg.Host)
	cfg.SwarmID = cfg.SwarmID[:min(len(cfg.SwarmID), shortSwarm)]
	cfg.Start = cfg.Start[:min(len(cfg.Start), shortStart)]
	if !hex(cfg.Start) {
		return fmt.Errorf("announce this node: start %q is not of hex digits", cfg.Start)
	}
	if cfg.FabricPort < 1 || cfg.FabricPort > 65535 {
		return fmt.Errorf("announce the fabric: port %d is not in 1 to 65535", cfg.FabricPort)
	}
	if _, err := ParseTXT(cfg.record().TXT()); err != nil {
		return fmt.Errorf("announce this node: %w", err)
	}
	return nil
}

func (cfg *Config) record() Record {
	return Record{
		NodeID:      cfg.NodeID,
		Fingerprint: cfg.Fingerprint,
		SwarmID:     cfg.SwarmID,
		Version:     cfg.Version,
		JoinPort:    cfg.JoinPort,
	}
}

func split(list string) []string {
	var names []string
	for name := range strings.SplitSeq(list, ",") {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// label returns the first label of a host name, without what would need escaping in DNS.
func label(host string) string {
	host, _, _ = strings.Cut(host, ".")
	host = strings.Map(func(r rune) rune {
		if r == '-' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return -1
	}, host)
	host = host[:min(len(host), maxHost)]
	if host == "" {
		return "node"
	}
	return host
}
