package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Where the file cannot be written once the answer is there, both are told: with --json by one object.
func TestResearchIsNotSaved(t *testing.T) {
	t.Parallel()
	d := setup(t)
	w := glowing()
	folder := filepath.Join(t.TempDir(), "notes")
	w.while = func() { _ = os.Remove(folder) } // it is gone by then
	w.in(d)
	for _, asJSON := range []bool{false, true} {
		must(t, os.MkdirAll(folder, 0o700))
		args := []string{"research", "--save", filepath.Join(folder, "glow.md"), "Which mushrooms glow?"}
		if asJSON {
			args = append(args, "--json")
		}
		o := d.myco(args...).want(t, 1, "the answer is not saved", "name a file in a folder that you may write to")
		if !asJSON {
			if !strings.Contains(o.out, "They glow") || !strings.Contains(o.out, "Sources:") {
				t.Errorf("printed %s", o.out)
			}
			continue
		}
		var v researchView
		must(t, json.Unmarshal([]byte(o.out), &v))
		if strings.Count(o.out, "\n") != 1 || !strings.HasPrefix(v.Answer, "They glow") || v.Error == nil || v.Error.Code != bus.CodeFailed {
			t.Errorf("printed %s", o.out)
		}
	}
}
