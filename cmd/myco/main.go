// Command myco talks to the swarm through the daemon of this machine.
//
// Results go to standard output, progress and hints to standard error. With --json a command
// prints one object (or one a line, for what goes on), and a failure prints
// {"error":{"code","message","hint"}} in its place, or an "error" within it where a part was done.
// Exit codes: 0 ok, 1 failure, 2 usage, 3 nothing matches, 4 no daemon, 5 timed out, 130 interrupted.
//
// The command owns arguments and their rendering. What happens is decided by the daemon, apart
// from ask, chat, detect, doctor, library search and service, which work without one.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() { os.Exit(program()) }

// program runs myco with this process's arguments and streams, and returns its exit code.
func program() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process at once
	return run(ctx, os.Args[1:], stdio())
}
