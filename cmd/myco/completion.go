package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/alecthomas/kong"
	"github.com/charmbracelet/x/term"
	kongcompletion "github.com/jotaen/kong-completion"
	"github.com/posener/complete"

	"github.com/mycoswarm/mycoswarm/bus"
)

// completionLimit is how long a shell waits for names from the daemon: a person who pressed Tab would
// rather have none than wait.
const completionLimit = time.Second

// completionMost bounds the tasks that are offered: the last ones.
const completionMost = 100

// envLine has the command line up to the cursor, where a shell asks how it goes on.
const envLine = "COMP_LINE"

// completionCmd prints what makes a shell complete myco's command line.
type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Help implements kong's HelpProvider.
func (c *completionCmd) Help() string {
	return "For every new shell:\n\n" +
		"  bash, in ~/.bashrc:  source <(myco completion bash)\n" +
		"  zsh, in ~/.zshrc:    autoload -U compinit && compinit; source <(myco completion zsh)\n" +
		"  fish, in ~/.config/fish/config.fish:  myco completion fish | source\n\n" +
		"Commands and flags are completed, and what the swarm has at that moment: nodes, models, tasks, keys, " +
		"conversations. Without a daemon there are none of these, and no error."
}

// Run implements the command.
func (c *completionCmd) Run(k *kong.Context, a *app) error {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	a.text(completionCode(c.Shell, k.Model.Name, program))
	if f, ok := a.streams.out.(*os.File); ok && term.IsTerminal(f.Fd()) {
		a.hint("This is for the shell to read: myco completion --help tells where it goes.")
	}
	return nil
}

