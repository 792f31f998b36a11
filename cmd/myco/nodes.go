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

// nodesCmd holds the commands about who is in the swarm.
type nodesCmd struct {
	Ls      nodesLsCmd      `cmd:"" default:"1" help:"List who is in the swarm, who was, and who holds its key (default)."`
	Promote nodesPromoteCmd `cmd:"" help:"Give another node the swarm's key: it can invite, promote and revoke."`
	Revoke  revokeCmd       `cmd:"" help:"Put a node out of the swarm, for good."`
	Recover nodesRecoverCmd `cmd:"" help:"Give this node the swarm's key, by the recovery phrase."`
}

// rosterView is what nodes --json prints.
type rosterView struct {
	Swarm bus.SwarmInfo `json:"swarm"`
	Nodes []bus.Member  `json:"nodes"`
}

type nodesLsCmd struct{}

// Run implements the command.
func (c *nodesLsCmd) Run(ctx context.Context, a *app) error {
	conn, err := a.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	r, err := conn.Roster(ctx)
	if err != nil {
		return err
	}
	for i := range r.Members {
		steady(&r.Members[i])
	}
	if a.json {
		a.object(rosterView{Swarm: r.Swarm, Nodes: r.Members})
		return nil
	}
	a.text(rosterTable(r, a.width()))
	for _, m := range r.Members {
		if m.Holder && (m.State == bus.NodeRevoked || m.State == bus.NodeLeft) {
			a.hint("%s is out, and had the swarm's key, which still signs. To replace it: myco rotate --swarm", m.Name)
		}
	}
	return nil
}

// steady takes a node that is late for a moment for what it is, as myco swarm does.
func steady(m *bus.Member) {
	if m.State == bus.NodeSuspect {
		m.State = bus.NodeReady
	}
}

// rosterGives is the order of what people can do without.
var rosterGives = giving{
	shorten: map[string]int{"OUT SINCE": 11, "NAME": 12},
	drop:    []string{"ADDED BY", "SINCE", "OUT SINCE", "ID", "HOLDS"},
}

// rosterTable renders the roster for people, on a terminal of that width, or 0 for any.
func rosterTable(r bus.Roster, width int) string {
	names := map[bus.NodeID]string{}
	for _, m := range r.Members {
		names[m.ID] = m.Name
	}
	name := func(id bus.NodeID) string {
		if n := names[id]; n != "" {
			return n
		}
		if id == "" {
			return "-"
		}
		return string(id)
	}
	rows := make([][]string, len(r.Members))
	for i, m := range r.Members {
		who, key, ended := m.Name, "", ""
		if m.ID == r.Here {
			who += dimStyle.Render(" (here)")
		}
		if m.Holder {
			key = "key"
		}
		by := name(m.AddedBy)
		if m.AddedBy == m.ID {
			by = "founder"
		}
		if !m.Ended.IsZero() {
			ended = day(m.Ended)
		}
		if m.State == bus.NodeRevoked {
			ended += " by " + name(m.EndedBy)
		}
		rows[i] = []string{who, string(m.ID), state(string(m.State)), day(m.Since), by, key, ended}
	}
	return rosterGives.fitted(width, []string{"NAME", "ID", "STATE", "SINCE", "ADDED BY", "HOLDS", "OUT SINCE"}, rows)
}

// day is the day of a moment, where this machine is; --json has the rest.
func day(t time.Time) string { return t.Local().Format(time.DateOnly) }

type nodesPromoteCmd struct {
	Node string `predictor:"node" arg:"" help:"The node to promote, by name, id, or the beginning of its id; it must be up."`
}

// Run implements the command.
func (c *nodesPromoteCmd) Run(ctx context.Context, a *app) error {
	conn, err := a.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	m, err := lookUpMember(ctx, conn, c.Node, "myco nodes promote")
	if err != nil {
		return err
	}
	r, err := conn.Promote(ctx, m.ID)
	if err != nil {
		return err
	}
	a.trusted(r, r.Member.Name+" now holds the swarm's key: it can invite, promote and revoke",
		r.Member.Name+" holds the swarm's key already")
	return nil
}

// revokeCmd puts a node out; it is myco revoke, and myco nodes revoke.
type revokeCmd struct {
	Node string `predictor:"node" arg:"" help:"The node to put out, by name, id, or the beginning of its id."`
	Yes  bool   `short:"y" help:"Do not ask."`
}

