// Package sched is the swarm's scheduler: the election of the queue host, the host itself,
// the outbox of durable tasks, the claim and commit of work, and the worker loop. The state
// tables of entry, record and message that it follows are in docs/protocol.md.
//
// Decisions are pure functions of what is known and the time (ChooseHost, Place, Match, BidFor,
// OnDelivery); a Node applies them through Effects, which package sched/jet implements
// over NATS and the tests by a simulated network with lost messages, crashes and restarts.
//
// The package owns no sockets, no streams and no handlers.
package sched
