// Package store is this node's memory: an embedded JetStream server, standalone, that nobody
// reaches but through this process and through the fabric. It owns the directory, its lock and
// its version, the server's options, and the bucket of peers. It owns no other stream: outboxes
// and queues are made by those who use them.
//
// The server has no RAFT and no replicas. It is a leaf of the own fabric over loopback, under
// its own JetStream domain, the node's id: any node of the swarm uses it with
//
//	js, err := jetstream.NewWithDomain(nc, string(id))
//
// where nc is a connection to any fabric of the swarm. Every write to a file is synced before
// it is acknowledged (about 1 ms); streams in memory are not.
//
// Two stores that have a stream and a consumer of equal names acknowledge each other's messages
// unless acknowledgements name the domain: the server's flag js_ack_fc_v2, which is on. Names of
// work streams hold the node all the same.
//
// # Calls of clients
//
// A store answers with its own rights to whatever reply subject a request names, and so does a
// consumer to its deliver subject. So that nobody writes through it where they may not write:
//
//   - Calls of JetStream's API that name no domain come to a check here (calls.go), which passes
//     on those whose answers and deliveries go to inboxes of clients, not of daemons. It bounds
//     the consumers that clients make of the bucket of peers. Only the daemons themselves, which
//     may do everything, name a domain.
//   - What the store may say across the leaf is limited by the fabric's grant for it: inboxes
//     ("_INBOX.>", the prefix of nats.go, and those of its own clients), advisories,
//     and the RePublish subjects "swarm.queue.<id>.>". Elsewhere nothing arrives, silently.
package store
