package daemon_test

import (
	"bytes"
	"context"
	"io"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/config"
	"github.com/mycoswarm/mycoswarm/internal/daemon"
)

// Who opens the interface to the house is told where a phone finds it, and what it needs.
func TestGreetingTellsWhereAPhoneAsks(t *testing.T) {
	t.Parallel()
	a := newNode(t, "a", func(c *config.Config) { c.HTTPListen = "0.0.0.0:0" })
	phone := regexp.MustCompile(`chat, a phone +http://[^/]+:[0-9]+/ui/chat \(key: myco --data-dir .* key create --name phone\)`)
	if out := greeting(a); !phone.MatchString(out) || strings.Contains(out, "http://0.0.0.0") || strings.Contains(out, "http://[::]") {
		t.Errorf("it says:\n%s", out)
	}
	a.cfg.HTTPListen = "127.0.0.1:0"
	if out := greeting(a); strings.Contains(out, "phone") {
		t.Errorf("what is for this machine alone is told as for others:\n%s", out)
	}
}

// A token is made where the swarm's key is, and so it says.
func TestGreetingTellsWhereToInvite(t *testing.T) {
	t.Parallel()
	a := start(t, "a")
	b := start(t, "b", joining(a))
	settle(t, a, b)
	b.cfg.Join = ""
	check(t, b.stop())
	if out := greeting(b); !strings.Contains(out, "invite:  on a, myco invite ") {
		t.Errorf("b, which holds no key, says:\n%s", out)
	}
	check(t, a.stop())
	if out := greeting(a); !strings.Contains(out, "invite:  "+"myco --data-dir "+bus.ShellWord(a.cfg.DataDir)+" invite ") {
		t.Errorf("a, which holds the key, says:\n%s", out)
	}
}

// full is a disk without room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// greeting runs n until it is ready, and returns what a person reads then.
func greeting(n *node) string {
	n.t.Helper()
	var out bytes.Buffer
	greet(n, &out)
	return out.String()
}

// greet runs n until it is ready.
func greet(n *node, out io.Writer) {
	n.t.Helper()
	d, err := daemon.New(n.cfg, daemon.Options{Out: out})
	check(n.t, err)
	ctx, cancel := context.WithCancel(n.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	select {
	case <-d.Ready():
	case err := <-ended:
		n.t.Fatal("ended instead of coming up:", err)
	}
	cancel()
	check(n.t, <-ended)
}
