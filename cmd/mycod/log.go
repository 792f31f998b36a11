package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/DeRuina/timberjack"
	"github.com/charmbracelet/x/term"
	"github.com/coreos/go-systemd/v22/journal"
	"github.com/lmittmann/tint"

	"github.com/mycoswarm/mycoswarm/bus"
)

// logFlags tell what is logged, and where.
type logFlags struct {
	Verbose  bool   `short:"v" help:"Log details: --log-level debug."`
	LogLevel string `placeholder:"LEVEL" help:"What is logged: debug, info, warn or error. Default: info."`
	LogFile  string `placeholder:"FILE" help:"Log there, as JSON, instead of to standard error. Under systemd the journal has the log, and no file."`
	LogSize  int    `placeholder:"MIB" default:"10" help:"A log file of this size is put aside, compressed, and a new one begun. Default: 10."`
	LogKeep  int    `placeholder:"N" default:"5" help:"Log files that are put aside are kept: this many. Default: 5."`
	LogAge   int    `placeholder:"DAYS" default:"30" help:"And for this long. Default: 30."`
}

// Bounds of the flags: a file of the largest size is still one that an editor opens.
const (
	mostLogSize = 1024
	mostLogKeep = 1000
	mostLogAge  = 3650
)

// validate reports the first thing wrong.
func (l *logFlags) validate() error {
	for _, f := range []struct {
		flag        string
		value, most int
	}{
		{"--log-size", l.LogSize, mostLogSize},
		{"--log-keep", l.LogKeep, mostLogKeep},
		{"--log-age", l.LogAge, mostLogAge},
	} {
		if f.value < 1 || f.value > f.most {
			return bus.Errorf(bus.CodeInvalid, "%s %d: want 1 to %d", f.flag, f.value, f.most).WithHint("mycod --help")
		}
	}
	if _, err := l.level(); err != nil {
		return bus.Errorf(bus.CodeInvalid, "--log-level %q: want debug, info, warn or error", l.LogLevel).WithHint("mycod --log-level info")
	}
	return nil
}

func (l *logFlags) level() (level slog.Level, err error) {
	switch l.LogLevel {
	case "":
	case "debug", "info", "warn", "error":
		err = level.UnmarshalText([]byte(l.LogLevel))
	default:
		err = errors.New("no such level")
	}
	if l.Verbose {
		level = slog.LevelDebug
	}
	return level, err
}

// logTo is a log that is open.
type logTo struct {
	*slog.Logger
	place string // where a person reads it; empty for standard error
	close func()
}

// takeLibraries has libraries that know only the standard log write here, as details: zeroconf tells each time that it
// announces a node that there is no IPv6.
func (l logTo) takeLibraries() {
	slog.SetLogLoggerLevel(slog.LevelDebug)
	slog.SetDefault(l.Logger)
}

// open opens the log that the flags ask for; w is standard error.
func (l *logFlags) open(w io.Writer) (logTo, error) {
	if err := l.validate(); err != nil {
		return logTo{}, err
	}
	level, err := l.level()
	if err != nil {
		return logTo{}, err
	}
	f, isFile := w.(*os.File)
	switch {
	case isFile && isJournal(f):
		log := slog.New(newJournal(w, level))
		if l.LogFile != "" {
			log.Info("no log file is written: the journal has the log", "file", l.LogFile)
		}
		groups, err := os.ReadFile("/proc/self/cgroup")
		if err != nil {
			log.Warn("find the name of this service", "err", err)
		}
		return logTo{Logger: log, place: journalPlace(string(groups)), close: func() {}}, nil
	case l.LogFile != "":
		return l.openFile(w, level)
	case isFile && term.IsTerminal(f.Fd()):
		h := tint.NewTextHandler(w, &tint.Options{Level: level, TimeFormat: time.TimeOnly, NoColor: os.Getenv("NO_COLOR") != "" || !colors(f)})
		return logTo{Logger: slog.New(h), close: func() {}}, nil
	}
	return logTo{Logger: slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level})), close: func() {}}, nil
}

// openFile logs to a file. One that cannot be written at the start is an error: it is a wrong path.
func (l *logFlags) openFile(w io.Writer, level slog.Level) (logTo, error) {
	path, err := filepath.Abs(l.LogFile)
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() { // to open a pipe waits for who reads, and a device would be renamed
		return logTo{}, bus.Errorf(bus.CodeInvalid, "log to %s: it is no file", l.LogFile).
			WithHint("mycod --log-file FILE; or leave it out: the log then goes to standard error, which a shell sends anywhere")
	}
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o700)
	}
	var try *os.File
	if err == nil {
		try, err = os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	}
	if err != nil {
		return logTo{}, bus.Errorf(bus.CodeForbidden, "log to %s: %w", l.LogFile, err).WithHint("mycod --log-file FILE, in a folder that this user may write to")
	}
	try.Close()
	file := &timberjack.Logger{
		Filename: path, MaxSize: l.LogSize, MaxBackups: l.LogKeep, MaxAge: l.LogAge,
		Compression: "gzip", LocalTime: true, FileMode: 0o600,
	}
	lossy := &lossy{to: file, anew: file.Rotate, tell: w, path: path}
	return logTo{
		Logger: slog.New(slog.NewJSONHandler(lossy, &slog.HandlerOptions{Level: level})), place: path,
		close: func() { lossy.close(file) },
	}, nil
}

