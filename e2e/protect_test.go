//go:build e2e && linux

package e2e_test

import (
	"bytes"
	"os"
	"testing"

	"github.com/mycoswarm/mycoswarm/internal/protect"
)

// The switch that takes protections out is in no program but the lab's.
func TestProtectionsStay(t *testing.T) {
	t.Parallel()
	lab := programs
	if err := lab.Lab(t.Context()); err != nil {
		t.Fatal(err)
	}
	for mycod, want := range map[string]bool{programs.Mycod: false, lab.Mycod: true} {
		b, err := os.ReadFile(mycod)
		if err != nil {
			t.Fatal(err)
		}
		if got := bytes.Contains(b, []byte(protect.Env)); got != want {
			t.Errorf("%s knows %s: %v, want %v", mycod, protect.Env, got, want)
		}
	}
}
