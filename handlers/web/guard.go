package web

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"code.dny.dev/ssrf"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/protect"
)

// Policy is what the owner of a node lets the swarm fetch through it beside what is public. The zero value
// is nothing.
type Policy struct {
	// Allow are networks that are connected to although they are not public.
	Allow []netip.Prefix
	// Ports are those that are connected to beside 80 and 443.
	Ports []uint16
}

// ParseNetwork reads an element of Policy.Allow: an address, or a network such as 192.168.1.0/24.
func ParseNetwork(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if a, aerr := netip.ParseAddr(s); aerr == nil {
		p, err = netip.PrefixFrom(a.WithZone(""), a.BitLen()), nil
	}
	switch {
	case err != nil:
		return p, errors.New("want an address or a network, such as 192.168.1.7 or 192.168.1.0/24")
	case p.Addr().Is4In6():
		return p, errors.New("want an address of IPv4 without ::ffff: before it")
	}
	return p.Masked(), nil
}

// ParsePort reads an element of Policy.Ports.
func ParsePort(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 {
		return 0, errors.New("want a port, 1 to 65535")
	}
	return uint16(n), nil
}

// refusal is an address that p does not let a node connect to, and why.
type refusal struct {
	to  netip.AddrPort
	err error
}

func (r *refusal) Error() string { return fmt.Sprintf("connect to %v: %v", r.to, r.err) }
func (r *refusal) Unwrap() error { return r.err }

// told is the refusal for whoever wanted the page, who may not know which node was to fetch it.
func (r *refusal) told(node string, p Policy) *bus.Error {
	who := "this node"
	if node != "" {
		who = "node " + node
	}
	if errors.Is(r.err, ssrf.ErrProhibitedPort) {
		ports := []string{"80", "443"}
		for _, n := range p.Ports {
			ports = append(ports, strconv.Itoa(int(n)))
		}
		return bus.Errorf(bus.CodeForbidden, "%s fetches pages from the ports %s, and not from %d", who, strings.Join(ports, ", "), r.to.Port()).
			WithHint("mycod --web-port %d on a node of yours, and then: myco fetch --node NODE URL", r.to.Port())
	}
	return bus.Errorf(bus.CodeForbidden, "%s fetches public pages only, and %v is not a public address", who, r.to.Addr()).
		WithHint("if it is yours: mycod --web-allow %v on a node of yours, and then: myco fetch --node NODE URL", r.to.Addr())
}

// control returns a net.Dialer's Control. It is asked for each address that is about to be connected to, at
// each hop, after all names have been looked up: what a name, a redirect or a spelling of an address hides
// is known by then. own are the networks that this machine is on: their addresses may be public, as they are
// with IPv6, and still are nobody else's to reach.
func (p Policy) control(own []netip.Prefix) func(network, address string, c syscall.RawConn) error {
	allow4, allow6 := byFamily(p.Allow)
	deny4, deny6 := byFamily(own)
	guard := ssrf.New(
		ssrf.WithPorts(append([]uint16{80, 443}, p.Ports...)...),
		ssrf.WithAllowedV4Prefixes(allow4...), ssrf.WithAllowedV6Prefixes(allow6...),
		ssrf.WithDeniedV4Prefixes(deny4...), ssrf.WithDeniedV6Prefixes(deny6...))
	return func(network, address string, c syscall.RawConn) error {
		err := guard.Safe(network, address, c)
		if err == nil || protect.Fetches.Off() {
			return nil
		}
		to, perr := netip.ParseAddrPort(address)
		if perr != nil {
			return err
		}
		return &refusal{to, err}
	}
}

func byFamily(all []netip.Prefix) (v4, v6 []netip.Prefix) {
	for _, p := range all {
		if p.Addr().Is4() {
			v4 = append(v4, p)
		} else {
			v6 = append(v6, p)
		}
	}
	return v4, v6
}

// ownNetworks are those of this machine's interfaces.
func ownNetworks() []netip.Prefix {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil // what is not public is refused without
	}
	var out []netip.Prefix
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Bits() > 0 {
			out = append(out, p.Masked())
		}
	}
	return slices.Compact(out)
}
