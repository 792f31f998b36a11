// Package jet does what package sched decides, over two connections to NATS servers in the
// same process: the fabric, which reaches every node, and this node's own JetStream store.
//
// It owns the names and options of streams and consumers, the wire form of claims and
// deliveries, and the files beside the store. It decides nothing: who hosts, who runs and
// what is fed is for package sched.
//
// In a store there are:
//
//	WORK_<node>_<term>                    memory  the work queue of one term, one message a task
//	OUTBOX_<node>                         file    durable tasks that this node submitted, and their ends
//	CUSTODY_<submitter>_at_<custodian>    file    the second copy, at its custodian
//
// The claims of a queue are not in a store but in this process's memory, where other nodes reach
// them by requests: no more lasts than the queue does, and each is written with every task.
//
// Every name holds its node, because stores see each other's acknowledgements: two streams
// and consumers of one name, in two stores, would acknowledge each other's messages.
package jet
