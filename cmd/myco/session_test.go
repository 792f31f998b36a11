package main

import (
	"path/filepath"
	"testing"
)

// What lasts is in one folder, whichever folder myco is called in.
func TestStateDir(t *testing.T) {
	home, state := t.TempDir(), t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("USERPROFILE", home) // on Windows
	usual := filepath.Join(home, ".local", "state", "mycoswarm")
	for says, want := range map[string]string{"": usual, "folder": usual, state: filepath.Join(state, "mycoswarm")} {
		if got := stateDir([]string{"XDG_STATE_HOME=" + says}); got != want {
			t.Errorf("with XDG_STATE_HOME=%s: %q, want %q", says, got, want)
		}
	}
}
