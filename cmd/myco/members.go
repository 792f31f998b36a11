package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/cmd/internal/input"
)

// inviteCmd makes a token.
type inviteCmd struct {
	TTL *time.Duration `name:"ttl" help:"How long the token is good for (default: 15m)." placeholder:"DURATION"`
}

// Run implements the command.
func (c *inviteCmd) Run(ctx context.Context, a *app) error {
	if c.TTL != nil && *c.TTL <= 0 {
		return bus.Errorf(bus.CodeInvalid, "--ttl %v: want more than 0", *c.TTL).WithHint("myco invite --ttl 15m")
	}
	conn, err := a.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	inv, err := conn.Invite(ctx, given(c.TTL))
	if err != nil {
		return err
	}
	if a.json {
		a.object(inv)
		return nil
	}
	a.text(inv.Token + "\n")
	a.hint("It lets one node in, once, within %s. On the other machine:\n  mycod --join %s\n"+
		"or, where mycod runs already, there: myco join, with the same token",
		spell(inv.ExpiresAt.Sub(a.now()).Round(time.Second)), inv.Token)
	return nil
}

// joinCmd takes the daemon into a swarm.
type joinCmd struct {
	Token string `arg:"" help:"The token that myco invite printed; @FILE reads it from a file, - from standard input."`
}

// joinView is what join and leave print with --json.
type joinView struct {
	Swarm   bus.SwarmInfo `json:"swarm"`
	Changed bool          `json:"changed"`
	Phrase  string        `json:"recovery_phrase,omitempty"`
}

// Run implements the command.
func (c *joinCmd) Run(ctx context.Context, a *app) error {
	token, err := readToken(ctx, c.Token, a.in)
	if err != nil {
		return err
	}
	conn, err := a.dial(ctx)
	if err != nil {
		e := bus.AsError(err)
		if flags, start := strings.CutPrefix(e.Hint, "mycod"); start {
			return e.WithHint("mycod --join TOKEN%s", flags)
		}
		return err
	}
	defer conn.Close()
	r, err := conn.Join(ctx, token)
	if err != nil {
		return err
	}
	switch {
	case a.json:
		a.object(joinView(r))
	case r.Changed:
		a.text(fmt.Sprintf("joined the swarm %s (%s)\n", r.Swarm.Name, r.Swarm.ID))
	default:
		a.text(fmt.Sprintf("already in the swarm %s (%s)\n", r.Swarm.Name, r.Swarm.ID))
	}
	return nil
}

// maxToken is more than any token has, in bytes.
const maxToken = 64 << 10

// readToken returns the token itself, or that of @FILE or of standard input.
func readToken(ctx context.Context, arg string, stdin io.Reader) (string, error) {
	again := "myco invite on a node of the swarm to join"
	token := arg
	switch {
	case arg == "-":
		b, err := io.ReadAll(io.LimitReader(stdin, maxToken))
		if err != nil {
			return "", fmt.Errorf("read the token from standard input: %w", err)
		}
		token = string(b)
	case strings.HasPrefix(arg, "@"):
		b, err := input.ReadFile(ctx, arg[1:], maxToken)
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
			return "", bus.Errorf(bus.CodeFailed, "read the token: %w", err).WithHint("%s", again)
		case err != nil:
			return "", fmt.Errorf("read the token: %w", err)
		}
		token = string(b)
	}
	token = strings.TrimSpace(token)
	if !strings.HasPrefix(token, "myco") || strings.ContainsAny(token, " \t\r\n") {
		return "", bus.Errorf(bus.CodeInvalid, "this is not a token: want one word that begins with myco").WithHint("%s", again)
	}
	return token, nil
}

// leaveCmd takes the daemon out of its swarm.
type leaveCmd struct {
	Yes bool `short:"y" help:"Do not ask."`
}

// Run implements the command.
func (c *leaveCmd) Run(ctx context.Context, a *app) error {
	conn, err := a.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := a.confirm(c.Yes, "Leave the swarm? To come back, this node needs a new token.", "myco leave --yes"); err != nil {
		return err
	}
	r, err := conn.Leave(ctx)
	if err != nil {
		return err
	}
	if a.json {
		a.object(joinView(r))
		return nil
	}
	did := "left; this node is now alone"
	if !r.Changed {
		did = "nothing to leave; this node is alone already,"
	}
	a.text(fmt.Sprintf("%s in the swarm %s (%s)\n", did, r.Swarm.Name, r.Swarm.ID))
	if r.Phrase != "" {
		a.text("If it stays in this swarm, or lets others in, write down the recovery phrase:\n  " + r.Phrase + "\n")
		a.hint("mycod shows the phrase at its next start too, if this node is still alone by then.")
	}
	a.hint("To join another swarm, run `myco invite` on a member of it, then here: myco join TOKEN")
	return nil
}
