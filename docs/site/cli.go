package main

import (
	"bytes"
	"context"
	"fmt"
	"html/template"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// program is a program of this repository, by what it says with --help.
type program struct {
	name string
	top  help   // of the program alone
	subs []help // of its commands, in its order; a group such as `myco task` comes before its commands
}

// help is what one command says of itself.
type help struct {
	command  string // "task ls"; empty for the program
	usage    string
	about    string
	args     []option
	flags    []option
	commands []option
}

// option is an argument, a flag or a command with what it is.
type option struct{ Name, Text string }

// askPrograms builds the programs of the repository at root, and asks each command for its help.
func askPrograms(ctx context.Context, root string) ([]program, error) {
	dir, err := os.MkdirTemp("", "mycoswarm-site-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	build := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", dir+string(filepath.Separator), "./"+mycoSrc, "./"+mycodSrc)
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the programs whose help is in the site: %w\n%s", err, out)
	}
	var all []program
	for _, name := range []string{"myco", "mycod"} {
		p, err := askProgram(ctx, dir, name)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// askProgram asks a program in dir for its help and for that of its commands.
func askProgram(ctx context.Context, dir, name string) (program, error) {
	p := program{name: name}
	ask := func(command string) (help, error) {
		exe := filepath.Join(dir, name)
		if runtime.GOOS == "windows" {
			exe += ".exe"
		}
		cmd := exec.CommandContext(ctx, exe, append(strings.Fields(command), "--help")...)
		// What whoever builds the site has set for himself is not in it.
		cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_CONFIG_HOME="+dir, "MYCO_CONFIG=", "MYCO_DATA_DIR=", "COLUMNS=")
		var errs bytes.Buffer
		cmd.Stderr = &errs
		out, err := cmd.Output()
		if err != nil {
			return help{}, fmt.Errorf("%s %s --help: %w\n%s", name, command, err, &errs)
		}
		h, err := parseHelp(string(out))
		if err != nil {
			return help{}, fmt.Errorf("%s %s --help: %w", name, command, err)
		}
		h.command = command
		return h, nil
	}
	var err error
	if p.top, err = ask(""); err != nil {
		return p, err
	}
	for _, c := range p.top.commands {
		group, _, nested := strings.Cut(c.Name, " ")
		if nested && !slices.ContainsFunc(p.subs, func(h help) bool { return h.command == group }) {
			h, err := ask(group)
			if err != nil {
				return p, err
			}
			p.subs = append(p.subs, h)
		}
		h, err := ask(c.Name)
		if err != nil {
			return p, err
		}
		p.subs = append(p.subs, h)
	}
	return p, nil
}

// parseHelp reads what kong prints: the usage, what the command is, and lists in two columns under "Arguments:",
// "Flags:" and "Commands:", whose lines are broken to the width of the terminal. Flags and commands that are in groups
// stand under the names of these.
func parseHelp(text string) (help, error) {
	var h help
	lists := map[string]*[]option{"Arguments:": &h.args, "Flags:": &h.flags, "Commands:": &h.commands}
	var list *[]option
	var about []string
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		indent := len(line) - len(strings.TrimLeft(line, " "))
		switch to := lists[line]; {
		case to != nil:
			list = to
		case list != nil && indent == 0 && strings.HasSuffix(line, ":") && i+1 < len(lines):
			list = &h.commands
			if strings.HasPrefix(strings.TrimSpace(lines[i+1]), "-") {
				list = &h.flags
			}
		case strings.HasPrefix(line, "Usage: "):
			h.usage = strings.TrimPrefix(line, "Usage: ")
		case line == "", strings.HasPrefix(line, "Run \""):
		case list == nil:
			about = append(about, strings.TrimSpace(line))
		case indent == 2, indent == 6 && strings.HasPrefix(line[indent:], "--"):
			name, what, _ := strings.Cut(line[indent:], "  ")
			*list = append(*list, option{name, strings.TrimSpace(what)})
		case indent > 6 && len(*list) > 0:
			o := &(*list)[len(*list)-1]
			o.Text = strings.TrimSpace(o.Text + " " + strings.TrimSpace(line))
		default:
			return help{}, fmt.Errorf("line %d is not as help is printed: %q", i+1, line)
		}
	}
	h.about = strings.Join(about, " ")
	if h.usage == "" || h.about == "" {
		return help{}, fmt.Errorf("it tells no usage, or not what the command does: %q", text)
	}
	return h, nil
}

// section is a command on the page of its program.
type section struct {
	Level        int
	ID, Name     string
	Usage, About string
	Args, Flags  []option
	Commands     []linked
}

// linked is a command in a list of commands.
type linked struct {
	option
	ID string
}

var referenceHTML = template.Must(template.New("").Funcs(template.FuncMap{
	"anchor": func(level int, id string) template.HTML { return template.HTML(anchor(level, id)) }, // ids are made here
}).Parse(`<h1>{{.Title}}</h1>
<p>{{.About}}</p>
<p class="note">What the program says with <code>--help</code>, taken from it when this site was made.</p>
{{range .Sections}}
{{if eq .Level 2}}<h2 id="{{.ID}}">{{.Name}}{{anchor 2 .ID}}</h2>{{else}}<h3 id="{{.ID}}">{{.Name}}{{anchor 3 .ID}}</h3>{{end}}
{{with .About}}<p>{{.}}</p>{{end}}
{{with .Usage}}<pre tabindex="0"><code>{{.}}</code></pre>{{end}}
{{with .Commands}}<dl class="options">{{range .}}<dt><a href="#{{.ID}}"><code>{{.Name}}</code></a></dt><dd>{{.Text}}</dd>{{end}}</dl>{{end}}
{{with .Args}}<dl class="options">{{range .}}<dt><code>{{.Name}}</code></dt><dd>{{.Text}}</dd>{{end}}</dl>{{end}}
{{with .Flags}}<dl class="options">{{range .}}<dt><code>{{.Name}}</code></dt><dd>{{.Text}}</dd>{{end}}</dl>{{end}}
{{end}}`))

// reference makes the page of a program's commands. Flags that every command has are told once.
func (l *library) reference(p *page) error {
	name := strings.TrimPrefix(p.src, "cmd/")
	i := slices.IndexFunc(l.commands, func(q program) bool { return q.name == name })
	if i < 0 {
		return fmt.Errorf("nobody asked %s for its help", name)
	}
	q := l.commands[i]
	p.Title, p.About = "Commands of "+name, q.top.about
	if name == "mycod" {
		p.Title = "The daemon: mycod"
	}
	id := func(command string) string { return strings.ReplaceAll(command, " ", "-") }
	var list []linked
	for _, o := range q.top.commands {
		list = append(list, linked{o, id(o.Name)})
	}
	flags := section{Level: 2, ID: "flags", Name: "Flags of every command", Usage: q.top.usage, Flags: q.top.flags}
	all := []section{{Level: 2, ID: "commands", Name: "All commands", Commands: list}, flags}
	if name == "mycod" {
		flags.Name = "Flags"
		all = []section{flags}
	}
	for _, h := range q.subs {
		s := section{Level: 2, ID: id(h.command), Name: name + " " + h.command, Usage: h.usage, About: h.about, Args: h.args}
		if strings.Contains(h.command, " ") {
			s.Level = 3
		}
		for _, f := range h.flags {
			if !slices.Contains(q.top.flags, f) {
				s.Flags = append(s.Flags, f)
			}
		}
		all = append(all, s)
	}
	p.ids = map[string]bool{}
	for _, s := range all {
		if p.ids[s.ID] {
			return fmt.Errorf("two sections of %s have the anchor #%s", p.src, s.ID)
		}
		p.ids[s.ID] = true
		p.Headings = append(p.Headings, heading{s.Level, s.ID, s.Name})
		text := []string{s.About}
		for _, o := range slices.Concat(s.Args, s.Flags) {
			text = append(text, o.Name, o.Text)
		}
		p.found = append(p.found, found{s.Name, s.ID, words(strings.Join(text, " "))})
	}
	var html bytes.Buffer
	if err := referenceHTML.Execute(&html, map[string]any{"Title": p.Title, "About": p.About, "Sections": all}); err != nil {
		return fmt.Errorf("lay out the commands of %s: %w", name, err)
	}
	p.Body = template.HTML(html.String()) // html/template has escaped it
	return nil
}
