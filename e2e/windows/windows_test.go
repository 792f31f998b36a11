//go:build e2e && windows

package windows_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	question = "What is the capital of Italy?"
	answer   = "The capital of Italy is Rome."
)

// says fails unless r's output has all of the texts.
func (r result) says(t *testing.T, texts ...string) {
	t.Helper()
	for _, s := range texts {
		if !strings.Contains(r.out+r.err, s) {
			t.Errorf("%s\nwant that it says %q", r, s)
		}
	}
}

// swarm starts a node that founds a swarm and has no engine, and one that joins it and has the demo model; each has a
// data directory with a blank and letters of other code pages in its name.
func swarm(t *testing.T, j job) (asker, worker *node) {
	t.Helper()
	root := filepath.Join(t.TempDir(), "Zoë's Wolke 東京")
	check(t, os.Mkdir(root, 0o700))
	asker = newNode(t, j, root, "asker", "--no-demo-engine")
	asker.start()
	worker = newNode(t, j, root, "worker")
	worker.start()
	worker.does("join", asker.token()).says(t, "joined the swarm asker-swarm")
	both(t, asker, worker)
	return asker, worker
}

// token lets a node in.
func (n *node) token() string {
	n.t.Helper()
	token, _, _ := strings.Cut(n.does("invite", "--quiet").out, "\n")
	return strings.TrimSpace(token)
}

// both waits until the nodes see one another.
func both(t *testing.T, all ...*node) {
	t.Helper()
	for _, n := range all {
		eventually(t, n.name+" sees all", func() string {
			r := n.does("swarm", "--json")
			if strings.Count(r.out, `"state":"ready"`) == len(all) {
				return ""
			}
			return r.String()
		})
	}
}

// gone checks that nothing is left of the processes of a test.
func (j job) gone(t *testing.T) {
	t.Helper()
	eventually(t, "all processes have ended", func() string {
		if j.count(t) > 0 {
			return "some run"
		}
		return ""
	})
}

// TestSwarm has nodes found a swarm, join it by command and by flag, answer for one another, and stop.
func TestSwarm(t *testing.T) {
	t.Parallel()
	j := newJob(t)
	asker, worker := swarm(t, j)
	third := newNode(t, j, filepath.Dir(asker.dir), "third", "--no-demo-engine")
	third.start("--join", asker.token())
	both(t, asker, worker, third)

	for _, n := range []*node{asker, worker, third} {
		if r := n.does("ask", "--quiet", question); strings.TrimSpace(r.out) != answer {
			t.Errorf("%s\nwant %q", r, answer)
		}
	}
	asker.does("models").says(t, "tinylm")
	asker.does("detect").says(t, "disk", "tier")
	asker.does("nodes").says(t, "asker (here)", "worker", "third")
	r := asker.does("doctor")
	r.says(t, "ok    daemon", "ok    route           2 routes", "ok    data directory  "+asker.dir)
	worker.does("chat", "--help").says(t, "chat")

	// A second daemon is kept from the data of the first.
	second := program(t, "mycod", "--data-dir", asker.dir, "--no-mdns")
	if second.code != 1 {
		t.Errorf("%s\nwant 1", second)
	}
	second.says(t, "already in use by process")

	third.does("leave", "--yes").says(t, "left")
	both(t, asker, worker)
	for _, n := range []*node{third, worker, asker} {
		n.stop()
		if r := n.myco("swarm"); r.code != 4 || !strings.Contains(r.err, `mycod --data-dir "`+n.dir+`"`) {
			t.Errorf("%s\nwant 4, and how to start it", r)
		}
	}
	j.gone(t)
}

// TestDurable kills everything while accepted work waits, twice, and starts it anew.
func TestDurable(t *testing.T) {
	t.Parallel()
	j := newJob(t)
	asker, worker := swarm(t, j)
	addr := fabric(t, asker)
	asker.does("drain", "worker")
	id := strings.TrimSpace(asker.does("ask", "--detach", question).out)
	worker.kill()
	asker.kill()

	asker.start("--fabric-listen", addr) // where the other finds it
	asker.does("task", "ls").says(t, id, "queued")
	asker.kill()
	asker.start("--fabric-listen", addr)
	worker.start("--peer", addr)
	both(t, asker, worker)
	asker.does("drain", "worker", "--off")
	if r := asker.does("task", "attach", "--quiet", id); strings.TrimSpace(r.out) != answer {
		t.Errorf("%s\nwant %q", r, answer)
	}
	asker.does("task", "show", id).says(t, "done")
	asker.stop()
	worker.stop()
	j.gone(t)
}

// fabric is where other nodes reach n, which goes on to be there when it is started anew.
func fabric(t *testing.T, n *node) string {
	t.Helper()
	var info struct {
		Addr string `json:"fabric_addr"`
	}
	b, err := os.ReadFile(filepath.Join(n.dir, "daemon.json"))
	check(t, err)
	check(t, json.Unmarshal(b, &info))
	return info.Addr
}

// TestDemo runs the three nodes of mycod demo, of which one is killed.
func TestDemo(t *testing.T) {
	t.Parallel()
	r := program(t, "mycod", "demo")
	if r.code != 0 {
		t.Errorf("%s\nwant 0", r)
	}
	r.says(t, "The capital of France is Paris.", "100 of 100 questions are answered: 0 lost, 0 run twice, 0 wrong",
		"cleaned up: no process and no file is left")
}
