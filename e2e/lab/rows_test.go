package lab_test

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mycoswarm/mycoswarm/e2e/lab"
)

// What one run has reached is there for the next, which replaces what it reaches itself.
func TestReachedGoesOn(t *testing.T) {
	t.Setenv(lab.EnvRows, filepath.Join(t.TempDir(), "rows"))
	note := func(r *lab.Reached, version string, count int) {
		if err := r.Row(version, "flood", count, "a | figure"); err != nil {
			t.Fatal(err)
		}
		if err := r.Without(version, "a flood", "600 were taken"); err != nil {
			t.Fatal(err)
		}
	}
	var first, second, third lab.Reached
	if err := first.Load(); err != nil {
		t.Fatal(err)
	}
	note(&first, "v1", 1)
	if err := second.Load(); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(first, second); d != "" {
		t.Error(d)
	}
	note(&second, "v2", 2)
	if err := third.Load(); err != nil {
		t.Fatal(err)
	}
	want := lab.Reached{
		Rows:     map[string]lab.Fault{"flood": {Count: 2, Figure: "a | figure"}},
		Harm:     map[string]string{"a flood": "600 were taken"},
		Versions: []string{"v1", "v2"},
	}
	if d := cmp.Diff(want, third); d != "" {
		t.Error(d)
	}
}
