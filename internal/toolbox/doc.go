// Package toolbox offers what the swarm can do as tools of the Model Context Protocol, to the programs that have a
// model call them.
//
// It owns the tools: their names, the words that a model reads of them, what they take and what they answer, and how
// far a call has come. It does not own who asks and how tasks get done: that is a Swarm's, which cmd/myco makes of a
// connection to the daemon, and package gateway of a request over HTTP. Nor does it own what is of one machine alone,
// its files and its user's libraries: that is a Local's.
package toolbox
