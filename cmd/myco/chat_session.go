package main

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mycoswarm/mycoswarm/bus"
)

// sessionView is one conversation of chat --list --json.
type sessionView struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Updated time.Time `json:"updated"`
	Turns   int       `json:"turns"`
	Model   string    `json:"model"`
	First   string    `json:"first"`
}

// sessionsGive is the order of what people can do without. A name is needed whole: --session NAME.
var sessionsGive = giving{
	shorten: map[string]int{"MODEL": 10, "BEGINS WITH": 12},
	drop:    []string{"ANSWERS", "MODEL", "LAST", "BEGINS WITH"},
}

// chatGives is how /model and /node give way: a name is needed whole.
var chatGives = giving{
	shorten: map[string]int{"NODES": 8, "MODELS": 12},
	wrap:    []string{"NODES", "MODELS"},
	drop:    []string{"STATE", "NODES"},
}

// listSessions prints the conversations that are saved, the latest first.
func (a *app) listSessions(files sessions) error {
	all, problems := files.list()
	for _, p := range problems {
		a.hint("warning: %v", p)
	}
	views := make([]sessionView, len(all))
	rows := make([][]string, len(all))
	for i, s := range all {
		v := sessionView{ID: s.ID, Name: s.Name, Updated: s.Updated, Turns: s.turns(), Model: cmp.Or(s.Model, s.Used), First: s.first()}
		views[i] = v
		rows[i] = []string{s.title(), s.Updated.Local().Format("2006-01-02 15:04"), strconv.Itoa(v.Turns), cmp.Or(v.Model, "-"), printable(short(v.First, 40))}
	}
	if a.json {
		a.object(struct {
			Sessions []sessionView `json:"sessions"`
		}{views})
		return nil
	}
	if len(all) == 0 {
		a.hint("No conversation is saved yet. To begin one: myco chat")
		return nil
	}
	a.text(sessionsGive.fitted(a.width(), []string{"NAME", "LAST", "ANSWERS", "MODEL", "BEGINS WITH"}, rows))
	a.hint("To go on with one: myco chat --session NAME. They are files in %s", files.dir)
	return nil
}

// command does what a line asks for, until the user stops it: a daemon that hangs would be waited for.
func (ch *chat) command(ctx context.Context, l chatLine) error {
	if l.verb == "/retry" { // its answer is stopped as any other
		return ch.retry(ctx)
	}
	return ch.stoppable(ctx, func(ctx context.Context) error { return ch.do(ctx, l) })
}

func (ch *chat) do(ctx context.Context, l chatLine) error {
	switch l.verb {
	case "/help":
		ch.say(chatHelp(ch.width()))
	case "/model":
		return ch.model(ctx, l)
	case "/node":
		if !l.set {
			return ch.showNodes(ctx)
		}
		return ch.useNode(ctx, l.arg)
	case "/peers":
		if ch.local {
			ch.note("No daemon runs here, and so there is no swarm: this machine answers.")
			return ch.showNodes(ctx)
		}
		s, err := ch.status(ctx)
		if err != nil {
			return err
		}
		ch.say(swarmTable(viewSwarm(s.Swarm, s.Nodes), s.Node.ID, ch.width()))
	case "/system":
		if l.set {
			ch.s.System, ch.s.Tokens = l.arg, 0
		}
		ch.note("%s", cmp.Or(ch.s.System, "The model is told nothing first."))
	case "/think":
		return ch.think(l)
	case "/library":
		return ch.library(l)
	case "/image":
		return ch.image(ctx, l)
	case "/save":
		return ch.saveAs(l.arg)
	case "/load":
		s, err := ch.files.find(l.arg)
		if err != nil {
			return err
		}
		ch.s, ch.shown = s, nil
		ch.greet(ctx)
	case "/clear":
		fresh := ch.files.start()
		fresh.Model, fresh.Node, fresh.System, fresh.Think, fresh.Library = ch.s.Model, ch.s.Node, ch.s.System, ch.s.Think, ch.s.Library
		ch.s, ch.shown = fresh, nil
		ch.note("A new conversation.")
	}
	return nil
}

// retry asks the last question again.
func (ch *chat) retry(ctx context.Context) error {
	if !ch.s.again() {
		return bus.Errorf(bus.CodeInvalid, "there is no question yet")
	}
	ch.note(">>> %s", short(strings.ReplaceAll(ch.s.Unanswered, "\n", " "), 60))
	return ch.turn(ctx, ch.s.Unanswered)
}

