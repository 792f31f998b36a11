package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

// A member tells its version and its models as it likes: they neither name a terminal anew nor clear it.
func TestNodesDoNotSteerTheTerminal(t *testing.T) {
	t.Parallel()
	d := setup(t)
	evil := bus.NodeInfo{
		ID: other, Name: "tower", State: bus.NodeReady, Version: "9\x1b]0;mine\a\x1b[2J",
		Models: []bus.ModelInfo{{Name: "m\u009b2Jodel\r"}}, Types: []string{"inference"},
	}
	d.nodes.Store(&[]bus.NodeInfo{nodes[0], evil})
	b, err := bus.Marshal(evil)
	must(t, err)
	must(t, d.nc.Publish("$KV.peers."+string(other), b))
	for _, command := range []string{"swarm", "models", "top"} {
		var out bytes.Buffer
		d.to(&out, func() int { return 200 }, command).want(t, 0)
		if rest := colour.ReplaceAllString(out.String(), ""); strings.ContainsAny(rest, "\x1b\a\r\u009b") {
			t.Errorf("%s: %q", command, rest)
		}
	}
	for s, want := range map[string]string{
		"\x1b[1mNAME\x1b[0m\x1b]52;c;eA==\a\x1b[1;32mx\x1b[m\n": "\x1b[1mNAME\x1b[0m]52;c;eA==\x1b[1;32mx\x1b[m\n",
		"\x1b[8mhidden\x1b[30;40mblack":                         "[8mhidden[30;40mblack",
		"\x1b[31mred\n":                                         "\x1b[31mred\n\x1b[m",
		"plain\n":                                               "plain\n",
	} {
		if got := tamed(s); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
