// Package fabric carries everything that happens now: an embedded NATS server with routes to the
// other nodes and without JetStream. It owns the listeners, the routes and who is let in. It has
// no state on disk, so a swarm may split, join and grow at will. What must last is in bus/store.
//
// # Who is let in
//
// There is one account, and no way in without a key.
//
//	who       how              key                        may
//	daemon    in process only  nkey made at New           everything
//	store     loopback leaf    nkey made at New           listen to all; answer; note what it stored
//	user      client           nkey, Config.UserKey       its daemon's RPC, swarm.>, its outputs, read JetStream
//	observer  client           nkey, Config.ObserverKey   swarm.>, the bucket of peers
//	node      route            TLS 1.3 with a pinned key  everything
//
// All grants are lists of what is allowed (grants.go). RotateClients replaces the keys of user and
// observer while the server runs (clients.go).
//
// # Routes
//
// A node is trusted by the hash of its public key. That is checked twice: by VerifyConnection of
// Config.TLS at each handshake, on both sides, and by the set of pinned keys, whose change
// (SetPinned) also cuts the routes that exist. SetPeers says whom to dial; a reload of the
// server's options takes a millisecond or two and cuts no client. One side dialling is enough:
// nodes tell each other of their peers, and the mesh completes itself, one hop between any two.
//
// A killed peer is out of Routed at once, since its connections close. One that froze or lost its
// power is out after about 3 s, by two pings that went unanswered. Each pair has one
// connection (no pool), so that order is kept.
package fabric