// completionCode is what has a shell ask the program at path how a command line goes on that begins with name.
func completionCode(shell, name, path string) string {
	if shell == "fish" {
		path = strings.ReplaceAll(path, `\`, `\\`) // which it reads within quotes, too
		return "function __complete_" + name + `
    set -lx COMP_LINE (commandline -cp)
    test -z (commandline -ct)
    and set COMP_LINE "$COMP_LINE "
    ` + bus.ShellWord(path) + `
end
complete -f -c ` + name + ` -a "(__complete_` + name + `)"
`
	}
	// -C has a command line, and not a program: it is one word of this line, and read once more when Tab is pressed.
	code := "complete -o default -o bashdefault -C " + bus.ShellWord(bus.ShellWord(path)) + " " + name + "\n"
	if shell == "zsh" {
		return "autoload -U +X bashcompinit && bashcompinit\n" + code
	}
	return code
}

// completes answers a shell that asks how a command line goes on, and reports whether one asked. args are
// those of the process: bash gives the word before the cursor as the second.
func completes(ctx context.Context, parser *kong.Kong, args []string, s streams) bool {
	line := os.Getenv(envLine)
	if line == "" {
		return false
	}
	names := predictors(ctx, s)
	if len(args) > 1 { // bash puts it into the line as it is; fish, which gives no words, quotes it
		for what, p := range names {
			names[what] = complete.PredictFunc(func(a complete.Args) []string { return asWords(p.Predict(a)) })
		}
	}
	command, err := kongcompletion.Command(parser, kongcompletion.WithPredictors(names))
	if err != nil {
		return true // a shell has no place for it, and a test sees to it
	}
	inherit(command, command)
	var out bytes.Buffer
	c := complete.New(parser.Model.Name, command)
	c.Out = &out
	c.Complete()
	// To bash a word also begins after a colon, as in gemma3:1b: it wants what comes after that one.
	begun := ""
	if len(args) > 1 {
		words := strings.Fields(line)
		last := words[len(words)-1]
		if rest, ok := strings.CutSuffix(last, args[1]); ok && args[1] != "" && strings.HasSuffix(rest, ":") {
			begun = rest
		}
	}
	for option := range strings.Lines(out.String()) {
		fmt.Fprint(s.out, strings.TrimPrefix(option, begun))
	}
	return true
}

// asWords has a shell take each name as one word and nothing else: other nodes name their models, and $(rm FILE) is a name. What
// steers a terminal is left out.
func asWords(names []string) (words []string) {
	for _, name := range names {
		if printable(name) != name || strings.Contains(name, "\n") {
			continue
		}
		var b strings.Builder
		for _, r := range name {
			if r < 0x80 && !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("-_.:/@+,%=~", r) {
				b.WriteByte('\\')
			}
			b.WriteRune(r)
		}
		words = append(words, b.String())
	}
	return words
}

// inherit tells commands of the flags of all: kong-completion 0.0.4 takes one before an argument for an
// argument.
func inherit(command, root complete.Command) {
	all, ok := root.Args.(*kongcompletion.PositionalPredictor)
	for _, sub := range command.Sub {
		if own, is := sub.Args.(*kongcompletion.PositionalPredictor); ok && is {
			own.ArgFlags = append(own.ArgFlags, all.ArgFlags...)
			own.BoolFlags = append(own.BoolFlags, all.BoolFlags...)
		}
		inherit(sub, root)
	}
}

// predictors are the names that fields of commands have in their tag "predictor".
func predictors(ctx context.Context, s streams) map[string]complete.Predictor {
	ask := func(names func(context.Context, *bus.Conn) ([]string, error)) complete.Predictor {
		return complete.PredictFunc(func(complete.Args) []string { return askNames(ctx, s, names) })
	}
	return map[string]complete.Predictor{
		"library": complete.PredictFunc(func(complete.Args) []string { return libraries(s.environ) }),
		"node":    ask(ofNodes(func(n bus.NodeInfo) []string { return []string{n.Name} })),
		"type":    ask(ofNodes(func(n bus.NodeInfo) []string { return n.Types })),
		"model":   ask(ofNodes(modelNames)),
		"task":    ask(taskIDs(func(bus.TaskInfo) bool { return true })),
		"dead":    ask(taskIDs(func(t bus.TaskInfo) bool { return t.State == bus.StateDead && t.Durable })),
		"key":     ask(keyIDs),
		"session": complete.PredictFunc(func(complete.Args) (names []string) {
			all, _ := sessionsOf(s.environ, time.Now).list()
			for _, one := range all {
				names = append(names, one.title())
			}
			return names
		}),
		"file": complete.PredictFiles("*"),
		"dir":  complete.PredictDirs("*"),
	}
}

// askNames returns what names the daemon has; none where it does not tell, or is not there.
func askNames(ctx context.Context, s streams, names func(context.Context, *bus.Conn) ([]string, error)) []string {
	ctx, cancel := context.WithTimeout(ctx, completionLimit)
	defer cancel()
	a := &app{streams: s, dataDir: flagValue(strings.Fields(os.Getenv(envLine)), "--data-dir")}
	conn, err := a.dial(ctx)
	if err != nil {
		return nil
	}
	defer conn.Close()
	all, err := names(ctx, conn)
	if err != nil {
		return nil
	}
	return all
}

// ofNodes returns what asks for names that nodes have.
func ofNodes(names func(bus.NodeInfo) []string) func(context.Context, *bus.Conn) ([]string, error) {
	return func(ctx context.Context, c *bus.Conn) ([]string, error) {
		status, err := c.Status(ctx)
		return eachOnce(status.Nodes, names), err
	}
}

// eachOnce returns the names that nodes have, each once.
func eachOnce(nodes []bus.NodeInfo, names func(bus.NodeInfo) []string) (all []string) {
	for _, n := range nodes {
		all = append(all, names(n)...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func modelNames(n bus.NodeInfo) (names []string) {
	for _, m := range n.Models {
		names = append(names, m.Name)
	}
	return names
}

// taskIDs returns what asks for the last tasks that are as is says.
func taskIDs(is func(bus.TaskInfo) bool) func(context.Context, *bus.Conn) ([]string, error) {
	return func(ctx context.Context, c *bus.Conn) (ids []string, err error) {
		all, err := c.Tasks(ctx)
		oldestFirst(all)
		for _, t := range all {
			if is(t) {
				ids = append(ids, string(t.ID))
			}
		}
		return ids[max(0, len(ids)-completionMost):], err
	}
}

func keyIDs(ctx context.Context, c *bus.Conn) (ids []string, err error) {
	keys, err := c.Keys(ctx)
	for _, k := range keys {
		ids = append(ids, k.ID)
	}
	return ids, err
}
