package flags

import (
	"fmt"

	"github.com/alecthomas/kong"
)

// WriteError is a help or a version that could not be written: a failure of the output, and no mistake in
// the command line, which kong takes it for.
type WriteError struct{ Err error }

func (e *WriteError) Error() string { return "write the result: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *WriteError) Unwrap() error { return e.Err }

// Help makes kong print its help as it does, and fail with a WriteError where that cannot be written. The help of a
// command leaves out those flags of the program that are in a group: they are for who calls it without a command.
func Help() kong.Option {
	return kong.Help(func(o kong.HelpOptions, ctx *kong.Context) error {
		if command := ctx.Selected(); command != nil {
			command.Group = nil // in the program's list; its own commands are under "Commands:"
			for _, f := range ctx.Model.Flags {
				f.Hidden = f.Hidden || f.Group != nil
			}
		}
		if err := kong.DefaultHelpPrinter(o, ctx); err != nil {
			return &WriteError{err}
		}
		return nil
	})
}

// Version is a flag that shows the variable "version" and ends. Unlike kong's own it fails, with a
// WriteError, where that cannot be written.
type Version bool

// BeforeReset implements a hook of kong's: it comes before the arguments are judged.
func (Version) BeforeReset(app *kong.Kong, vars kong.Vars) error {
	if _, err := fmt.Fprintln(app.Stdout, vars["version"]); err != nil {
		return &WriteError{err}
	}
	app.Exit(0)
	return nil
}
