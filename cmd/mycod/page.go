package main

import (
	"os"
	"runtime"

	"github.com/mycoswarm/mycoswarm/handlers/web"
)

// pageCmd makes text of one page of the web, for the node that started it.
type pageCmd struct{}

// Run implements the command.
func (pageCmd) Run(s streams) error { return web.Main(s.in, s.out) }

// pageReader is the command line of pageCmd; empty where this program does not know its own file.
func pageReader() []string {
	if runtime.GOOS == "linux" {
		return []string{"/proc/self/exe", "read-page"} // also where the file has been replaced since
	}
	self, err := os.Executable()
	if err != nil {
		return nil
	}
	return []string{self, "read-page"}
}
