package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"log"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// A log file is put aside when it is large, those put aside are compressed and few, and no line is lost
// while they are not too many.
func TestLogFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "logs", "mycod.log")
	flags := logFlags{LogFile: file, LogSize: 1, LogKeep: 2, LogAge: 1, LogLevel: "warn"}
	var errs bytes.Buffer
	log, err := flags.open(&errs)
	if err != nil {
		t.Fatal(err)
	}
	if log.place != file {
		t.Errorf("the log is said to be %s", log.place)
	}
	text := strings.Repeat("x", 1000)
	const lines = 2500 // of three files
	for i := range lines {
		log.Info("not of this level")
		log.Warn(text, "n", i)
	}
	log.close()
	found, err := os.ReadDir(filepath.Dir(file))
	if err != nil || len(found) != 3 || errs.Len() > 0 {
		t.Fatalf("files %v, error %v, %s; want one, and two that were put aside", found, err, &errs)
	}
	total := 0
	for _, e := range found {
		path := filepath.Join(filepath.Dir(file), e.Name())
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 && runtime.GOOS != "windows" {
			t.Errorf("%s: mode %v, error %v", path, info.Mode(), err)
		}
		if (path != file) != strings.HasSuffix(path, ".log.gz") {
			t.Errorf("%s: want what was put aside compressed, and nothing else", path)
		}
		total += readLog(t, path, text)
	}
	if total != lines {
		t.Errorf("%d lines of %d", total, lines)
	}
}

// readLog counts the lines of a log, each of which must be an object with this message.
func readLog(t *testing.T, path, msg string) (n int) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(path, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			t.Fatal(err)
		}
	}
	for s := bufio.NewScanner(r); s.Scan(); n++ {
		var line struct{ Time, Level, Msg string }
		if err := json.Unmarshal(s.Bytes(), &line); err != nil || line.Time == "" || line.Level != "WARN" || line.Msg != msg {
			t.Fatalf("%s: %v: %s", path, err, s.Text())
		}
	}
	return n
}

// fickle takes what is written while it has room, and only the first half of what it has no room for.
type fickle struct {
	bytes.Buffer
	full bool
}

func (f *fickle) Write(p []byte) (int, error) {
	if f.full {
		n, _ := f.Buffer.Write(p[:len(p)/2])
		return n, syscall.ENOSPC
	}
	return f.Buffer.Write(p)
}

// What a library writes to the standard log is in the log file, if details are, and nowhere else. Not parallel: there is
// one standard log.
func TestLogOfLibraries(t *testing.T) {
	before, out := slog.Default(), log.Writer()
	t.Cleanup(func() {
		slog.SetDefault(before)
		log.SetOutput(out)
		slog.SetLogLoggerLevel(slog.LevelInfo)
	})
	for level, want := range map[string]bool{"debug": true, "info": false} {
		file := filepath.Join(t.TempDir(), "mycod.log")
		var errs bytes.Buffer
		log.SetOutput(&errs)
		to, err := (&logFlags{LogFile: file, LogSize: 1, LogKeep: 1, LogAge: 1, LogLevel: level}).open(&errs)
		if err != nil {
			t.Fatal(err)
		}
		to.takeLibraries()
		log.Print("[zeroconf] no suitable IPv6 interface")
		to.close()
		text, err := os.ReadFile(file)
		if got := strings.Contains(string(text), `"level":"DEBUG","msg":"[zeroconf] no suitable IPv6 interface"`); got != want || err != nil || errs.Len() > 0 {
			t.Errorf("with level %s the log is %q (%v), and standard error %q", level, text, err, &errs)
		}
	}
}

// A disk without room stops neither who logs nor, for good, the log; that lines are missing is told.
func TestLogOnFullDisk(t *testing.T) {
	t.Parallel()
	var disk fickle
	var errs bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&lossy{to: &disk, tell: &errs}, nil))
	log.Info("before")
	disk.full = true
	for range 7 {
		log.Info("lost")
	}
	disk.full = false
	log.Info("after")
	if n := strings.Count(errs.String(), "\n"); n != 1 || !strings.Contains(errs.String(), "no space left") {
		t.Errorf("standard error has %q, want it told once", &errs)
	}
	var whole []string
	for line := range strings.Lines(disk.String()) {
		var l struct {
			Msg  string
			Lost int `json:"lines_lost"`
		}
		if json.Unmarshal([]byte(line), &l) == nil {
			whole = append(whole, l.Msg)
			if l.Msg == "the log could not be written" && l.Lost != 7 {
				t.Errorf("%d lines were lost, it says", l.Lost)
			}
		}
	}
	if got := strings.Join(whole, ", "); got != "before, the log could not be written, after" {
		t.Errorf("the log has %s\n%s", got, &disk)
	}
}

func TestJournal(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	log := slog.New(newJournal(&b, slog.LevelInfo)).With("at", "here").WithGroup("g")
	log.Debug("too little")
	log.Info("one", "time", "is kept")
	log.Warn("two\nlines")
	log.Error("three")
	want := "<6>level=INFO msg=one at=here g.time=\"is kept\"\n" +
		"<4>level=WARN msg=\"two\\nlines\" at=here\n" +
		"<3>level=ERROR msg=three at=here\n"
	if b.String() != want {
		t.Errorf("%s\nwant\n%s", &b, want)
	}
}

func TestJournalPlace(t *testing.T) {
	t.Parallel()
	for groups, want := range map[string]string{
		"0::/system.slice/mycod.service\n": "journalctl -u mycod",
		"4:memory:/x\n0::/user.slice/user-1000.slice/user@1000.service/app.slice/mycod.service\n":   "journalctl --user -u mycod",
		"0::/user.slice/user-1000.slice/user@1000.service/app.slice/app-term.slice/run-3.service\n": "journalctl --user -u run-3",
		"0::/user.slice/user-1000.slice/session-1.scope\n":                                          "journalctl -t mycod",
	} {
		if got := journalPlace(groups); got != want {
			t.Errorf("%s: %s, want %s", groups, got, want)
		}
	}
}
