// Package bus is the swarm's vocabulary and its client: the tasks, capabilities and node
// records that cross the wire, the subjects they cross on, and the Conn that any Go program
// uses to submit tasks, to serve them, or to watch.
//
// A program talks to the daemon (mycod) of its own machine and to nothing else:
//
//	c, err := bus.Dial(ctx)
//	if err != nil { ... }
//	defer c.Close()
//	for chunk, err := range c.Submit(ctx, bus.Task{Type: "ping"}) { ... }
//
// The package owns names and formats. It does not own decisions (package sched), servers
// (bus/fabric, bus/store) or work (handlers), and links no NATS server.
package bus
