package daemon

import (
	"slices"
	"strings"

	"github.com/mycoswarm/mycoswarm/internal/identity"
)

// nameAsked is the name that this node is to have, made valid; "" where none is asked for.
func (d *Daemon) nameAsked() string {
	if d.cfg.Name == "" {
		return ""
	}
	name := identity.CleanName(d.cfg.Name)
	if name != d.cfg.Name {
		d.log.Warn("the name was made valid", "asked", d.cfg.Name, "name", name)
	}
	return name
}

// calledOtherwise tells why this node is not called what was asked, and what to do.
func (d *Daemon) calledOtherwise(asked string) {
	has := d.id.Name()
	why := "the swarm's key is not here, by which a node is named anew"
	try := "on a node that holds it, which myco nodes tells: myco nodes promote " + has + "; then start this one again"
	if slices.ContainsFunc(d.id.Members(), func(m identity.Member) bool {
		return m.Node != d.id.NodeID() && strings.EqualFold(m.Name, asked)
	}) {
		why, try = "another node has that name", "another --name"
	}
	d.log.Warn("this node is not called what was asked: "+why, "asked", asked, "name", has, "try", try)
}
