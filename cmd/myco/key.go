package main

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
)

// keyCmd holds the commands about keys of HTTP.
type keyCmd struct {
	Create keyCreateCmd `cmd:"" help:"Make a key for programs that speak Ollama, OpenAI or Anthropic to this node."`
	Ls     keyLsCmd     `cmd:"" default:"1" help:"List the keys of this node (default)."`
	Revoke keyRevokeCmd `cmd:"" help:"End a key: it is refused at once, and what it has under way is cut."`
}

type keyCreateCmd struct {
	Name       string `placeholder:"NAME" help:"For whom or what, to find it again."`
	Rate       string `placeholder:"N/min" help:"Requests a minute. Default: any number."`
	Concurrent *int   `placeholder:"N" help:"Requests at one time. Default: any number."`
	Admin      bool   `help:"Let it pull and delete models, and have pages of the web fetched, too."`
}

// Run implements the command.
func (c *keyCreateCmd) Run(ctx context.Context, a *app) error {
	req := bus.KeyRequest{Name: c.Name, Concurrent: given(c.Concurrent), Admin: c.Admin}
	if c.Concurrent != nil && *c.Concurrent == 0 { // which would be any number
		return bus.Errorf(bus.CodeInvalid, "--concurrent 0: want 1 or more; without it there is no limit").WithHint("myco key create --help")
	}
	var err error
	if req.PerMinute, err = perMinute(c.Rate); err != nil {
		return err
	}
	if err := req.Validate(); err != nil {
		return bus.AsError(err).WithHint("myco key create --help")
	}
	conn, err := a.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	k, err := conn.CreateKey(ctx, req)
	if err != nil {
		return err
	}
	if a.json {
		a.object(k)
		return nil
	}
	a.text(k.Key + "\n")
	a.hint("This is the only time it is shown; the node keeps its hash alone. Its id is %s: myco key revoke %s\n"+
		"Send it as `Authorization: Bearer KEY`, or x-api-key, to this node's HTTP address (mycod --http-listen opens that to others).", k.ID, k.ID)
	return nil
}

// perMinute reads a rate: N/min, or N alone. 0 is none.
func perMinute(s string) (int, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(s, "/min")))
	if err != nil || n < 1 {
		return 0, bus.Errorf(bus.CodeInvalid, "--rate %q: want requests a minute", s).WithHint("myco key create --rate 60/min")
	}
	return n, nil
}

type keyLsCmd struct{}

// keysGive is the order of what people can do without.
var keysGive = giving{
	shorten: map[string]int{"NAME": 12},
	drop:    []string{"AGE", "CONCURRENT", "RATE", "ADMIN"},
}

// Run implements the command.
func (c *keyLsCmd) Run(ctx context.Context, a *app) error {
	conn, err := a.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	keys, err := conn.Keys(ctx)
	if err != nil {
		return err
	}
	if a.json {
		a.object(keys)
		return nil
	}
	if len(keys) == 0 {
		a.hint("no keys were created on this node; http.key in its data directory is the owner's")
		return nil
	}
	rows := make([][]string, len(keys))
	for i, k := range keys {
		rows[i] = []string{k.ID, orDash(k.Name), limitOf(k.PerMinute, "/min"), limitOf(k.Concurrent, " at once"), yes(k.Admin), age(k.Created, a.now())}
	}
	a.text(keysGive.fitted(a.width(), []string{"ID", "NAME", "RATE", "CONCURRENT", "ADMIN", "AGE"}, rows))
	return nil
}

func limitOf(n int, unit string) string {
	if n == 0 {
		return "-"
	}
	return strconv.Itoa(n) + unit
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "-"
}

type keyRevokeCmd struct {
	ID string `predictor:"key" arg:"" help:"The id of a key, from myco key ls, or its name where no other has it."`
}

// Run implements the command.
func (c *keyRevokeCmd) Run(ctx context.Context, a *app) error {
	conn, err := a.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	id := c.ID
	switch {
	case id == "": // a variable of a script that is not set is not the name of all keys without one
		return bus.Errorf(bus.CodeInvalid, "want the id or the name of a key").WithHint("myco key ls")
	case strings.HasPrefix(id, bus.KeyPrefix):
		return bus.Errorf(bus.CodeInvalid, "this is the key itself, not its id").WithHint("myco key ls")
	}
	k, err := conn.RevokeKey(ctx, id)
	if errors.Is(err, &bus.Error{Code: bus.CodeNotFound}) {
		k, err = revokeNamed(ctx, conn, id)
	}
	if err != nil {
		return err
	}
	if a.json {
		a.object(k)
		return nil
	}
	name := ""
	if k.Name != "" {
		name = " (" + k.Name + ")"
	}
	a.text("the key " + k.ID + name + " is revoked\n")
	return nil
}

// revokeNamed revokes the one key of that name, which is no id.
func revokeNamed(ctx context.Context, conn *bus.Conn, name string) (bus.KeyInfo, error) {
	keys, err := conn.Keys(ctx)
	if err != nil {
		return bus.KeyInfo{}, err
	}
	var ids []string
	for _, k := range keys {
		if k.Name == name {
			ids = append(ids, k.ID)
		}
	}
	switch len(ids) {
	case 0:
		return bus.KeyInfo{}, bus.Errorf(bus.CodeNotFound, "this node has no key with the id or the name %q", name).WithHint("myco key ls")
	case 1:
		return conn.RevokeKey(ctx, ids[0])
	}
	return bus.KeyInfo{}, bus.Errorf(bus.CodeInvalid, "%d keys are named %q: %s", len(ids), name, strings.Join(ids, ", ")).WithHint("myco key revoke %s", ids[0])
}
