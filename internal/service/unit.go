// Package service has mycod's units for systemd, as they are shipped and as they are installed for one
// machine, and judges whether a program and its flags can be a service. It owns the units' text. It runs
// and writes nothing: that is cmd/myco's.
package service

import (
	_ "embed"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mycoswarm/mycoswarm/bus"
)

// Name is the name of the unit.
const Name = "mycod.service"

// User is who a service of the machine runs as.
const User = "mycoswarm"

// StateDir is where a service of the machine keeps its data, and ConfigFile are its settings.
const (
	StateDir   = bus.SystemDataDir
	ConfigFile = "/etc/mycoswarm/config.toml"
)

// The units as they are shipped: with mycod in /usr/bin, and without flags.
var (
	//go:embed mycod.service
	System string
	//go:embed mycod-user.service
	PerUser string
)

// shipped is the beginning of the line that Unit fills in, and mark the line that tells Unit's work from
// another's.
const (
	shipped = "\nExecStart=/usr/bin/mycod"
	mark    = "# Written by `myco service install`, which writes it anew; `myco service uninstall` removes it.\n"
)

// Unit returns the unit for the mycod at path, absolute, with these flags: of the machine if system is
// set, else of a user. The error has CodeInvalid where a path or a flag does not do for a service.
func Unit(system bool, path string, flags []string) (string, error) {
	unit := PerUser
	if system {
		unit = System
	}
	if !filepath.IsAbs(path) {
		return "", bus.Errorf(bus.CodeInvalid, "%s is not an absolute path", path)
	}
	if err := checkFlags(system, flags); err != nil {
		return "", err
	}
	words := make([]string, 0, len(flags)+1)
	for _, w := range append([]string{path}, flags...) {
		q, err := quote(w)
		if err != nil {
			return "", err
		}
		words = append(words, q)
	}
	before, line, ok := strings.Cut(unit, shipped)
	own, after, more := strings.Cut(line, "\n")
	if !ok || !more {
		panic("the shipped unit has no line" + shipped) // a test installs both
	}
	words[0] = strings.ReplaceAll(words[0], "$$", "$") // systemd puts variables into flags alone
	// The flags of the unit itself come before those that may say otherwise.
	return mark + before + "\nExecStart=" + words[0] + strings.TrimRight(own+" "+strings.Join(words[1:], " "), " ") + "\n" + after, nil
}

// Ours reports whether a unit was written by Unit.
func Ours(unit string) bool { return strings.HasPrefix(unit, mark) }

// Command returns the program and the flags that a unit of Unit's has; nil for another's.
func Command(unit string) (words []string) {
	_, line, ok := strings.Cut(unit, "\nExecStart=")
	if !ok || !Ours(unit) {
		return nil
	}
	line, _, _ = strings.Cut(line, "\n")
	var word strings.Builder
	within, begun := false, false // quotes, a word
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '"':
			within, begun = !within, true
		case c == ' ' && !within:
			words, begun = append(words, word.String()), false
			word.Reset()
		case within && c == '\\' || c == '%' || c == '$' && len(words) > 0:
			i++ // what quote put before it
			fallthrough
		default:
			word.WriteByte(line[min(i, len(line)-1)])
			begun = true
		}
	}
	if begun {
		words = append(words, word.String())
	}
	return words
}

// folders are the flags that name a file or a folder.
var folders = []string{"--data-dir", "--config", "--plugins", "--engine-keys", "--log-file", "--tls-cert", "--tls-key"}

// homes are the folders that a service of the machine does not see: its unit has ProtectHome.
var homes = []string{"/home", "/root", "/run/user"}

// inHomes reports whether path is in one of them.
func inHomes(path string) bool {
	return slices.ContainsFunc(homes, func(dir string) bool { return strings.HasPrefix(filepath.Clean(path)+"/", dir+"/") })
}

// checkFlags refuses what a service cannot be started with.
func checkFlags(system bool, flags []string) error {
	for i, f := range flags {
		name, value, has := strings.Cut(f, "=")
		if !has && i+1 < len(flags) {
			value = flags[i+1]
		}
		switch {
		case slices.Contains(folders, name) && value != "" && !filepath.IsAbs(value):
			return bus.Errorf(bus.CodeInvalid, "%s %s: systemd starts mycod in another folder than this one", name, bus.ShellWord(value)).
				WithHint("give the whole path, from / on")
		case slices.Contains(folders, name) && name != "--data-dir" && system && inHomes(value):
			return bus.Errorf(bus.CodeInvalid, "%s %s: a service of the machine sees no homes", name, bus.ShellWord(value)).
				WithHint("name a place outside of them that the user %s gets to; or install it for this user: myco service install --user", User)
		case name == "--join":
			return bus.Errorf(bus.CodeInvalid, "a service cannot have --join: the token is good for one start").
				WithHint("install the service, and then: myco join TOKEN")
		case name == "--data-dir" && system:
			return bus.Errorf(bus.CodeInvalid, "a service of the machine keeps its data in %s", StateDir).
				WithHint("leave --data-dir out, or install it for this user: myco service install --user")
		case slices.Contains([]string{"demo", "version", "--help", "-h", "--version"}, name):
			return bus.Errorf(bus.CodeInvalid, "%s is nothing for a service: give flags of a node", name).WithHint("mycod --help")
		}
	}
	return nil
}

// quote writes a word as ExecStart reads it: see "COMMAND LINES" in systemd.service(5).
func quote(w string) (string, error) {
	if strings.ContainsFunc(w, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", bus.Errorf(bus.CodeInvalid, "%q has a control character, which a unit cannot have", w)
	}
	w = strings.NewReplacer("%", "%%", "$", "$$").Replace(w)
	if w != "" && !strings.ContainsAny(w, " \"'\\;") {
		return w, nil
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(w) + `"`, nil
}
