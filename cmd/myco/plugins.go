package main

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
)

// pluginsCmd lists the plugins.
type pluginsCmd struct{}

// pluginsView is what plugins --json prints.
type pluginsView struct {
	Plugins []bus.PluginInfo `json:"plugins"`
	// Elsewhere are the types that plugins and programs of other nodes do.
	Elsewhere []bus.SharedType `json:"elsewhere"`
}

// Run implements the command.
func (c *pluginsCmd) Run(ctx context.Context, a *app) error {
	conn, err := a.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	list, err := conn.Plugins(ctx)
	if err != nil {
		return err
	}
	nodes, err := conn.Nodes(ctx)
	if err != nil {
		return err
	}
	elsewhere := othersTypes(nodes, conn.NodeID())
	if a.json {
		a.object(pluginsView{list, elsewhere})
		return nil
	}
	if len(list) > 0 {
		a.text(pluginsGive.fitted(a.width(), pluginsHead, pluginRows(list)))
	} else {
		a.hint("no plugins on this machine: a folder each in ~/.config/mycoswarm/plugins, of a service of the machine in /etc/mycoswarm/plugins (docs/plugins.md)")
	}
	for _, p := range list {
		if p.Error != nil {
			a.hint("%s: %s", p.Name, p.Error.Message)
			if p.Error.Hint != "" {
				a.hint("  try: %s", p.Error.Hint)
			}
		}
	}
	for _, t := range elsewhere {
		names := make([]string, len(t.Nodes))
		for i, id := range t.Nodes {
			names[i] = nameOf(nodes, id)
		}
		a.text("tasks of type " + t.Type + " are done by " + strings.Join(names, ", ") + "\n")
	}
	return nil
}

var pluginsHead = []string{"PLUGIN", "TYPE", "SLOTS", "PROCESSES", "MAY", "STATE", "ABOUT"}

// pluginsGive is the order of what people can do without.
var pluginsGive = giving{
	shorten: map[string]int{"ABOUT": 12, "PLUGIN": 10, "TYPE": 8, "MAY": 12},
	wrap:    []string{"ABOUT", "MAY"},
	drop:    []string{"PROCESSES", "SLOTS", "ABOUT", "TYPE", "MAY"},
}

func pluginRows(list []bus.PluginInfo) [][]string {
	rows := make([][]string, len(list))
	for i, p := range list {
		may, is := strings.Join(p.May, ", "), "ready"
		if !p.Confined && p.Type != "" {
			may = "anything that mycod may"
		}
		if p.Error != nil {
			is = "failed"
		}
		rows[i] = []string{p.Name, orDash(p.Type), strconv.Itoa(p.Slots), strconv.Itoa(p.Processes), orDash(may), state(is), orDash(strings.Join(strings.Fields(p.About), " "))}
	}
	return rows
}

// othersTypes are the types, of no daemon's own, that other nodes do at present.
func othersTypes(nodes []bus.NodeInfo, self bus.NodeID) []bus.SharedType {
	return bus.SharedTypes(slices.DeleteFunc(slices.Clone(nodes), func(n bus.NodeInfo) bool { return n.ID == self }))
}
