//go:build e2e && linux

package e2e_test

import (
	"context"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/e2e/engine"
	"github.com/mycoswarm/mycoswarm/e2e/harness"
)

// A program with a client of the Model Context Protocol that others wrote starts myco mcp on a node without an engine, or
// speaks with that node over HTTP, in either version: another node answers. What the program cancels, its engine leaves.
func TestToolsOfTheSwarm(t *testing.T) {
	t.Parallel()
	s := harness.New(t, programs)
	bin := buildClients(t)
	var ledger engine.Ledger
	script := func(r engine.Request) engine.Script {
		if r.Marker == "endless" {
			return engine.Script{Words: []string{"One ", "two "}, Ending: engine.Hang}
		}
		return engine.Script{Words: []string{"All ", "is ", "well."}}
	}
	a := s.Found(t, "a", "--engine", startEngine(t, s, engine.Config{Name: "a", Ledger: &ledger, Script: script}).URL())
	b := s.Join(t, a, "b")
	harness.Settle(t, a, b)
	awaitModel(t, b, "a", engine.Model, true)
	var phone bus.NewKey
	b.JSON(t, &phone, "key", "create", "--name", "phone")
	owner := []string{"ask", "fetch", "list_models", "list_nodes"}
	user := slices.Concat(owner[:2], []string{"list_libraries"}, owner[2:], []string{"read_document", "search_library"})
	ran := 0
	for _, c := range []struct {
		name, key string
		command   []string
		tools     []string
	}{
		{"over HTTP", "", nil, owner},
		{"with a key", phone.Key, nil, []string{"ask", "list_models"}},
		{"a command", "", []string{programs.Myco, "--data-dir", b.Dir, "mcp"}, user},
	} {
		env := append(os.Environ(), "MCP_KEY="+c.key)
		r := harness.Run(t.Context(), t, t.TempDir(), env, append([]string{bin, b.Info.HTTPURL, engine.Model, "tools"}, c.command...), "")
		lines := 0
		for line := range strings.Lines(r.Stdout) {
			var h heard
			var got struct {
				Server, Endless string
				Tools           []string
				Ask, Missing    struct {
					Texts  []string
					Failed bool
				}
				Cancelled, Grows bool
			}
			if err := json.Unmarshal([]byte(line), &h); err != nil || h.Error != "" {
				t.Errorf("%s: %v in %s", c.name, err, line)
				continue
			}
			if err := json.Unmarshal(h.Got, &got); err != nil {
				t.Errorf("%s: %v in %s", c.name, err, line)
			}
			lines++
			ran++
			if d := cmp.Diff(c.tools, got.Tools); d != "" || got.Server != "mycoswarm" {
				t.Errorf("%s, %s: the tools of %s differ:\n%s", c.name, h.Call, got.Server, d)
			}
			if got.Ask.Failed || len(got.Ask.Texts) != 2 || got.Ask.Texts[0] != "All is well." || got.Ask.Texts[1] != "[Answered by the model "+engine.Model+" on a]" {
				t.Errorf("%s, %s: ask says %q", c.name, h.Call, got.Ask.Texts)
			}
			if !got.Missing.Failed || !strings.Contains(strings.Join(got.Missing.Texts, ""), "missing") || !strings.Contains(strings.Join(got.Missing.Texts, ""), "What may help: ") {
				t.Errorf("%s, %s: of a model that is missing it says %q", c.name, h.Call, got.Missing.Texts)
			}
			if got.Endless == "" || !got.Cancelled || !got.Grows {
				t.Errorf("%s, %s: of what never ends it tells %q; cancelled: %v; it grows: %v", c.name, h.Call, got.Endless, got.Cancelled, got.Grows)
			}
		}
		if r.Code != 0 || lines != 2 {
			t.Fatalf("%s: %d versions in %s", c.name, lines, r)
		}
		ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
		defer cancel()
		runs, err := ledger.Wait(ctx, func(runs []engine.Run) bool {
			return engine.Count(runs, func(r engine.Run) bool { return r.Marker == "endless" && r.Outcome == engine.Left }) == ran
		})
		if err != nil {
			t.Fatalf("%s: %v: what was cancelled is %+v", c.name, err, runs)
		}
	}
}
