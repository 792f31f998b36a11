package floor_test

import (
	"context"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mycoswarm/mycoswarm/e2e/floor"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func ports(t *testing.T, n int) []int {
	t.Helper()
	var out []int
	for range n {
		var lc net.ListenConfig
		ln, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		out = append(out, ln.Addr().(*net.TCPAddr).Port)
	}
	return out
}

func TestTasksRun(t *testing.T) {
	t.Parallel()
	p := ports(t, 5)
	for name, servers := range map[string][]floor.Config{
		"one server": {{Name: "one", Port: p[0], Home: true, Workers: true}},
		"two servers": {
			{Name: "home", Port: p[1], Cluster: p[2], Peer: p[4], Home: true},
			{Name: "far", Port: p[3], Cluster: p[4], Peer: p[2], Workers: true},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
			ready, ended := make(chan struct{}, 2), make(chan error, 2)
			for _, cfg := range servers {
				cfg.Dir = t.TempDir()
				go func() { ended <- floor.Serve(ctx, cfg, func() { ready <- struct{}{} }) }()
			}
			for range servers {
				select {
				case <-ready:
				case err := <-ended:
					t.Fatal(err)
				}
			}
			c, err := floor.Dial(servers[0].Port)
			if err != nil {
				t.Fatal(err)
			}
			for range 10 {
				if err := c.Do(ctx, []byte("x")); err != nil {
					t.Fatal(err)
				}
			}
			c.Close()
			cancel()
			for range servers {
				if err := <-ended; err != nil {
					t.Error(err)
				}
			}
		})
	}
}
