package main

import (
	"io"
	"os"
	"regexp"
	"runtime"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/term"
	"github.com/muesli/cancelreader"
)

// cursorLimit is how long a terminal may take to tell where its cursor is: longer than any way to it and back.
const cursorLimit = 3 * time.Second

// cursorReport is how it tells.
var cursorReport = regexp.MustCompile(`\x1b\[\d+;\d+R`)

// tellsCursor reports whether the terminal in and out tells where its cursor is, as the editor asks before each line, to
// wait for it without end. Some call themselves xterm and do not, such as those of programs that type for a person. typed
// is what came in meanwhile.
func tellsCursor(in, out *os.File, limit time.Duration) (typed []byte, tells bool) {
	switch {
	case runtime.GOOS == "windows":
		return nil, true // its consoles do
	case !term.IsTerminal(out.Fd()):
		return nil, false
	}
	old, err := term.MakeRaw(in.Fd())
	if err != nil {
		return nil, false
	}
	defer term.Restore(in.Fd(), old) //nolint:errcheck // it was set a moment ago
	r, err := cancelreader.NewReader(in)
	if err != nil {
		return nil, false
	}
	defer r.Close()
	timer := time.AfterFunc(limit, func() { r.Cancel() })
	defer timer.Stop()
	io.WriteString(out, ansi.RequestCursorPositionReport) //nolint:errcheck // it is the terminal
	for buf := make([]byte, 256); ; {
		n, err := r.Read(buf)
		typed = append(typed, buf[:n]...)
		if at := cursorReport.FindIndex(typed); at != nil {
			return append(typed[:at[0]:at[0]], typed[at[1]:]...), true
		}
		if err != nil {
			return typed, false
		}
	}
}
