//go:build unix

package daemon_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/config"
)

// The group reads what a client needs, where that is wanted, and nothing else; also once it is replaced.
func TestGroupAccess(t *testing.T) {
	t.Parallel()
	group := func(c *config.Config) { c.GroupAccess = true }
	for _, change := range [][]func(*config.Config){nil, {group}} {
		n := start(t, "a", change...)
		look := func(when string) {
			t.Helper()
			open := map[string]bool{}
			check(t, filepath.WalkDir(n.cfg.DataDir, func(path string, e fs.DirEntry, err error) error {
				if errors.Is(err, fs.ErrNotExist) || err == nil && e.IsDir() {
					return nil // it may have gone meanwhile
				}
				check(t, err)
				info, err := os.Stat(path)
				if err != nil {
					return nil //nolint:nilerr // it was replaced meanwhile
				}
				if info.Mode().Perm()&0o077 != 0 {
					open[e.Name()] = true
				}
				return nil
			}))
			want := 0
			if n.cfg.GroupAccess {
				want = 3
			}
			if len(open) != want || want > 0 && (!open[bus.DaemonFile] || !open[bus.UserCreds] || !open[bus.HTTPKeyFile]) {
				t.Errorf("%s, group %v: others read %v", when, n.cfg.GroupAccess, open)
			}
		}
		look("after the start")
		_, err := n.conn.Rotate(t.Context())
		check(t, err)
		look("with new credentials")
		check(t, n.stop())
		n.run()
		look("after another start")
	}
}