// Run implements the command.
func (c *revokeCmd) Run(ctx context.Context, a *app) error {
	conn, err := a.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	m, err := lookUpMember(ctx, conn, c.Node, "myco revoke")
	if err != nil {
		return err
	}
	if m.ID != conn.NodeID() { // which the daemon refuses
		question := fmt.Sprintf("Put %s (%s) out of the swarm? Its key stays out for good.", m.Name, m.ID)
		if err := a.confirm(c.Yes, question, "myco revoke --yes "+string(m.ID)); err != nil {
			return err
		}
	}
	r, err := conn.Revoke(ctx, m.ID)
	if err != nil {
		return err
	}
	a.trusted(r, fmt.Sprintf("%s (%s) is out of the swarm", r.Member.Name, r.Member.ID), r.Member.Name+" was put out before")
	if r.Changed && !a.json {
		a.hint("Members that are away now learn of it when they are back. What %s was sent before, it has.", r.Member.Name)
		if r.Member.Holder {
			a.hint("It had the swarm's key, which still signs. To replace it: myco rotate --swarm")
		}
	}
	return nil
}

type nodesRecoverCmd struct {
	From string `arg:"" default:"-" help:"Where the phrase is: @FILE, or - for standard input (default)."`
}

// maxPhrase is more than any recovery phrase has, in bytes.
const maxPhrase = 4 << 10

// Run implements the command.
func (c *nodesRecoverCmd) Run(ctx context.Context, a *app) error {
	phrase, err := c.read(ctx, a)
	if err != nil {
		return err
	}
	conn, err := a.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	r, err := conn.Recover(ctx, phrase)
	if err != nil {
		return err
	}
	a.trusted(r, "this node now holds the swarm's key: it can invite, promote and revoke", "this node holds the swarm's key already")
	return nil
}

// read gets the phrase. It is no argument: arguments are seen by every program of the machine.
func (c *nodesRecoverCmd) read(ctx context.Context, a *app) (string, error) {
	again := "myco nodes recover, and type the phrase that was printed when the swarm was founded, or its key was replaced last"
	var b []byte
	var err error
	switch path, file := strings.CutPrefix(c.From, "@"); {
	case file:
		if b, err = input.ReadFile(ctx, path, maxPhrase); errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			return "", bus.Errorf(bus.CodeFailed, "read the recovery phrase: %w", err).WithHint("%s", again)
		}
	case c.From == "-":
		if a.interactive {
			fmt.Fprint(a.err, "Recovery phrase, and then Ctrl-D: ")
		}
		b, err = io.ReadAll(io.LimitReader(a.in, maxPhrase))
	default:
		return "", bus.Errorf(bus.CodeInvalid, "the recovery phrase is no argument: other programs would see it").
			WithHint("myco nodes recover @FILE, or from standard input")
	}
	if err != nil {
		return "", fmt.Errorf("read the recovery phrase: %w", err)
	}
	if len(b) >= maxPhrase || strings.TrimSpace(string(b)) == "" {
		return "", bus.Errorf(bus.CodeInvalid, "this is no recovery phrase: want 14 groups of four letters and digits").WithHint("%s", again)
	}
	return string(b), nil
}

// trusted tells how a node stands to the swarm now.
func (a *app) trusted(r bus.TrustReply, changed, before string) {
	steady(&r.Member)
	switch {
	case a.json:
		a.object(r)
	case r.Changed:
		a.text(changed + "\n")
	default:
		a.text(before + "\n")
	}
}

// lookUpMember is bus.NodeNamed among everybody who is or was in the swarm, for command. Of several
// that are meant, those that are out do not count.
func lookUpMember(ctx context.Context, conn *bus.Conn, want, command string) (bus.Member, error) {
	r, err := conn.Roster(ctx)
	if err != nil {
		return bus.Member{}, err
	}
	var in, all []bus.NodeInfo
	by := map[bus.NodeID]bus.Member{}
	for _, m := range r.Members {
		by[m.ID] = m
		n := bus.NodeInfo{ID: m.ID, Name: m.Name}
		all = append(all, n)
		if m.State != bus.NodeRevoked && m.State != bus.NodeLeft {
			in = append(in, n)
		}
	}
	n, err := bus.NodeNamed(in, want)
	if errors.Is(err, &bus.Error{Code: bus.CodeNotFound}) {
		n, err = bus.NodeNamed(all, want)
	}
	switch e := bus.AsError(err); {
	case err == nil:
		return by[n.ID], nil
	case e.Code == bus.CodeInvalid:
		return bus.Member{}, e.WithHint("name it by its id: %s ID", command)
	default:
		return bus.Member{}, e.WithHint("myco nodes")
	}
}