// think shows or sets how much the model thinks before it answers.
func (ch *chat) think(l chatLine) error {
	if l.set {
		if _, err := thinkOf(l.arg); err != nil {
			return bus.AsError(err).WithHint("/help")
		}
		ch.s.Think = l.arg
	}
	ch.note("Thinking: %s.", cmp.Or(ch.s.Think, "as the model does by itself"))
	return nil
}

// say prints what a command asked for: no part of the conversation, and so no result.
func (ch *chat) say(s string) { ch.notes.Write([]byte(s)) } //nolint:errcheck // nobody can be told

func (ch *chat) saveAs(name string) error {
	if name != "" {
		if err := ch.files.name(ch.s, name); err != nil {
			return err
		}
	}
	copied, err := ch.files.save(ch.s)
	if err != nil {
		return err
	}
	ch.keep = true
	if copied {
		ch.noteCopy()
	}
	ch.note("Saved. To go on with it later: myco chat --session %s", bus.ShellWord(ch.s.title()))
	return nil
}

// model lists the models, or has one answer from here on.
func (ch *chat) model(ctx context.Context, l chatLine) error {
	if l.set && l.arg == "" {
		ch.s.Model, ch.s.Used = "", ""
		ch.note("The swarm chooses the model.")
		return nil
	}
	if l.set {
		if err := ch.useModel(ctx, l.arg); err != nil {
			return err
		}
		ch.note("%s answers from here on.", l.arg)
		return nil
	}
	nodes, err := ch.nodes(ctx)
	if err != nil {
		return err
	}
	names := modelsOf(nodes)
	rows := make([][]string, len(names))
	for i, name := range names {
		var on []string
		for _, n := range nodes {
			for _, m := range n.Models {
				if n.State.Live() && m.Name == name {
					on = append(on, n.Name)
				}
			}
		}
		now := ""
		if bus.SameModel(name, cmp.Or(ch.s.Model, ch.s.Used)) {
			now = "*"
		}
		rows[i] = []string{now, name, strings.Join(on, " ")}
	}
	ch.say(chatGives.fitted(ch.width(), []string{"", "MODEL", "NODES"}, rows))
	return nil
}

// useModel has a model answer from here on, which some node must have.
func (ch *chat) useModel(ctx context.Context, name string) error {
	nodes, err := ch.nodes(ctx)
	if err != nil {
		return err
	}
	live := slices.DeleteFunc(slices.Clone(nodes), func(n bus.NodeInfo) bool { return !n.State.Live() })
	m, ok := bus.ModelNamed(name, bus.ModelsOf(live, bus.TypeInference))
	if !ok {
		return bus.Errorf(bus.CodeNotFound, "no node has the model %q; there is %s", name, cmp.Or(strings.Join(modelsOf(nodes), ", "), "none")).
			WithHint("%s", bus.PullCommand(nodes, name, ""))
	}
	name = m.Name
	if !bus.SameModel(name, cmp.Or(ch.s.Model, ch.s.Used)) {
		ch.s.Tokens = 0
	}
	ch.s.Model = name
	return nil
}

// modelsOf are the names of the models that live nodes have, each once, in order.
func modelsOf(nodes []bus.NodeInfo) []string {
	seen := map[string]bool{}
	for _, n := range nodes {
		for _, m := range n.Models {
			if n.State.Live() {
				seen[m.Name] = true
			}
		}
	}
	return sorted(seen)
}

func (ch *chat) showNodes(ctx context.Context) error {
	nodes, err := ch.nodes(ctx)
	if err != nil {
		return err
	}
	rows := make([][]string, len(nodes))
	for i, n := range nodes {
		models := make([]string, len(n.Models))
		for j, m := range n.Models {
			models[j] = m.Name
		}
		now := ""
		if n.ID == ch.s.Node && n.ID != "" {
			now = "*"
		}
		rows[i] = []string{now, n.Name, state(string(n.State)), cmp.Or(strings.Join(models, " "), "-")}
	}
	ch.say(chatGives.fitted(ch.width(), []string{"", "NODE", "STATE", "MODELS"}, rows))
	return nil
}

// useNode has one node answer from here on; none leaves it to the swarm.
func (ch *chat) useNode(ctx context.Context, name string) error {
	switch {
	case name == "":
		ch.s.Node = ""
		ch.note("The swarm chooses the node.")
		return nil
	case ch.local:
		return bus.Errorf(bus.CodeUnavailable, "there is no daemon, and so no other node").WithHint("mycod")
	}
	nodes, err := ch.nodes(ctx)
	if err != nil {
		return err
	}
	n, err := bus.NodeNamed(nodes, name)
	if err != nil {
		return err
	}
	ch.s.Node = n.ID
	ch.note("%s answers from here on.", n.Name)
	return nil
}