// lossy writes a log for as long as its disk takes it. What it does not take is counted, told once on
// standard error, and once in the log when that goes on: a daemon does not stop for its log.
type lossy struct {
	path string
	anew func() error // makes the file at path again; nil where it is none
	tell io.Writer

	mu   sync.Mutex
	to   io.Writer
	at   os.FileInfo // of the file that was written last
	lost int
	torn bool // the last write left a part of a line
}

// Write implements io.Writer; it never fails.
func (l *lossy) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost > 0 {
		var b bytes.Buffer
		if l.torn {
			b.WriteByte('\n')
		}
		slog.New(slog.NewJSONHandler(&b, nil)).Warn("the log could not be written", "lines_lost", l.lost)
		if err := l.put(b.Bytes()); err != nil {
			l.lost++
			return len(p), nil // it was told when it began
		}
		l.lost = 0
	}
	if err := l.put(p); err != nil {
		l.lost++
		fmt.Fprintf(l.tell, "mycod: the log cannot be written, and mycod goes on without it: %v\n", err)
	}
	return len(p), nil
}

func (l *lossy) put(p []byte) error {
	if l.anew != nil {
		// Someone has deleted it, or put another in its place: nobody would read what is written there.
		now, err := os.Lstat(l.path)
		if errors.Is(err, fs.ErrNotExist) || err == nil && l.at != nil && !os.SameFile(now, l.at) {
			if err := l.anew(); err != nil {
				return err
			}
		}
	}
	n, err := l.to.Write(p)
	if l.anew != nil {
		l.at, _ = os.Lstat(l.path) // it may have been put aside; nil where it is gone again
	}
	l.torn = err != nil && (n > 0 || l.torn)
	return err
}

func (l *lossy) close(file io.Closer) {
	if err := file.Close(); err != nil {
		fmt.Fprintf(l.tell, "mycod: close the log %s: %v\n", l.path, err)
	}
}

// isJournal reports whether f leads to systemd's journal, which stamps each line itself.
func isJournal(f *os.File) bool {
	is, err := journal.StderrIsJournalStream()
	return err == nil && is && f == os.Stderr
}

// underSystemd reports whether this process is a service, whose output the journal keeps.
func underSystemd() bool {
	is, err := journal.StdoutIsJournalStream()
	return err == nil && is || os.Getenv("NOTIFY_SOCKET") != ""
}

// journalPlace is the command that shows the log of the service whose control groups are these, as in
// /proc/self/cgroup: that of a user's manager is below user@UID.service.
func journalPlace(groups string) string {
	for line := range strings.Lines(groups) {
		user := ""
		for part := range strings.SplitSeq(strings.TrimSpace(line), "/") {
			switch {
			case strings.HasPrefix(part, "user@") && strings.HasSuffix(part, ".service"):
				user = "--user "
			case strings.HasSuffix(part, ".service"):
				return "journalctl " + user + "-u " + strings.TrimSuffix(part, ".service")
			}
		}
	}
	return "journalctl -t mycod"
}

// journalHandler writes lines for the journal: without the time, and with the level before each as
// systemd reads it ("<4>"), so that journalctl -p warning finds them. See sd-daemon(3).
type journalHandler struct {
	debug, info, warn, err slog.Handler
	level                  slog.Level
}

func newJournal(w io.Writer, level slog.Level) slog.Handler {
	var mu sync.Mutex
	at := func(prefix string) slog.Handler {
		return slog.NewTextHandler(&prefixed{mu: &mu, prefix: prefix, w: w}, &slog.HandlerOptions{
			Level: level, ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
				if len(groups) == 0 && a.Key == slog.TimeKey {
					return slog.Attr{}
				}
				return a
			},
		})
	}
	return journalHandler{at("<7>"), at("<6>"), at("<4>"), at("<3>"), level}
}

func (h journalHandler) of(l slog.Level) slog.Handler {
	switch {
	case l >= slog.LevelError:
		return h.err
	case l >= slog.LevelWarn:
		return h.warn
	case l >= slog.LevelInfo:
		return h.info
	}
	return h.debug
}

// Enabled implements slog.Handler.
func (h journalHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level }

// Handle implements slog.Handler.
func (h journalHandler) Handle(ctx context.Context, r slog.Record) error {
	return h.of(r.Level).Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h journalHandler) WithAttrs(a []slog.Attr) slog.Handler {
	return journalHandler{h.debug.WithAttrs(a), h.info.WithAttrs(a), h.warn.WithAttrs(a), h.err.WithAttrs(a), h.level}
}

// WithGroup implements slog.Handler.
func (h journalHandler) WithGroup(g string) slog.Handler {
	return journalHandler{h.debug.WithGroup(g), h.info.WithGroup(g), h.warn.WithGroup(g), h.err.WithGroup(g), h.level}
}

// prefixed puts a prefix before each line, in the same write.
type prefixed struct {
	mu     *sync.Mutex
	prefix string
	w      io.Writer
}

// Write implements io.Writer.
func (p *prefixed) Write(line []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := p.w.Write(append([]byte(p.prefix), line...)); err != nil {
		return 0, err
	}
	return len(line), nil
}
