// Package iface tells the network interfaces of a machine apart by their names.
package iface

import "strings"

// virtual are the name prefixes of interfaces that belong to containers and virtual
// machines: nobody else on the LAN can reach an address of theirs.
var virtual = []string{"docker", "veth", "br-", "virbr"}

// Virtual reports whether name is that of a container's or virtual machine's interface.
func Virtual(name string) bool {
	for _, p := range virtual {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}
