// Package node knows this machine: its hardware, what tier it is of, and what it can do.
//
// A Detector reads the hardware in the background, each source in a goroutine of its own
// and with a time limit, so that a driver that hangs delays nothing but itself. Profile and
// Load are snapshots that cost a lock. What follows from a Profile (tier, capabilities,
// the NodeInfo that other nodes see) are pure functions.
//
// The package owns no network connection and no engine: models and the state of engines are
// passed in. Finding other machines is package node/discovery.
package node
