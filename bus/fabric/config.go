package fabric

import (
	"cmp"
	"crypto/tls"
	"log/slog"
	"maps"
	"net"
	"strconv"

	"github.com/nats-io/nkeys"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/protect"
)

// Config says how a Fabric is set up. ID, TLS, Pinned, SwarmID, UserKey and ObserverKey have no default.
type Config struct {
	// ID is this node. It is the server's name and the JetStream domain of the node's own store.
	ID bus.NodeID
	// SwarmID names the cluster: servers of another swarm are refused.
	SwarmID string

	// ClientListen is HOST:PORT for clients of this machine; default 127.0.0.1:4222. Port 0 takes
	// any free port.
	ClientListen string
	// FabricListen is HOST:PORT for routes of other nodes; default 0.0.0.0:7422. Port 0 takes any
	// free port.
	FabricListen string
	// NextFreeClient and NextFreeFabric let a taken port give way to one of the next 100.
	NextFreeClient, NextFreeFabric bool

	// TLS is used on both sides of every route: TLS 1.3, a certificate, client certificates
	// required, and VerifyConnection for the trust, since chains and names are not checked.
	TLS *tls.Config
	// Pinned are the nodes that may have a route: hex SHA-256 of their public keys (the
	// SubjectPublicKeyInfo of RFC 5280), this node's own among them. Never empty.
	Pinned map[string]struct{}

	// UserKey and ObserverKey are the public nkeys of the two credentials that clients get.
	UserKey, ObserverKey string

	// Logger gets the server's log; default slog.Default().
	Logger *slog.Logger
}

// Validate returns an Error with CodeInvalid for a Config that no Fabric can run with.
func (c Config) Validate() error {
	if err := c.ID.Validate(); err != nil {
		return err
	}
	if c.SwarmID == "" {
		return bus.Errorf(bus.CodeInvalid, "fabric: swarm id is empty")
	}
	for _, a := range []string{c.ClientListen, c.FabricListen} {
		if _, _, err := splitListen(a); err != nil {
			return err
		}
	}
	switch {
	case c.TLS == nil:
		return bus.Errorf(bus.CodeInvalid, "fabric: no TLS configuration; routes are never plain")
	case c.TLS.MinVersion < tls.VersionTLS13 && !protect.Modern.Off():
		return bus.Errorf(bus.CodeInvalid, "fabric: TLS minimum version is below 1.3")
	case c.TLS.ClientAuth != tls.RequireAnyClientCert && c.TLS.ClientAuth != tls.RequireAndVerifyClientCert:
		return bus.Errorf(bus.CodeInvalid, "fabric: TLS does not require a client certificate")
	case c.TLS.VerifyConnection == nil:
		return bus.Errorf(bus.CodeInvalid, "fabric: TLS has no VerifyConnection to check the roster")
	case len(c.Pinned) == 0:
		return bus.Errorf(bus.CodeInvalid, "fabric: the set of pinned keys is empty, which would trust every key")
	}
	for _, k := range []string{c.UserKey, c.ObserverKey} {
		if !nkeys.IsValidPublicUserKey(k) {
			return bus.Errorf(bus.CodeInvalid, "fabric: %q is not a public user nkey", k)
		}
	}
	if c.UserKey == c.ObserverKey {
		return bus.Errorf(bus.CodeInvalid, "fabric: user and observer have the same key")
	}
	return nil
}

func (c Config) withDefaults() Config {
	c.ClientListen = cmp.Or(c.ClientListen, "127.0.0.1:4222")
	c.FabricListen = cmp.Or(c.FabricListen, "0.0.0.0:7422")
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	c.Pinned = maps.Clone(c.Pinned)
	return c
}

// splitListen parses HOST:PORT. An empty host is refused: a server would bind every address.
func splitListen(addr string) (host string, port int, err error) {
	host, p, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, bus.Errorf(bus.CodeInvalid, "listen address %q: %w", addr, err).WithHint("use HOST:PORT, for example 127.0.0.1:4222")
	}
	if host == "" {
		return "", 0, bus.Errorf(bus.CodeInvalid, "listen address %q has no host", addr).WithHint("use 127.0.0.1:%s, or 0.0.0.0:%s for every interface", p, p)
	}
	port, err = strconv.Atoi(p)
	if err != nil || port < 0 || port > 65535 {
		return "", 0, bus.Errorf(bus.CodeInvalid, "listen address %q: port is not 0 to 65535", addr)
	}
	return host, port, nil
}
