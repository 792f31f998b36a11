// Package discovery finds other nodes on the LAN over multicast DNS (RFC 6762, RFC 6763).
//
// It owns the announcement of this node and a table of what was heard. It owns no
// connection and no trust: a record is a hint of where to dial, and anybody on the LAN can
// forge one. Presence comes from the bus, never from here.
//
// It is the only importer of grandcat/zeroconf, whose faults it works around:
//   - An entry is given once per resolver, goodbyes are not, and a resolver cannot be used
//     twice: browsing goes in rounds, each with a new resolver and a channel that is drained
//     until it is closed, and what is found is kept in a table of our own, by time.
//   - Rounds are short at first, for the first packets of a wireless network are often lost.
//     Each asks at once, and every registration announces itself, so that two nodes find each
//     other within a second whichever comes first.
//   - A resolver keeps whatever it hears: a round in which too much is heard ends early.
//   - Names in conflict are not noticed: the instance and host names hold the node's id.
//   - The interfaces are listed once: they are polled, and a change starts anew.
//   - A resolver for both IP versions fails if either does, and then loses a socket: there is
//     one resolver for each.
//   - Addresses of loopback interfaces are not announced, nor any on Windows in answers: there
//     they are named outright.
//   - A registration that is shut down leaves behind the goroutine that announces it
//     ((*zeroconf.Server).probe), which ends within 4 seconds of the registration and uses
//     only closed sockets. Run does not wait for it. Tests that look for leaks have to pass
//     over this one function.
package discovery
