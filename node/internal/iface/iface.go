// Package iface tells the network interfaces of a machine apart: which face the LAN, and
// which belong to containers and virtual machines.
package iface

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// Loopback stands for the loopback interface, whatever its name is on this system.
const Loopback = "loopback"

// virtual are the name prefixes of interfaces that belong to containers and virtual
// machines: nobody else on the LAN can reach an address of theirs.
var virtual = []string{
	"docker", "podman", "cni", "veth", "br-", "virbr", "lxcbr", "lxdbr", "incusbr",
	"vboxnet", "vmnet", "VirtualBox Host-Only", "VMware Network Adapter",
}

// Virtual reports whether name is that of a container's or virtual machine's interface.
func Virtual(name string) bool {
	return slices.ContainsFunc(virtual, func(p string) bool { return strings.HasPrefix(name, p) })
}

// Interface is a network interface that is up, and connected to something.
type Interface struct {
	Name         string
	Index        int
	Loopback     bool
	Multicast    bool // some systems leave this out for loopback, where multicast works none the less
	PointToPoint bool // a tunnel
	Addrs        []netip.Addr
}

// usable are the flags of an interface that is up and has a carrier. One without a cable keeps its address on many
// systems, and nobody reaches it there.
const usable = net.FlagUp | net.FlagRunning

// List returns the interfaces of this machine that are up, and connected to something.
func List() ([]Interface, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list network interfaces: %w", err)
	}
	var up []Interface
	for _, n := range all {
		if n.Flags&usable != usable {
			continue
		}
		addrs, err := n.Addrs()
		if err != nil {
			continue // it went away meanwhile
		}
		i := Interface{
			Name: n.Name, Index: n.Index,
			Loopback:     n.Flags&net.FlagLoopback != 0,
			Multicast:    n.Flags&net.FlagMulticast != 0,
			PointToPoint: n.Flags&net.FlagPointToPoint != 0,
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				i.Addrs = append(i.Addrs, p.Addr().Unmap())
			}
		}
		up = append(up, i)
	}
	return up, nil
}

// Choose returns the interfaces of all to announce on and to listen on. If want names any,
// it is those of them that are there. Otherwise it is the first of these that is not empty:
//  1. those that face a LAN: multicast, an address, no loopback, and not Virtual;
//  2. veth*, which is the whole network of a network namespace;
//  3. loopback.
func Choose(all []Interface, want []string) []Interface {
	if len(want) > 0 {
		return filter(all, func(i Interface) bool {
			return slices.Contains(want, i.Name) || i.Loopback && slices.Contains(want, Loopback)
		})
	}
	for _, fits := range []func(Interface) bool{
		func(i Interface) bool { return i.faces() && !Virtual(i.Name) },
		func(i Interface) bool { return i.faces() && strings.HasPrefix(i.Name, "veth") },
		func(i Interface) bool { return i.Loopback },
	} {
		if chosen := filter(all, fits); len(chosen) > 0 {
			return chosen
		}
	}
	return nil
}

// faces reports whether others may reach the interface. An address that counts is one that
// can be dialled without naming the interface; the end of a container's cable in its host
// has none.
func (i Interface) faces() bool {
	return !i.Loopback && i.Multicast && slices.ContainsFunc(i.Addrs, Dialable)
}

// Dialable reports whether addr is one to dial: not a group, not unspecified, and not an
// IPv6 address that means nothing without its interface.
func Dialable(addr netip.Addr) bool {
	return addr.IsValid() && !addr.IsUnspecified() && !addr.IsMulticast() &&
		(addr.Is4() || !addr.IsLinkLocalUnicast()) && addr != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// HasIPv6 reports whether the interface has an IPv6 address of any kind.
func (i Interface) HasIPv6() bool {
	return slices.ContainsFunc(i.Addrs, netip.Addr.Is6)
}

func filter(all []Interface, fits func(Interface) bool) []Interface {
	var out []Interface
	for _, i := range all {
		if fits(i) {
			out = append(out, i)
		}
	}
	return out
}
