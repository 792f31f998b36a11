package confine_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mycoswarm/mycoswarm/handlers/confine"
)

// Whoever wrote a script is told of what runs it, and of an end of its line that nobody sees.
func TestUnstarted(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		err  error
		want string
	}{
		"misspelt":    {"#!/usr/bin/pythn3\nprint(1)\n", syscall.ENOENT, `run by "/usr/bin/pythn3"`},
		"of Windows":  {"#! /bin/sh\r\necho\r\n", syscall.ENOENT, `run by "/bin/sh\r"`},
		"hidden":      {"#!/home/me/venv/bin/python", syscall.EACCES, `run by "/home/me/venv/bin/python"`},
		"no script":   {"print(1)\n", syscall.ENOEXEC, "#!/bin/sh"},
		"other error": {"print(1)\n", syscall.ENOMEM, syscall.ENOMEM.Error()},
	} {
		program := filepath.Join(t.TempDir(), "program")
		if err := os.WriteFile(program, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		got := confine.Unstarted(program, c.err).Error()
		if !strings.HasPrefix(got, c.err.Error()) || !strings.HasSuffix(got, c.want) {
			t.Errorf("%s: %q, want %q and %q", name, got, c.err, c.want)
		}
	}
	if err := confine.Unstarted(filepath.Join(t.TempDir(), "none"), syscall.ENOENT); err != syscall.ENOENT { //nolint:errorlint // it is the same
		t.Errorf("of a program that is not there: %v, want %v", err, syscall.ENOENT)
	}
}
