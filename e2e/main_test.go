//go:build e2e && linux

package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/e2e/figures"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// programs are built once per run.
var programs harness.Binaries

// scratch is a folder of this run, which goes with it.
var scratch string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "mycoswarm-e2e-")
	scratch = dir
	if err == nil {
		programs, err = harness.Build(context.Background(), dir)
	}
	if err == nil {
		err = reached.Load()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.RemoveAll(dir)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if code == 0 {
			if err := writeCatalogue(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				code = 1
			}
		}
		os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// answer is the object that `myco ask --json` ends with.
type answer struct {
	TaskID     bus.TaskID `json:"task_id"`
	Text       string     `json:"text"`
	Model      string     `json:"model"`
	NodeID     bus.NodeID `json:"node_id"`
	NodeName   string     `json:"node_name"`
	Attempts   int        `json:"attempts"`
	TTFTMS     float64    `json:"ttft_ms"`
	DurationMS float64    `json:"duration_ms"`
	Demo       bool       `json:"demo"`
}

// lastObject decodes the last line of a command's output, which may be NDJSON.
func lastObject(t *testing.T, r harness.Result, v any) {
	t.Helper()
	if err := decodeLast(r.Stdout, v); err != nil {
		t.Fatalf("decode the last object: %v\n%s", err, r)
	}
}

func decodeLast(out string, v any) error {
	d := json.NewDecoder(strings.NewReader(out))
	var last json.RawMessage
	for d.More() {
		if err := d.Decode(&last); err != nil {
			return err
		}
	}
	return json.Unmarshal(last, v)
}

// ask runs `myco ask --json` and wants an answer.
func ask(t *testing.T, n *harness.Node, args ...string) answer {
	t.Helper()
	r := n.Myco(t, append([]string{"ask", "--json"}, args...)...)
	if r.Code != 0 {
		t.Fatalf("%s", r)
	}
	var a answer
	lastObject(t, r, &a)
	return a
}

// startEngine starts a scripted engine that every node of s reaches, until the test ends.
func startEngine(t *testing.T, s *harness.Swarm, cfg engine.Config) *engine.Engine {
	t.Helper()
	e, err := engine.Start(t.Context(), s.EngineAddr(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Stop(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// record checks and writes a page of figures.
func record(t *testing.T, n *harness.Node, file, title, text string, rows ...figures.Row) {
	t.Helper()
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	figures.Record(t, filepath.Join(root, "docs", "figures"), figures.Page{
		File: file, Title: title, Text: text, Rows: rows, Version: n.Info.Version, When: time.Now(),
	})
}

// hasModel reports whether the view shows model at the node of that name.
func hasModel(v harness.View, node, model string) bool {
	for _, m := range v.Node(node).Models {
		if bus.SameModel(m.Name, model) {
			return true
		}
	}
	return false
}

// awaitModel waits until n sees that the node called name has model, or has it no more.
func awaitModel(t *testing.T, n *harness.Node, node, model string, want bool) {
	t.Helper()
	harness.Poll(t, harness.Patience, fmt.Sprintf("%s sees model %s at %s: %v", n.Name, model, node, want), func() string {
		v := n.View(t)
		if hasModel(v, node, model) == want {
			return ""
		}
		j, err := json.Marshal(v.Node(node))
		return fmt.Sprintf("%s %v", j, err)
	})
}

// awaitTypes waits until n knows that a node does tasks of some types.
func awaitTypes(t *testing.T, n *harness.Node, id bus.NodeID, types ...string) {
	t.Helper()
	conn := n.Dial(t)
	harness.Poll(t, harness.Patience, fmt.Sprintf("%s knows that %s does %v", n.Name, id, types), func() string {
		status, err := conn.Status(t.Context())
		for _, other := range status.Nodes {
			if other.ID == id && !slices.ContainsFunc(types, func(typ string) bool { return !slices.Contains(other.Types, typ) }) {
				return ""
			}
		}
		return fmt.Sprint(status.Nodes, err)
	})
}
