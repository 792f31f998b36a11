//go:build unix

package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// A log file that is deleted, or moved away, is begun anew. On Windows nobody can, for it is open.
func TestLogFileIsMovedAway(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "mycod.log")
	flags := logFlags{LogFile: file, LogSize: 1, LogKeep: 1, LogAge: 1}
	var errs bytes.Buffer
	log, err := flags.open(&errs)
	if err != nil {
		t.Fatal(err)
	}
	defer log.close()
	log.Warn("said")
	if err := os.Rename(file, filepath.Join(dir, "moved")); err != nil {
		t.Fatal(err)
	}
	log.Warn("said")
	log.Warn("said")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	log.Warn("said")
	if err := errors.Join(os.Rename(file, filepath.Join(dir, "replaced")), os.WriteFile(file, nil, 0o600)); err != nil { // as logrotate does
		t.Fatal(err)
	}
	log.Warn("said")
	if moved, now := readLog(t, filepath.Join(dir, "moved"), "said"), readLog(t, file, "said"); moved != 1 || now != 1 || errs.Len() > 0 {
		t.Errorf("%d lines in what was moved, and %d in the new one, want 1 of each; %s", moved, now, &errs)
	}
}
