package daemon_test

import (
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/internal/identity"
)

// copies lists the streams in the store of a node that keep copies of others' tasks.
func copies(t *testing.T, n *node) (out []string) {
	t.Helper()
	check(t, filepath.WalkDir(filepath.Join(n.cfg.DataDir, "store"), func(path string, d fs.DirEntry, err error) error {
		if d != nil && strings.HasPrefix(d.Name(), "CUSTODY_") {
			out = append(out, path)
		}
		if !strings.Contains(path, "CUSTODY_") {
			return err
		}
		return nil // what is below comes and goes
	}))
	return out
}

// A node that is killed when it has left its swarm, or was put out of it, deletes the copies of others' tasks at its next
// start: they say what others asked.
func TestCopiesGoAtTheNextStart(t *testing.T) {
	t.Parallel()
	ofNode := func(n *node) *identity.Store {
		s, err := identity.Open(n.cfg.DataDir, identity.Options{Logger: slog.New(slog.DiscardHandler)})
		check(t, err)
		return s
	}
	for what, change := range map[string]func(t *testing.T, a, b *node){
		"after it has left": func(t *testing.T, _, b *node) {
			check(t, ofNode(b).Leave())
		},
		"after it has left, and in another swarm": func(t *testing.T, _, b *node) {
			check(t, ofNode(b).Leave())
			joining(start(t, "c"))(&b.cfg)
		},
		"after it was put out": func(t *testing.T, a, b *node) {
			_, err := a.conn.Revoke(a.ctx(), b.id())
			check(t, err)
			check(t, a.stop())
			_, err = ofNode(b).Import(ofNode(a).Export())
			check(t, err)
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			a := start(t, "a")
			b := start(t, "b", joining(a))
			settle(t, a, b)
			task := inference(t)
			task.Model = "tinylm:latest" // which nobody has
			r, err := a.conn.Enqueue(a.ctx(), task)
			check(t, err)
			if !r.Accepted || len(copies(t, b)) != 1 {
				t.Fatalf("receipt %+v, and %v; want a copy at b", r, copies(t, b))
			}
			b.cfg.Join = ""
			check(t, b.stop())
			change(t, a, b)
			b.run()
			if left := copies(t, b); len(left) > 0 {
				t.Errorf("b keeps %v", left)
			}
			_, err = b.conn.Task(b.ctx(), r.ID)
			refusal(t, "the task, at b", err, bus.CodeNotFound)
		})
	}
}
