// Package lab hurts swarms on purpose, and keeps the books. It owns the seeded plan of a run,
// the crew of daemons that it is carried out on (kill, freeze, cut, unplug, restart), the load
// that runs meanwhile, and the ledger at the end: what clients were promised and told, what the
// scripted engines ran, and when which node was hurt. Nothing in the ledger is asked of the
// swarm but what a user can see.
//
// It does not own processes (package harness), networks (netns) or engines (engine). It needs
// Linux, and root for networks.
package lab
