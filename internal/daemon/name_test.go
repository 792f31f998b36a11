package daemon_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

// A node that is started by another name has it, or says that it has not, and why.
func TestStartedByAnotherName(t *testing.T) {
	t.Parallel()
	a := start(t, "a")
	b := start(t, "b", joining(a))
	check(t, a.stop())
	check(t, b.stop())
	for _, c := range []struct {
		n                *node
		asked, has, said string
	}{
		{a, "a-anew", "a-anew", ""},
		{a, "b", "b-2", "another node has that name"},
		{b, "b-anew", "b", "the swarm's key is not here"},
		{b, "a-anew", "b", "the swarm's key is not here"},
	} {
		c.n.cfg.Name = c.asked
		var log bytes.Buffer
		c.n.launch(slog.New(slog.NewTextHandler(&log, nil)))
		c.n.up()
		check(t, c.n.stop())
		if has := c.n.Info().Name; has != c.has {
			t.Errorf("asked to be %s it is %s, want %s", c.asked, has, c.has)
		}
		_, said, ok := strings.Cut(log.String(), "is not called what was asked: ")
		if !strings.HasPrefix(said, c.said) || ok != (c.said != "") {
			t.Errorf("asked to be %s it says %q, want %q", c.asked, said, c.said)
		}
	}
}
