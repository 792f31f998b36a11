package main

import (
	"os"

	"golang.org/x/sys/windows"
)

// colors reports whether the console f shows colors, as it does from Windows 10 on where it is told to.
func colors(f *os.File) bool {
	var mode uint32
	console := windows.Handle(f.Fd())
	return windows.GetConsoleMode(console, &mode) == nil &&
		windows.SetConsoleMode(console, mode|windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING) == nil
}
