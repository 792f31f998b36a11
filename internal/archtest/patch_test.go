package archtest_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"
)

// What end-to-end tests replace in a program's source stands there once, so that a change of that line is noticed before
// those tests run.
func TestPatchesFindTheirLine(t *testing.T) {
	t.Parallel()
	found := 0
	for _, path := range tracked(t) {
		if !strings.HasPrefix(path, "e2e/") || !strings.HasSuffix(path, "_test.go") {
			continue
		}
		src := read(t, path)
		if src == nil {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, src, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			lit, ok := n.(*ast.CompositeLit)
			if !ok {
				return true
			}
			if of, ok := lit.Type.(*ast.SelectorExpr); !ok || of.Sel.Name != "Patch" {
				return true
			}
			found++
			said := texts(lit)
			if n := strings.Count(string(read(t, said["File"])), said["Old"]); n != 1 {
				t.Errorf("%s patches %q, which is in %s %d times, want once", path, said["Old"], said["File"], n)
			}
			return true
		})
	}
	if found == 0 {
		t.Error("found no patches")
	}
}

// texts are the fields of a literal that are string literals.
func texts(lit *ast.CompositeLit) map[string]string {
	out := map[string]string{}
	for _, e := range lit.Elts {
		kv, ok := e.(*ast.KeyValueExpr)
		if !ok {
			continue
		}
		key, isName := kv.Key.(*ast.Ident)
		if value, ok := kv.Value.(*ast.BasicLit); ok && isName {
			if s, err := strconv.Unquote(value.Value); err == nil {
				out[key.Name] = s
			}
		}
	}
	return out
}
