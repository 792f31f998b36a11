package main

import (
	"fmt"

	"github.com/mycoswarm/mycoswarm/handlers/confine"
)

// confineCmd makes of this process a program that may do little, for the node that started it.
type confineCmd struct {
	Policy string   `arg:"" help:"What it may do, as JSON."`
	Argv   []string `arg:"" passthrough:"" help:"The program, with its arguments."`
}

// Run implements the command.
func (c confineCmd) Run(s streams) error {
	fmt.Fprintln(s.err, confine.Main(c.Policy, c.Argv))
	panic(exited(confine.ExitCode))
}

// confiner is the command line of confineCmd, without its arguments.
func confiner() []string { return again("confine") }
