// Package daemon is mycod: it wires the parts of a node together and owns nothing else. It
// starts them in order, stops them in the reverse order, and answers the RPC and the HTTP
// requests of the people and programs of this machine.
//
// # What runs, in the order of its start
//
//	lock on the data directory, identity, credentials
//	fabric            routes, and the clients' port
//	trust             roster exchange, who may have a route, whom to dial
//	                  here it ends where another daemon has this identity
//	store             JetStream, a leaf of the fabric
//	detector, engines what this machine has
//	member            jet and sched.Node with their handlers; starts anew when the node leaves its
//	                  swarm, or is put out
//	join listener, RPC, table of peers, HTTP, discovery
//
// # From a hint to a route
//
//	heard over mDNS              in the roster  dialled, while it has no route, beside what it told itself
//	                             a stranger     listed as nearby, with the command to join
//	--peer, inviter's addresses  -              dialled; the handshake tells who it is
//	addresses of earlier times   in the roster  dialled
//
// Joining and leaving change the roster, and with it the routes. The fabric goes on running, so
// that no client is cut.
//
// # How a node is put out
//
//	who                  does
//	a holder of the key  signs the revocation, sends it to all, the node among them, waits half a
//	                     second for a sign that it was heard, and then keeps it and cuts the route
//	another member       keeps it on hearing it, and cuts the route
//	the node itself      keeps it, trusts nobody, and ends its work: what was about to be committed
//	                     tries for up to 30 s; then it deletes what it kept for others, and goes on alone.
//	                     Where it ends meanwhile, its next start does that
//
// A member that was away hears of it from the first that it has a route to. A node that was away
// when it was put out is refused by all, and finds out by whom (refused.go).
package daemon
