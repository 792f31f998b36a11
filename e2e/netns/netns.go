// Package netns lends network namespaces to end-to-end tests: a bridge on this machine and
// hosts behind it, each with its own loopback, address and multicast, so that processes in
// them find each other as machines on a LAN do. It needs Linux, root, and iproute2.
package netns

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"sync"
)

// LAN is a bridge with hosts behind it.
type LAN struct {
	id     string
	prefix netip.Prefix

	mu    sync.Mutex
	hosts []*Host
}

// Host is one network namespace on a LAN.
type Host struct {
	Name string     // the namespace, for ip netns exec
	Addr netip.Addr // its address on the LAN
	link string     // its end on the bridge
}

// NewLAN makes a bridge with a /24 of its own out of 10.77.0.0/16. This machine is at its
// first address. The bridge is named after its network, so that of two at the same moment one has it.
// The names of the hosts carry a random id: those of an earlier run may be left.
func NewLAN(ctx context.Context) (*LAN, error) {
	var errs []error
	for range 8 { // the random network may be taken
		r := make([]byte, 3)
		rand.Read(r)
		l := &LAN{
			id:     hex.EncodeToString(r[:2]),
			prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 77, r[2], 0}), 24),
		}
		if err := ip(ctx, "link add "+l.bridge()+" type bridge"); err != nil {
			errs = append(errs, err)
			continue
		}
		if err := errors.Join(
			ip(ctx, "addr add "+l.Gateway().String()+"/24 dev "+l.bridge()),
			ip(ctx, "link set "+l.bridge()+" up"),
		); err != nil {
			return nil, errors.Join(err, l.Close(ctx))
		}
		return l, nil
	}
	return nil, fmt.Errorf("make a bridge (this needs root and iproute2): %w", errors.Join(errs...))
}

func (l *LAN) bridge() string { return fmt.Sprintf("mycobr%d", l.prefix.Addr().As4()[2]) }

// Gateway is this machine's own address on the LAN.
func (l *LAN) Gateway() netip.Addr { return l.prefix.Addr().Next() }

// Add makes a host.
func (l *LAN) Add(ctx context.Context) (*Host, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.hosts) + 1
	h := &Host{Name: fmt.Sprintf("myco-%s-%d", l.id, n), link: fmt.Sprintf("myco%s.%d", l.id, n), Addr: l.Gateway()}
	for range n {
		h.Addr = h.Addr.Next()
	}
	if err := ip(ctx, "netns add "+h.Name); err != nil {
		return nil, err
	}
	l.hosts = append(l.hosts, h)
	for _, args := range []string{
		"link add " + h.link + " type veth peer name eth0 netns " + h.Name,
		"link set " + h.link + " master " + l.bridge() + " up",
		"-n " + h.Name + " addr add " + h.Addr.String() + "/24 dev eth0",
		"-n " + h.Name + " link set lo up",
		"-n " + h.Name + " link set eth0 up",
		"-n " + h.Name + " route add default via " + l.Gateway().String(),
	} {
		if err := ip(ctx, args); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// Command is name with args, run as on host h.
func (h *Host) Command(name string, args ...string) []string {
	return append([]string{"ip", "netns", "exec", h.Name, name}, args...)
}

// Plug connects h to the LAN, or unplugs it.
func (h *Host) Plug(ctx context.Context, in bool) error {
	state := "down"
	if in {
		state = "up"
	}
	return ip(ctx, "link set "+h.link+" "+state)
}

// Cut makes h and other unreachable to each other, whatever their links do, or reachable again.
func (h *Host) Cut(ctx context.Context, other *Host, cut bool) error {
	verb := "del"
	if cut {
		verb = "add"
	}
	return errors.Join(
		ip(ctx, "-n "+h.Name+" route "+verb+" blackhole "+other.Addr.String()+"/32"),
		ip(ctx, "-n "+other.Name+" route "+verb+" blackhole "+h.Addr.String()+"/32"),
	)
}

// Close removes the hosts and the bridge. Processes in them should have ended.
func (l *LAN) Close(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for _, h := range l.hosts {
		errs = append(errs, ip(ctx, "netns delete "+h.Name))
	}
	l.hosts = nil
	return errors.Join(append(errs, ip(ctx, "link delete "+l.bridge()))...)
}

func ip(ctx context.Context, args string) error {
	out, err := exec.CommandContext(ctx, "ip", strings.Fields(args)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", args, err, strings.TrimSpace(string(out)))
	}
	return nil
}
