package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"reflect"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/term"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/cmd/internal/flags"
	"github.com/mycoswarm/mycoswarm/cmd/internal/input"
)

// cli is the command line.
type cli struct {
	DataDir string `predictor:"dir" help:"The daemon's data directory (default: $$MYCO_DATA_DIR, else ~/.local/state/mycoswarm)." placeholder:"DIR" type:"path"`
	JSON    bool   `help:"Print JSON; one object a line for what goes on."`
	Quiet   bool   `short:"q" help:"No hints, footers or progress on standard error."`
	// ShowVersion is what many type for the command version.
	ShowVersion flags.Version `name:"version" hidden:""`

	Ask        askCmd        `cmd:"" group:"Ask:" help:"Ask the swarm a question."`
	Chat       chatCmd       `cmd:"" group:"Ask:" help:"Talk with the swarm, and go on later."`
	Read       readCmd       `cmd:"" group:"Documents and the web:" help:"Make text of documents: PDF, DOCX, ODT, PPTX, ODP, XLSX, ODS, EPUB, HTML and plain text, on any node."`
	Summarize  summarizeCmd  `cmd:"" group:"Documents and the web:" help:"Summarise documents, all nodes at once."`
	Transform  transformCmd  `cmd:"" group:"Documents and the web:" help:"Write documents anew: translate or correct them, all nodes at once."`
	Library    libraryCmd    `cmd:"" group:"Documents and the web:" help:"Keep documents at hand, to find passages in them and to ask about them."`
	Fetch      fetchCmd      `cmd:"" group:"Documents and the web:" help:"Get pages of the web through a node, as Markdown."`
	Search     searchCmd     `cmd:"" group:"Documents and the web:" help:"Search the web through a node that has a search engine."`
	Research   researchCmd   `cmd:"" group:"Documents and the web:" help:"Answer a question from the web, all nodes at once: with its sources."`
	Models     modelsCmd     `cmd:"" group:"Models:" help:"List the models of the swarm, and who has them; * marks who has one loaded."`
	Load       loadCmd       `cmd:"" group:"Models:" help:"Have a node load a model before it is asked."`
	Unload     unloadCmd     `cmd:"" group:"Models:" help:"Have nodes let go of a model, which frees their memory."`
	Pull       pullCmd       `cmd:"" group:"Models:" help:"Have a node of the swarm pull a model into its Ollama."`
	Rm         rmCmd         `cmd:"" group:"Models:" help:"Delete a model on the nodes that have it."`
	Bench      benchCmd      `cmd:"" group:"Models:" help:"Measure a model on each node, and on all together."`
	Task       taskCmd       `cmd:"" group:"Tasks:" help:"Show, follow or cancel tasks."`
	Dead       deadCmd       `cmd:"" group:"Tasks:" help:"Look at tasks that were given up, and hand them over again."`
	Run        runCmd        `cmd:"" group:"Tasks:" help:"Have a task of any type done, such as a plugin's."`
	Plugins    pluginsCmd    `cmd:"" group:"Tasks:" help:"List the plugins of this machine, and the types of task that others do."`
	Swarm      swarmCmd      `cmd:"" group:"The swarm:" help:"Show the nodes of the swarm; * marks models that are loaded."`
	Top        topCmd        `cmd:"" group:"The swarm:" help:"Watch nodes, queues, tasks and tokens/s."`
	Ping       pingCmd       `cmd:"" group:"The swarm:" help:"Measure the way to a node, or to all."`
	Doctor     doctorCmd     `cmd:"" group:"The swarm:" help:"Look for what is wrong, and name the broken hop."`
	Drain      drainCmd      `cmd:"" group:"The swarm:" help:"Have a node finish its work and take no more."`
	Invite     inviteCmd     `cmd:"" group:"Who is in it:" help:"Make a token that lets one node join."`
	Join       joinCmd       `cmd:"" group:"Who is in it:" help:"Take this node into another swarm."`
	Leave      leaveCmd      `cmd:"" group:"Who is in it:" help:"Take this node out of its swarm."`
	Nodes      nodesCmd      `cmd:"" group:"Who is in it:" help:"Show who is in the swarm, and change who may be."`
	Revoke     revokeCmd     `cmd:"" group:"Who is in it:" help:"Put a node out of the swarm, for good."`
	Rotate     rotateCmd     `cmd:"" group:"Who is in it:" help:"Replace the credentials of this machine's users, or the swarm's key."`
	Detect     detectCmd     `cmd:"" group:"This machine:" help:"Show this machine's hardware, engines and what it can do."`
	Key        keyCmd        `cmd:"" group:"This machine:" help:"Make, list and end keys for programs that ask over HTTP."`
	Mcp        mcpCmd        `cmd:"" group:"This machine:" help:"Offer the swarm as tools to the program that starts this, such as Claude Code or VS Code (MCP)."`
	Service    serviceCmd    `cmd:"" group:"This machine:" help:"Have this machine start mycod by itself."`
	Completion completionCmd `cmd:"" group:"This machine:" help:"Print what makes bash, zsh or fish complete myco's command line."`
	Version    versionCmd    `cmd:"" group:"This machine:" help:"Show the version."`
}

