package main

import (
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Who has none is told where they go, which differs with the kind of service.
func TestNoPlugins(t *testing.T) {
	t.Parallel()
	d := setup(t)
	on(d, payload(bus.VerbPlugins), func(struct{}) any { return []bus.PluginInfo{} })
	d.myco("plugins").want(t, 0, "no plugins on this machine", "~/.config/mycoswarm/plugins", "/etc/mycoswarm/plugins", "docs/plugins.md")
}
