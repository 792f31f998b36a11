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

// The protections, each with one place where it stands.
const (
	Sync    Protection = "a write to the store is synced to the disk before it is acknowledged"
	Version Protection = "a store of a newer version is refused"
)
