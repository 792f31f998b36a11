package bus

import (
	"regexp"
	"runtime"
	"strings"
)

var plainWord = regexp.MustCompile(`^[\p{L}\p{N}_@%+=:,./~-]+$`)

// ShellWord is s as this system's shell takes it for one word, in a command that is shown to a person.
func ShellWord(s string) string { return shellWord(s, runtime.GOOS == "windows") }

func shellWord(s string, windows bool) string {
	switch {
	case windows && plainWord.MatchString(strings.ReplaceAll(s, `\`, "/")):
		return s
	case windows: // single quotes mean nothing to cmd.exe
		return `"` + strings.ReplaceAll(s, `"`, `\"`) + `"`
	case plainWord.MatchString(s) && !strings.HasPrefix(s, "~"):
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
