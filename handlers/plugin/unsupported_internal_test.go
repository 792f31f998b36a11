package plugin

import (
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/handlers/confine"
)

// Who has a plugin that this machine cannot hold back is told of what would have it held back, before what lets it go.
func TestWhatHelpsAnUnsupportedMachine(t *testing.T) {
	t.Parallel()
	for help, want := range map[string]string{
		"upgrade it": "upgrade it; or leave it to nodes on other machines; or unconfined = true in plugin.toml",
		"":           "unconfined = true in plugin.toml",
	} {
		e := bus.AsError(unsupported(&confine.LackError{Why: "it is old", Help: help}, "plugin.toml"))
		if e.Code != bus.CodeUnavailable || !strings.HasSuffix(e.Message, ": it is old") || !strings.HasPrefix(e.Hint, want) {
			t.Errorf("%+v, want %q", e, want)
		}
	}
}