// streams are what the command reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
	// piped tells that in holds something for us: it is a pipe or a file.
	piped bool
	// interactive tells that a person sits at in and err.
	interactive bool
	// columns tells how wide the terminal is that out is; nil where it is none.
	columns func() int
	environ []string
}

// stdio returns the streams of this process.
func stdio() streams {
	s := streams{in: os.Stdin, out: output(os.Stdout), err: os.Stderr, environ: os.Environ()}
	s.interactive = term.IsTerminal(os.Stdin.Fd()) && term.IsTerminal(os.Stderr.Fd())
	if term.IsTerminal(os.Stdout.Fd()) {
		s.columns = func() int {
			width, _, _ := term.GetSize(os.Stdout.Fd()) // 0 where that is not known
			return width
		}
	}
	if info, err := os.Stdin.Stat(); err == nil {
		s.piped = info.Mode().IsRegular() || info.Mode()&os.ModeNamedPipe != 0
	}
	return s
}

// app is one run of the command.
type app struct {
	streams
	*view
	dataDir string
	// commands finds those in hints, see next.
	commands *regexp.Regexp
	quiet    bool
	now      func() time.Time
	known    []bus.NodeInfo // where their names are wanted; see know
	code     int            // exit code of a command that has said all itself
	standing bool           // the last line on err is one of progress, which what comes takes the place of
	column   bool           // the cursor of the terminal is behind a text that goes on
}

// run parses args, runs the command, and returns its exit code.
func run(ctx context.Context, args []string, s streams) int {
	var c cli
	exited := -1
	build, _ := debug.ReadBuildInfo()
	parser, err := kong.New(&c, kong.Name("myco"),
		kong.Description("Ask a swarm of machines. The daemon of this machine is found by itself; mycod starts it."),
		kong.Writers(s.out, s.err), kong.Exit(func(code int) { exited = code }),
		kong.Vars{"version": buildVersion(version, build).String()},
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 96}),
		kong.BindTo(ctx, (*context.Context)(nil)),
		flags.Values(), flags.Help())
	if err != nil {
		fmt.Fprintln(s.err, "myco:", err)
		return 1
	}
	if completes(ctx, parser, args, s) {
		return 0
	}
	if len(args) > 0 && args[0] == "help" { // as many programs have it
		args = append(slices.Clone(args[1:]), "--help")
	}
	parsed, err := parser.Parse(args)
	if exited >= 0 {
		return exited // --help
	}
	if s.in != nil {
		s.in = input.Until(ctx, s.in)
	}
	a := &app{
		streams: s, view: newView(s.out, s.environ, c.JSON || slices.Contains(args, "--json")),
		dataDir: c.DataDir, commands: nextCommands(parser.Model), quiet: c.Quiet, now: time.Now,
	}
	a.tame = s.columns != nil
	if err != nil {
		err = usage(err)
	} else if err = nameless(parsed); err == nil {
		err = parsed.Run(a)
	}
	if err == nil {
		err = a.unwritten()
	}
	return a.finish(ctx, err)
}

// nameless refuses a node whose name is given, and empty: a variable of a script that is not set is neither any node nor all.
func nameless(parsed *kong.Context) error {
	for _, p := range parsed.Path {
		v := p.Positional
		if p.Flag != nil {
			v = p.Flag.Value
		}
		if v == nil || v.Name != "node" {
			continue
		}
		if name, is := reflect.TypeAssert[string](v.Target); is && name == "" { // chat has a pointer, for which it leaves the node open again
			return bus.Errorf(bus.CodeInvalid, "the name of the node is empty").WithHint("give its name, or leave it out; one out of a variable may be missing")
		}
	}
	return nil
}

