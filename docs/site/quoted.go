package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// word is what may be a command: no placeholder, as NAME, and no path.
var (
	word    = regexp.MustCompile(`^[a-z]+$`)
	flagged = regexp.MustCompile(`^-(-[a-z][a-z-]*|[a-z])(=|$)`)
	// A command line goes up to what a shell ends it with, or to its comment.
	ends = regexp.MustCompile(`\s(\||\|\||&&|;|>|<|&|#)(\s|$)`)
	// It begins a line, or follows what does so.
	begins = regexp.MustCompile(`(^|[|;&]\s+|<\(|^\s*sudo\s+)(mycod?)(\s|$)`)
)

// misquoted returns what is wrong with a piece of code that a page shows: a command of myco or mycod that there is
// not, or a flag that the command does not have.
func misquoted(programs []program, code string) error {
	for _, at := range begins.FindAllStringSubmatchIndex(code, -1) {
		line := code[at[4]:]
		if end := ends.FindStringIndex(line); end != nil {
			line = line[:end[0]]
		}
		if err := misspoken(programs, strings.Fields(strings.TrimRight(line, ")"))); err != nil {
			return err
		}
	}
	if flagged.MatchString(code) { // a flag by itself: of some command
		name, _, _ := strings.Cut(strings.Fields(code)[0], "=")
		for _, p := range programs {
			for _, h := range append(p.subs, p.top) {
				if has(h.flags, name) {
					return nil
				}
			}
		}
		return fmt.Errorf("no command of myco or mycod has a flag %s", name)
	}
	return nil
}

// untyped tells of a request that a block of code shows, and a node refuses: one with content of no type.
// Ollama's interface takes it, whose own examples send none.
func untyped(block string) error {
	for _, request := range strings.Split(block, "curl ")[1:] {
		sends := strings.Contains(request, " -d ") && !strings.Contains(request, "/api/")
		if sends && !strings.Contains(request, "-H 'Content-Type: application/json'") {
			return fmt.Errorf("a node refuses curl %s without -H 'Content-Type: application/json'", strings.Fields(request)[0])
		}
	}
	return nil
}

// misspoken does so of one command line.
func misspoken(programs []program, line []string) error {
	i := slices.IndexFunc(programs, func(p program) bool { return p.name == line[0] })
	if i < 0 {
		return nil
	}
	p := programs[i]
	h := p.top
	for n := range min(2, len(line)-1) {
		name := strings.Join(line[1:n+2], " ")
		if j := slices.IndexFunc(p.subs, func(h help) bool { return h.command == name }); j >= 0 {
			h = p.subs[j]
		} else if n == 0 && word.MatchString(line[1]) {
			return fmt.Errorf("%s has no command %s", p.name, line[1])
		}
	}
	for n, w := range line[1:] {
		if w == "--" { // what follows is mycod's
			return misspoken(programs, append([]string{"mycod"}, line[n+2:]...))
		}
		if !flagged.MatchString(w) {
			continue
		}
		name, _, _ := strings.Cut(w, "=")
		group := h.command != "" && slices.ContainsFunc(p.subs, func(s help) bool {
			return strings.HasPrefix(s.command, h.command+" ") && has(s.flags, name) // myco task --all is myco task ls --all
		})
		if !has(h.flags, name) && !group {
			return fmt.Errorf("%s has no flag %s", strings.TrimSpace(p.name+" "+h.command), name)
		}
	}
	return nil
}

// has reports whether a flag is among those of a command, as "-m, --model=MODEL" or "--[no-]ignore".
func has(flags []option, name string) bool {
	return slices.ContainsFunc(flags, func(o option) bool {
		for f := range strings.SplitSeq(o.Name, ", ") {
			f, _, _ = strings.Cut(f, "=")
			switchable, both := strings.CutPrefix(f, "--[no-]")
			f, _, _ = strings.Cut(f, "[")
			if f == name || both && (name == "--"+switchable || name == "--no-"+switchable) {
				return true
			}
		}
		return false
	})
}
