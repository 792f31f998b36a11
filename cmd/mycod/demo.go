package main

import "context"

// demoCmd shows a swarm.
type demoCmd struct {
	Keep bool `help:"Leave the folders with data and logs."`
}

// Run implements the command.
func (c *demoCmd) Run(context.Context, streams) error { return nil }
