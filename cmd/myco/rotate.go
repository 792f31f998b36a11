package main

import (
	"context"
	"strings"
)

// rotateCmd replaces the credentials of this machine's users.
type rotateCmd struct{}

// Run implements the command.
func (c *rotateCmd) Run(ctx context.Context, a *app) error {
	conn, err := a.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	r, err := conn.Rotate(ctx)
	if err != nil {
		return err
	}
	if a.json {
		a.object(r)
		return nil
	}
	a.text("new credentials are in " + r.Dir + ": " + strings.Join(r.Files, ", ") + "\n")
	a.hint("The old ones are of no use any more, and programs that use them are cut; what they wait for is cancelled.\n" +
		"Programs that read these files come back by themselves. Copies elsewhere have to be made again.")
	return nil
}
