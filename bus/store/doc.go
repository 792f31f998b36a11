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
// What a store may say to the fabric is limited by fabric's grant for it: answers to requests
// (subjects under "_INBOX", the default prefix of nats.go, "_INBOX_USER" and "_INBOX_OBSERVER"),
// and the RePublish subjects "swarm.queue.<id>.>". A reply subject anywhere else gets no answer
// across the leaf.
package store
