package main

import (
	"regexp"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/mycoswarm/mycoswarm/bus"
)

// nextCommands finds the commands in hints that ask the daemon of this machine, and with them the rest of
// their clause, which tells where a command is to be run.
func nextCommands(model *kong.Application) *regexp.Regexp {
	var names []string
	for _, n := range model.Children {
		switch n.Name {
		case "completion", "detect", "service", "version": // they are about no daemon, or about another
		default:
			names = append(names, regexp.QuoteMeta(n.Name))
		}
	}
	return regexp.MustCompile("((?:^|[ \n`(])myco)( (?:" + strings.Join(names, "|") + `)\b)([^,;:\n]*)`)
}

// elsewhere is what is said of a command that is for another machine, whose data directory is its own.
var elsewhere = regexp.MustCompile("^[^.]* there\\b|^[^.]*?(?:^|[ `])on (?:a|an|any|another|both|that) ")

// next is a hint whose commands reach the daemon that the user has named with --data-dir.
func (a *app) next(hint string) string {
	if a.dataDir == "" || a.commands == nil {
		return hint
	}
	if rest, lost := strings.CutPrefix(hint, "mycod"); lost && (rest == "" || rest[0] == ',') { // the connection was lost
		hint = "mycod --data-dir " + bus.ShellWord(a.dataDir) + rest
	}
	var b strings.Builder
	last := 0
	for _, at := range a.commands.FindAllStringSubmatchIndex(hint, -1) {
		b.WriteString(hint[last:at[3]])
		last = at[3]
		clause := hint[at[6]:at[7]]
		if strings.HasSuffix(hint[:at[3]], "there: myco") || elsewhere.MatchString(clause+" ") || strings.Contains(clause, " --help") {
			continue
		}
		b.WriteString(" --data-dir " + bus.ShellWord(a.dataDir))
	}
	return b.String() + hint[last:]
}

// nextOf is e with its hint as next has it.
func (a *app) nextOf(e *bus.Error) *bus.Error {
	if e == nil || e.Hint == "" {
		return e
	}
	return e.WithHint("%s", a.next(e.Hint))
}
