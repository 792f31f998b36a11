// Package protect names the protections outside of package sched that a test can take out, to
// show what each is good for, and owns the switch for all of them. A program that is built with
// the tag lab reads from MYCO_WITHOUT what is out; in every other build each is in force, and
// there is no switch in the program. It imports nothing, and every package may import it.
package protect

// Env is the variable that a program of the lab reads: protections, with Separator between them.
const (
	Env       = "MYCO_WITHOUT"
	Separator = ";"
)

// Protection is one rule that stands against a fault or an attack, in words for people.
type Protection string

// The protections, in the order of docs/reliability.md. Each is asked for where it stands, in one
// place or two. More of the protocol's are in package sched, whose model shows what they are for.
const (
	Watchdog  Protection = "a watchdog stops an attempt whose engine is silent"
	Silence   Protection = "a node that is silent for 3 s is lost"
	RoutePing Protection = "a route is pinged every second"
	Lease     Protection = "a lease that is not renewed runs out"
	OneHost   Protection = "of two queue hosts the one with the lower term steps down"
	Handshake Protection = "a route has 2 s for its handshake"
	Restart   Protection = "a node that starts again takes the place of its last start"
	Alone     Protection = "a start looks for another daemon with its identity"
	JoinProof Protection = "a joiner proves that it knows the secret of its token"
	TokenLife Protection = "a token lasts for 15 minutes"
	TimeLeft  Protection = "a deadline travels as time left"
	Room      Protection = "a disk that is nearly full takes no new tasks"
	Count     Protection = "a store counts its messages in a file of its own"
	Sync      Protection = "a write to the store is synced before it is acknowledged"
	Disk      Protection = "the outbox is on disk"
	Bury      Protection = "a task that has crashed three workers is dead"
	Flood     Protection = "what a node may have open is bounded"
	Payload   Protection = "a large payload is with the custodian before its task is accepted"
	Hash      Protection = "large content has the hash that its task names"
	Collect   Protection = "a large payload goes when its task has ended"
	BodySize  Protection = "the body of a request is bounded"
	Window    Protection = "no more is sent than the reader has room for"
	Left      Protection = "a task whose client has left is cancelled"
	Deadline  Protection = "a task whose deadline passes in the queue is ended"
	Mix       Protection = "a mix of versions is told"
	Apart     Protection = "no work goes to a node that speaks another protocol"
	Goodbye   Protection = "a node that stops says so"
	Version   Protection = "a store of a newer version is refused"
	Addresses Protection = "the addresses that a token or a member names are dialled"
	Looks     Protection = "engines are looked for again and again"
	Engines   Protection = "a node is no engine of a node"
)
