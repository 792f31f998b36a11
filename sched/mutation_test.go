package sched_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/mycoswarm/mycoswarm/sched"
	"github.com/mycoswarm/mycoswarm/sched/internal/sim"
)

// mutationSeeds is how many seeds each row of the table is played with. Without its protection
// it may go wrong with the first or the last of them.
const mutationSeeds = 3

// TestProtections plays a scenario for each protection, and for each rule of the stores: with
// it the invariants hold, and without it they do not.
func TestProtections(t *testing.T) {
	t.Parallel()
	for _, name := range slices.Concat(constants(t, "protect.go", "Protection"), constants(t, "internal/sim/net.go", "Rule")) {
		sc, ok := mutations[name]
		if !ok {
			t.Errorf("no scenario shows what %q is good for", name)
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var without []string
			for seed := range uint64(mutationSeeds) {
				c := sc.setup
				c.seed = seed + 1
				for _, b := range simulate(t, c, sc.play) {
					t.Errorf("seed %d, with all protections: %s", c.seed, b)
				}
				if len(without) > 0 {
					continue
				}
				c.without = append(slices.Clone(sc.setup.without), sched.Protection(name))
				c.net.Without = map[sim.Rule]bool{sim.Rule(name): true}
				without = append(without, simulate(t, c, sc.play)...)
			}
			if len(without) == 0 {
				t.Errorf("nothing goes wrong without %q", name)
			} else {
				t.Logf("without it, among others: %s", without[0])
			}
		})
	}
	for name := range maps.Keys(mutations) {
		if !slices.Contains(constants(t, "protect.go", "Protection"), name) && !slices.Contains(constants(t, "internal/sim/net.go", "Rule"), name) {
			t.Errorf("there is no protection %q", name)
		}
	}
}

// constants reads the string constants of a type from a source file.
func constants(t *testing.T, file, typ string) (out []string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		s, ok := n.(*ast.ValueSpec)
		if !ok || len(s.Values) != 1 {
			return true
		}
		of, ok := s.Type.(*ast.Ident)
		lit, isLit := s.Values[0].(*ast.BasicLit)
		if ok && isLit && of.Name == typ {
			v, err := strconv.Unquote(lit.Value)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, v)
		}
		return true
	})
	if len(out) == 0 {
		t.Fatalf("no constants of type %s in %s", typ, file)
	}
	return out
}

// hasty is c without what a start waits for, and without the question of a worker.
func hasty(c setup) setup {
	c.without = []sched.Protection{sched.ProtectExpect, sched.ProtectAskRerun}
	return c
}

// unasked is c without the question that a process asks which was stopped.
func unasked(c setup) setup {
	c.without = []sched.Protection{sched.ProtectAskAwake}
	return c
}

// lateCommit has a run that was stopped end after another one of the same task.
func lateCommit(s *swarm) {
	s.elected()
	w := s.running(s.submit(theHost, script{MS: 400}))
	time.Sleep(100 * time.Millisecond)
	s.nodes[w].m.Freeze()
	time.Sleep(6 * time.Second)
	s.nodes[w].m.Continue()
	time.Sleep(2 * time.Second)
}
