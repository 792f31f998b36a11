// Command mycod is the daemon: one node of the swarm. It owns flags, signals, logs and the exit
// code; what runs is in internal/daemon.
//
//	mycod            run a node, until SIGINT, SIGTERM or SIGHUP
//	mycod demo       show a swarm of three on this machine
//	mycod version    show the version
//
// Exit codes: 0 stopped in good order, 1 failure, 2 usage, 130 interrupted, in a demo or before
// the settings or the token were read.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/cmd/internal/flags"
)

func main() { os.Exit(program()) }

func program() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)         // a second Ctrl-C ends the process at once
	if !signal.Ignored(syscall.SIGHUP) { // as nohup has it
		var open func()
		ctx, open = signal.NotifyContext(ctx, syscall.SIGHUP) // of a terminal that closes: from the system, and once more from the shell
		defer open()
	}
	// Who reads the log through a pipe may go first, as tee does at Ctrl-C: a write fails then, and ends nothing.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	return run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr})
}

// streams are what the program reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// cli is the command line.
type cli struct {
	runFlags
	Show flags.Version `name:"version" help:"Show the version and end."`

	Run     runCmd     `cmd:"" default:"1" hidden:"" help:"Run a node of the swarm."`
	Demo    demoCmd    `cmd:"" help:"Show a swarm of three on this machine: ask, work, lose a node, go on."`
	Version versionCmd `cmd:"" help:"Show the version."`
	Confine confineCmd `cmd:"" hidden:"" help:"Become a program that may do little: a node runs plugins so."`
	Read    readCmd    `cmd:"" hidden:"" help:"Make text of a page or a document: a node has it done in a process of its own."`
}

// exited carries an exit code out of kong, which ends the process after --help.
type exited int

// run parses args and runs the command they name; it returns the exit code.
func run(ctx context.Context, args []string, s streams) (code int) {
	defer func() {
		if e, ok := recover().(exited); ok {
			code = int(e)
		}
	}()
	var c cli
	parser, err := kong.New(&c, kong.Name("mycod"),
		kong.Description("Runs a node of the swarm, which finds others, joins by token and shares work. Without a command it runs until it is stopped."),
		kong.Writers(s.out, s.err), kong.Exit(func(code int) { panic(exited(code)) }),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(s), kong.Bind(&c.runFlags), kong.Vars{"version": versionLine()}, flags.Values(), flags.Help(), kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	if err != nil {
		return fail(s.err, err)
	}
	if len(args) > 0 && args[0] == "help" { // as myco has it
		args = append(slices.Clone(args[1:]), "--help")
	}
	k, err := parser.Parse(args)
	if lost, ok := errors.AsType[*flags.WriteError](err); ok {
		return fail(s.err, lost) // of --help
	}
	if err != nil && ctx.Err() != nil { // before its settings were read
		return fail(s.err, bus.Errorf(bus.CodeCancelled, "interrupted"))
	}
	if err != nil {
		return fail(s.err, bus.Errorf(bus.CodeInvalid, "%w", c.settings.blame(err)).WithHint("%s", unparsed(err)))
	}
	if err := k.Run(); err != nil {
		return fail(s.err, err)
	}
	return 0
}

// fail prints an error and the next command to try, and returns the exit code. Under systemd the error is
// the service's status too, for a user may not be allowed to read the journal.
func fail(w io.Writer, err error) int {
	tellWhy(err)
	fmt.Fprintf(w, "mycod: %v\n", err)
	var e *bus.Error
	if !errors.As(err, &e) {
		return 1
	}
	if e.Hint != "" {
		fmt.Fprintf(w, "try: %s\n", e.Hint)
	}
	switch e.Code {
	case bus.CodeInvalid, bus.CodeCancelled:
		return e.Code.ExitCode()
	}
	return 1
}
