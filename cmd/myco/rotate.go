package main

import (
	"context"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
)

// rotateCmd replaces the credentials of this machine's users, or the swarm's key.
type rotateCmd struct {
	Swarm bool `help:"Replace the swarm's key and recovery phrase instead; members stay members."`
	Yes   bool `short:"y" help:"Do not ask, with --swarm."`
}

// Run implements the command.
func (c *rotateCmd) Run(ctx context.Context, a *app) error {
	conn, err := a.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if c.Swarm {
		return c.swarm(ctx, a, conn)
	}
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
		"Programs that read these files come back by themselves. Copies elsewhere have to be made again.\n" +
		"Keys of myco key create stay good: myco key ls shows them. Revoke those that you do not know.")
	return nil
}

// swarm replaces the swarm's key.
func (c *rotateCmd) swarm(ctx context.Context, a *app, conn *bus.Conn) error {
	const question = "Replace the swarm's key? The old recovery phrase, open invitations and promotions end."
	if err := a.confirm(c.Yes, question, "myco rotate --swarm --yes"); err != nil {
		return err
	}
	r, err := conn.RotateSwarm(ctx)
	if err != nil {
		return err
	}
	var away []string
	for i := range r.Members {
		steady(&r.Members[i])
		if r.Members[i].State == bus.NodeLost {
			away = append(away, r.Members[i].Name)
		}
	}
	if a.json {
		a.object(r)
		return nil
	}
	a.text("the swarm's key was replaced. Write down its new recovery phrase; it is not shown again:\n  " + r.Phrase + "\n")
	a.hint("The old phrase and the old key are of no use any more. This node alone holds the new one: myco nodes promote NODE")
	if len(away) > 0 {
		a.hint("Not here now, and to be told when back: %s. Until then they trust the old key.", strings.Join(away, ", "))
	}
	return nil
}