// usage turns an error of the parser into one of the swarm.
func usage(err error) error {
	if lost, ok := errors.AsType[*flags.WriteError](err); ok {
		return lost // of --help
	}
	command := "myco"
	var parse *kong.ParseError
	if errors.As(err, &parse) && parse.Context != nil {
		for n := parse.Context.Selected(); n != nil && n.Type == kong.CommandNode; n = n.Parent {
			command = strings.Replace(command, "myco", "myco "+n.Name, 1)
		}
		if word, ok := strings.CutPrefix(parse.Error(), "unexpected argument "); ok && command == "myco" {
			word, _, _ = strings.Cut(word, ",") // did you mean
			command = cmp.Or(strings.Join(below(parse.Context.Model.Node, word), " --help, or: "), command)
		}
	}
	return bus.Errorf(bus.CodeInvalid, "%w", err).WithHint("%s --help", command)
}

// below are the commands of groups that are called so: myco nodes promote, where myco promote was tried.
func below(root *kong.Node, name string) (commands []string) {
	for _, group := range root.Children {
		for _, n := range group.Children {
			if n.Name == name {
				commands = append(commands, root.Name+" "+group.Name+" "+name)
			}
		}
	}
	return commands
}

// finish prints what went wrong, and returns the exit code.
func (a *app) finish(ctx context.Context, err error) int {
	if err == nil {
		return a.code
	}
	e := bus.AsError(err)
	if ctx.Err() != nil {
		e = bus.Errorf(bus.CodeCancelled, "interrupted")
	}
	e = a.nextOf(e)
	if a.json {
		a.object(struct {
			Error *bus.Error `json:"error"`
		}{e})
	}
	a.failed("", e)
	return e.Code.ExitCode()
}

// failed prints an error, of what is named before it, without what would steer a terminal: servers and engines have a say in some.
func (a *app) failed(of string, e *bus.Error) {
	fmt.Fprintln(a.err, "myco:", printable(of+e.Message))
	if e.Hint != "" {
		fmt.Fprintln(a.err, "  try:", printable(e.Hint))
	}
}

// told is e, or with --json nothing, once it was said: an object that was printed has it, and the exit code.
func (a *app) told(e *bus.Error) error {
	if !a.json {
		return e
	}
	a.failed("", e)
	a.code = e.Code.ExitCode()
	return nil
}

// hint tells something beside the result, unless the user wants quiet.
func (a *app) hint(format string, args ...any) {
	if !a.quiet {
		a.erase()
		if a.column {
			a.column = false
			io.WriteString(a.err, "\n") //nolint:errcheck // as the hint
		}
		fmt.Fprintln(a.err, printable(a.next(fmt.Sprintf(format, args...)))) // as in failed
	}
}

// foreign prints text that others wrote.
func (a *app) foreign(s string) { a.text(a.harmless(s)) }

// harmless is text that others wrote, for a terminal without what would steer it.
func (a *app) harmless(s string) string {
	if a.columns != nil {
		return printable(s)
	}
	return s
}

// stands tells whether progress may stand in a line of the terminal.
func (a *app) stands() bool {
	return a.interactive && !a.quiet && !slices.Contains(a.environ, "TERM=dumb")
}

// stand shows a line of progress in place of the one before.
func (a *app) stand(line string) {
	width := 80 // as where a terminal does not tell
	if a.columns != nil && a.columns() > 0 {
		width = a.columns()
	}
	a.erase()
	io.WriteString(a.err, ansi.Truncate("["+line, max(width-2, 10), "…")+"]") //nolint:errcheck // it is only progress
}

// erase takes away a line of progress.
func (a *app) erase() {
	if a.standing {
		io.WriteString(a.err, "\r"+ansi.EraseEntireLine) //nolint:errcheck // it is only progress
	}
}

// asksHere reports whether the daemon that is asked is one of this machine, and not that of the environment.
func (a *app) asksHere() bool { return a.dataDir != "" || os.Getenv(bus.EnvURL) == "" }

// dial connects to the daemon.
func (a *app) dial(ctx context.Context) (*bus.Conn, error) {
	opts := []bus.Option{bus.WithName("myco"), bus.WithLogger(slog.New(slog.DiscardHandler))}
	if a.dataDir != "" {
		opts = append(opts, bus.WithDataDir(a.dataDir))
	}
	return bus.Dial(ctx, opts...)
}

// dialStatus connects to the daemon, and asks for its status: the table of nodes is a moment older.
func (a *app) dialStatus(ctx context.Context) (*bus.Conn, bus.Status, error) {
	conn, err := a.dial(ctx)
	if err != nil {
		return nil, bus.Status{}, err
	}
	status, err := conn.Status(ctx)
	if err != nil {
		conn.Close()
	}
	return conn, status, err
}
