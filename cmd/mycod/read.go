package main

import (
	"os"
	"runtime"

	"github.com/mycoswarm/mycoswarm/bus"
	"github.com/mycoswarm/mycoswarm/handlers/file"
	"github.com/mycoswarm/mycoswarm/handlers/web"
)

// readCmd makes text of one page of the web, or of one document, for the node that started it.
type readCmd struct {
	What string `arg:"" enum:"page,document" help:"What is on standard input: page or document."`
}

// Run implements the command.
func (c readCmd) Run(s streams) error {
	switch c.What {
	case "page":
		return web.Main(s.in, s.out)
	case "document":
		return file.Main(s.in, s.out)
	}
	return bus.Errorf(bus.CodeInvalid, "read %q: want page or document", c.What)
}

// reader is the command line of readCmd, without its argument; empty where this program does not know its own
// file.
func reader() []string { return again("read") }

// again is the command line of a command of this program; empty where it does not know its own file.
func again(command string) []string {
	if runtime.GOOS == "linux" {
		return []string{"/proc/self/exe", command} // also where the file has been replaced since
	}
	self, err := os.Executable()
	if err != nil {
		return nil
	}
	return []string{self, command}
}
